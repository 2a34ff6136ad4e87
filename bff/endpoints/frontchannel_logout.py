"""`GET /bff/frontchannel-logout`: the OP loads this in a frame of its logout page.

The browser leaves the session cookie out of a frame on another site's page, so none is needed:
`iss` and `sid` say which sessions end. Whoever knows a `sid` can end its sessions, and do no more.

OpenID Connect Front-Channel Logout 1.0 sections 2 and 3: an OP that sends one of both sends both.
Entra ID sends `sid` alone.
"""

from urllib.parse import urlsplit

from aiohttp import web

from bff.endpoints.parameters import parse_parameters
from bff.errors import BadRequest
from bff.gate.outcome import Local
from bff.gate.problem import CONTENT_SECURITY_POLICY
from bff.tokens.op_logout import OpLogout

PAGE = '<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>Logged out</title></html>\n'


class FrontchannelLogout:
    """Always the same empty page, whether there was a session or not.

    `allow_without_iss` is a relaxation: a `sid` alone is taken for the issuer's.
    """

    def __init__(self, op_logout: OpLogout, *, issuer: str, allow_without_iss: bool) -> None:
        self._op_logout = op_logout
        self._issuer = issuer
        self._allow_without_iss = allow_without_iss
        parts = urlsplit(issuer)
        self._headers = {
            # The OP's own pages may frame this path, and no other path of ours may be framed.
            "Content-Security-Policy": CONTENT_SECURITY_POLICY.replace(
                "frame-ancestors 'none'", f"frame-ancestors {parts.scheme}://{parts.netloc}"
            ),
            # For an OP whose pages are cross-origin isolated.
            "Cross-Origin-Embedder-Policy": "require-corp",
            "Cross-Origin-Resource-Policy": "cross-origin",
        }

    async def __call__(self, _request: web.BaseRequest, local: Local) -> web.StreamResponse:
        parameters = parse_parameters(local.target.query or b"")
        sid = parameters.get("sid")
        issuer = parameters.get("iss", self._issuer if self._allow_without_iss else None)
        if issuer is None:
            raise BadRequest("iss is missing; see oidc.allow_frontchannel_logout_without_iss")
        if issuer != self._issuer or sid is None:
            raise BadRequest("iss is not the configured issuer, or sid is missing")
        await self._op_logout.front_channel(self._issuer, sid, local.identity.request_id)
        return web.Response(text=PAGE, content_type="text/html", headers=self._headers)
