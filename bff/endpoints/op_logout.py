"""Logouts that the OP tells of, at two addresses.

`POST /bff/backchannel-logout`: the OP says, by a signed logout token, that a session or a user is
logged out. Needs no cookie and no CSRF header: the token is the proof. OpenID Connect Back-Channel
Logout 1.0 sections 2.5 and 2.8.

`GET /bff/frontchannel-logout`: the OP loads this in a frame of its logout page. The browser leaves
the session cookie out of a frame on another site's page, so none is needed: `iss` and `sid` say
which sessions end. A caller that knows a `sid` can end its sessions, and do no more. OpenID Connect
Front-Channel Logout 1.0 sections 2 and 3: an OP that sends one of both sends both. Entra ID sends
`sid` alone.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from aiohttp import web

from bff.endpoints.clients import origin_of
from bff.endpoints.parameters import parse_parameters, read_form
from bff.errors import BadRequest, BffError
from bff.gate.outcome import Local
from bff.gate.problem import CONTENT_SECURITY_POLICY
from bff.limits.limiter import Limiter, client_of
from bff.oidc.provider.issuers import TrustedIssuers
from bff.tokens.op_logout import OpLogout

PARAMETER = "logout_token"
MAX_BODY_BYTES = 16 * 1024
PAGE = '<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>Logged out</title></html>\n'


class BackchannelLogout:
    """200 when everything the token names is gone, also when it was before. 400 tells the OP that
    the token is worthless, 503 that it should send it again.

    `failures` are counted by client address, so that a flood of worthless tokens costs little, and
    an OP that ends thousands of sessions is not held up.
    """

    def __init__(self, op_logout: OpLogout, failures: Limiter) -> None:
        self._op_logout = op_logout
        self._failures = failures

    async def __call__(self, request: web.BaseRequest, local: Local) -> web.StreamResponse:
        client = client_of(local.identity.client_address)
        await self._failures.require_room(client)
        try:
            await self._log_out(request, local)
        except BffError as error:
            if not error.retryable:
                await self._failures.count(client)
            raise
        return web.Response()

    async def _log_out(self, request: web.BaseRequest, local: Local) -> None:
        if PARAMETER in parse_parameters(local.target.query or b""):
            raise BadRequest("a logout token in the query")  # it would end up in logs on the way
        form = await read_form(request, max_bytes=MAX_BODY_BYTES)
        if PARAMETER not in form:
            raise BadRequest("no logout token")
        await self._op_logout.back_channel(form[PARAMETER], origin_of(request, local))


@dataclass(frozen=True, slots=True)
class FrontchannelOp:
    """A provider whose OP tells of logouts in a frame. `allow_without_iss` is a relaxation: a `sid`
    alone is taken for the issuer's."""

    provider: str
    issuers: TrustedIssuers
    allow_without_iss: bool

    def meant_by(self, iss: str | None) -> tuple[str, ...]:
        """The issuers whose sessions end."""
        if iss is None:
            return self.issuers.known if self.allow_without_iss else ()
        return (iss,) if self.issuers.includes(iss) else ()


def framing_policy(issuers: Iterable[str]) -> str:
    """The OPs' own pages may frame this path, and no other path of ours may be framed. A source
    with a path would be that page alone."""
    origins = dict.fromkeys(urlsplit(one)._replace(path="").geturl() for one in issuers)
    return CONTENT_SECURITY_POLICY.replace(
        "frame-ancestors 'none'", f"frame-ancestors {' '.join(origins)}"
    )


class FrontchannelLogout:
    """Always the same empty page, whether there was a session or not."""

    def __init__(self, op_logout: OpLogout, ops: Sequence[FrontchannelOp]) -> None:
        self._op_logout = op_logout
        self._ops = ops
        self._headers = {
            "Content-Security-Policy": framing_policy(op.issuers.issuer for op in ops),
            # For an OP whose pages are cross-origin isolated.
            "Cross-Origin-Embedder-Policy": "require-corp",
            "Cross-Origin-Resource-Policy": "cross-origin",
        }

    async def __call__(self, request: web.BaseRequest, local: Local) -> web.StreamResponse:
        parameters = parse_parameters(local.target.query or b"")
        sid, iss = parameters.get("sid"), parameters.get("iss")
        meant = [(op.provider, issuer) for op in self._ops for issuer in op.meant_by(iss)]
        if iss is None and not meant:
            raise BadRequest("iss is missing; see allow_frontchannel_logout_without_iss")
        if not meant or sid is None:
            raise BadRequest("iss is not a configured issuer, or sid is missing")
        await self._op_logout.front_channel(meant, sid, origin_of(request, local))
        return web.Response(text=PAGE, content_type="text/html", headers=self._headers)
