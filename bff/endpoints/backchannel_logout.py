"""`POST /bff/backchannel-logout`: the OP says, by a signed logout token, that a session or a user
is logged out. Needs no cookie and no CSRF header: the token is the proof.

OpenID Connect Back-Channel Logout 1.0 sections 2.5 and 2.8.
"""

from aiohttp import web

from bff.endpoints.form_body import read_form
from bff.endpoints.parameters import parse_parameters
from bff.errors import BadRequest
from bff.gate.outcome import Local
from bff.tokens.op_logout import OpLogout

PARAMETER = "logout_token"
MAX_BODY_BYTES = 16 * 1024


class BackchannelLogout:
    """200 when everything the token names is gone, also when it was before. 400 tells the OP that
    the token is worthless, 503 that it should send it again."""

    def __init__(self, op_logout: OpLogout) -> None:
        self._op_logout = op_logout

    async def __call__(self, request: web.BaseRequest, local: Local) -> web.StreamResponse:
        if PARAMETER in parse_parameters(local.target.query or b""):
            raise BadRequest("a logout token in the query")  # it would end up in logs on the way
        form = await read_form(request, max_bytes=MAX_BODY_BYTES)
        if PARAMETER not in form:
            raise BadRequest("no logout token")
        await self._op_logout.back_channel(form[PARAMETER], local.identity.request_id)
        return web.Response()
