"""The request that a proxy asks about, as the proxy describes it: Caddy's forward_auth, nginx's
auth_request, Traefik's ForwardAuth. Pure; whether it may pass is the gate's to say.

The proxy copies the browser's fields, so a browser can try to describe its request as well. What is
said twice in two ways is therefore refused, whoever said which.
"""

from collections.abc import Collection, Sequence

from bff.errors import BadRequest
from bff.gate.head import Field, RequestHead

_METHOD = frozenset({b"x-forwarded-method", b"x-original-method"})
_TARGET = frozenset({b"x-forwarded-uri", b"x-original-uri"})


def described_request(fields: Sequence[Field], peer: str | None) -> RequestHead:
    """The head of the original request; its Host, cookies and the like are those of `fields`.

    Raises:
        BadRequest: method or target are missing, or there are two of them.
    """
    method = _only_value(fields, _METHOD)
    return RequestHead(method.decode("latin-1"), _only_value(fields, _TARGET), fields, peer)


def _only_value(fields: Sequence[Field], names: Collection[bytes]) -> bytes:
    found = {value for name, value in fields if name.lower() in names}
    if len(found) != 1 or found == {b""}:
        raise BadRequest("the proxy does not say, or says in two ways, which request this is")
    return found.pop()
