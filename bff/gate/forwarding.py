"""The head an upstream gets: what the browser may say, and what only the gateway says.

RFC 9110 section 7.6 (intermediaries), RFC 7239 (forwarded addresses), RFC 6750 section 2.1, RFC
9449 section 7.1.
"""

import functools
import re
import secrets
from dataclasses import dataclass

from bff.errors import BadRequest
from bff.gate import cookies
from bff.gate.head import Field, ScannedFields
from bff.gate.peers import TrustedProxies
from bff.gate.routes import Route
from bff.model import Tokens

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._\-]{8,64}\Z")


@dataclass(slots=True)
class RequestIdentity:
    """The name of one request in logs and answers, and its origin: `hops` are the addresses
    from the client to our peer, as far as they can be believed. `frontend` is the name of the
    application it has come for; empty until that is known, and where there is none."""

    request_id: str
    hops: tuple[str, ...]
    frontend: str = ""

    @property
    def client_address(self) -> str:
        return self.hops[0] if self.hops else "unknown"


class RequestIds:
    """Different for every request of every process. They may be guessed: nothing depends on one."""

    def __init__(self) -> None:
        self._process = secrets.token_hex(8)
        self._number = int.from_bytes(secrets.token_bytes(4))

    def __call__(self) -> str:
        self._number += 1
        return f"{self._process}{self._number:016x}"


class Identities:
    """Names requests, and says where they come from, as far as `proxies` can be believed."""

    def __init__(self, proxies: TrustedProxies) -> None:
        self._proxies = proxies
        self._new_id = RequestIds()

    def of(self, peer: str | None, fields: ScannedFields) -> RequestIdentity:
        """The request's id, a trusted proxy's if it sent a plain one, and the client's address."""
        offered: bytes | None = None
        if b"x-request-id" in fields.places and self._proxies.trusts(peer):
            offered = fields.single(b"x-request-id")
        if offered is not None and _REQUEST_ID.match(offered):
            request_id = offered.decode()
        else:
            request_id = self._new_id()
        hops = self._proxies.hops(peer, fields.values(b"x-forwarded-for"))
        return RequestIdentity(request_id, hops)

    def public_authority(self, peer: str | None, fields: ScannedFields) -> bytes | None:
        """The host a trusted proxy says the browser asked for, lower case, if it says one.

        Raises:
            BadRequest: it says several, which choose between applications.
        """
        offered = fields.values(b"x-forwarded-host")
        if not offered or not self._proxies.trusts(peer):
            return None
        if len(offered) > 1:
            raise BadRequest("repeated X-Forwarded-Host")
        return offered[0].strip().lower() or None


class Forwarding:
    """Builds request fields. `public_scheme` and `public_host` are those of `public_url`.

    `via_name` is the pseudonym of this application's gateway, the same on every replica.
    """

    def __init__(self, *, public_scheme: str, public_host: str, via_name: str) -> None:
        self._via = f"1.1 {via_name}".encode()
        self._via_name = via_name.encode()
        self._proto = (b"X-Forwarded-Proto", public_scheme.encode())
        self._host = (b"X-Forwarded-Host", public_host.encode())

    def has_passed_before(self, fields: ScannedFields) -> bool:
        # RFC 9110 section 7.6.3: Via is there to find loops.
        return b"via" in fields.places and any(
            self._via_name in entry.split()
            for value in fields.values(b"via")
            for entry in value.split(b",")
        )

    def fields_for(
        self, route: Route, fields: ScannedFields, identity: RequestIdentity, token: Tokens | None
    ) -> list[Field]:
        """All fields of the forwarded head except Host and the body's framing."""
        head = fields.passed
        if token is not None:
            scheme = b"Bearer " if token.dpop_key is None else b"DPoP "
            head.append((b"Authorization", scheme + token.access_token.encode()))
        kept = cookies.keep(fields.values(b"cookie"), route.forward_cookies)
        if kept:
            head.append((b"Cookie", kept))
        head.append(_forwarded_for(identity.hops))
        head.append(self._proto)
        head.append(self._host)
        if route.told_prefix is not None:
            head.append(route.told_prefix)
        head.append((b"X-Request-ID", identity.request_id.encode()))
        if b"via" in fields.places:
            head.append((b"Via", b", ".join((*fields.values(b"via"), self._via))))
        else:
            head.append((b"Via", self._via))
        return head


@functools.lru_cache(1024)  # of the clients that are there at a time
def _forwarded_for(hops: tuple[str, ...]) -> Field:
    return b"X-Forwarded-For", ", ".join(hops or ("unknown",)).encode()
