"""`POST /bff/backchannel-logout`: the OP says, by a signed logout token, that a session or a user
is logged out. Needs no cookie and no CSRF header: the token is the proof.

OpenID Connect Back-Channel Logout 1.0 sections 2.5 and 2.8.
"""

from aiohttp import web

from bff.endpoints.form_body import read_form
from bff.endpoints.parameters import parse_parameters
from bff.errors import BadRequest, BffError
from bff.gate.outcome import Local
from bff.limits.addresses import client_of
from bff.limits.limiter import Limiter
from bff.tokens.op_logout import OpLogout

PARAMETER = "logout_token"
MAX_BODY_BYTES = 16 * 1024


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
        await self._op_logout.back_channel(form[PARAMETER], local.identity.request_id)
