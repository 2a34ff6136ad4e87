"""Questions to an OP that else only a login answers: does it know this client, its secret and its
redirect URI? Asked without a user and without harm: a code that was never given is presented at the
token endpoint (RFC 6749 section 4.1.3), and an authorization request forbids the OP to show
anything (`prompt=none`, OIDC Core section 3.1.2.1). Neither changes anything there.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from bff.clock import Clock, ClockReading
from bff.errors import CodeRejected, OpError
from bff.model import Tokens
from bff.oidc.dpop import DpopKeys
from bff.oidc.provider.http import OpHttp
from bff.oidc.provider.metadata import discovery_url
from bff.oidc.provider.op_text import plain_code
from bff.oidc.settings import RelyingPartySettings
from bff.oidc.steps.authorization import SECRET_BYTES, AuthorizationRequest
from bff.oidc.steps.signed_response import SignedResponses
from bff.oidc.steps.token_endpoint import Grant, TokenEndpoint
from bff.oidc.steps.userinfo import UserInfo

HALF = 0.5  # of a second: a Date leaves out what has passed of it


@dataclass(frozen=True, slots=True)
class SilentLogin:
    """What became of an authorization request that may show nothing. `came_back`: to the redirect
    URI, with the OAuth error `error`, or with none where the OP wanted no user for it. Else the OP
    answered with `status`, or led to `elsewhere`, a host and path without a query."""

    status: int
    came_back: bool = False
    error: str = ""
    elsewhere: str = ""


class Probe:
    """Made by `RelyingParty.probe`, which owns the connections."""

    def __init__(
        self,
        settings: RelyingPartySettings,
        http: OpHttp,
        token_endpoint: TokenEndpoint,
        userinfo: UserInfo,
        signed_responses: SignedResponses | None,
        dpop_keys: DpopKeys,
    ) -> None:
        self._settings = settings
        self._http = http
        self._token_endpoint = token_endpoint
        self._userinfo = userinfo
        self._signed_responses = signed_responses
        self._dpop_keys = dpop_keys

    async def document(self) -> Mapping[str, object]:
        """The OP's metadata as it is written there, unjudged; empty when it is no JSON object.

        Raises:
            OpError: it can't be had.
        """
        answer = await self._http.get(
            "discovery", self._settings.discovery_url or discovery_url(self._settings.issuer)
        )
        return answer.document if isinstance(answer.document, dict) else {}

    async def clock(self, clock: Clock, jwks_uri: str) -> Sequence[ClockReading]:
        """What the OP's clock says, by the `Date` of several answers; fewer where some have none.

        Raises:
            OpError: it does not answer.
        """
        metadata = self._settings.discovery_url or discovery_url(self._settings.issuer)
        readings = []
        for name, url in (("discovery", metadata), ("jwks", jwks_uri), ("discovery", metadata)):
            asked_at = clock.now()
            answer = await self._http.get(name, url)
            if answer.said_at is not None:
                readings.append(ClockReading(asked_at, answer.said_at + HALF, clock.now()))
        return readings

    async def client(self) -> OpError | None:
        """None: the OP accepts the client, for it judged the code and not its sender. Else what
        it said; `ClientRejected` is a no, any other error says nothing about the client."""
        form = {
            "code": secrets.token_urlsafe(SECRET_BYTES),
            "redirect_uri": self._settings.redirect_uri,
            "code_verifier": secrets.token_urlsafe(SECRET_BYTES),
        }
        try:
            await self._token_endpoint.request(
                Grant.CODE, form, scope=self._settings.scope, key=await self._dpop_keys.new()
            )
        except CodeRejected:
            return None
        except OpError as error:
            return error
        return OpError("token: a code that was never given has been redeemed")

    async def userinfo(self, tokens: Tokens, sub: str, issuer: str) -> Mapping[str, object]:
        """As `UserInfo.claims`, by itself."""
        return await self._userinfo.claims(tokens, sub, issuer)

    async def silent_login(self, request: AuthorizationRequest) -> SilentLogin:
        """Send a request with `prompt=none` and see where the OP leads.

        Raises:
            OpError: no answer, or 5xx.
            LoginResponseInvalid, CallbackInvalid: its answer is not signed, as it has to be.
        """
        answer = await self._http.get("authorization", request.url)
        location = answer.location or ""
        back = self._settings.redirect_uri
        if location == back or location.startswith((f"{back}?", f"{back}#")):
            parts = urlsplit(location)
            if self._signed_responses is not None:
                response = await self._signed_responses.read(parts.query)
                return SilentLogin(answer.status, came_back=True, error=response.error or "")
            fields = dict(parse_qsl(parts.query) + parse_qsl(parts.fragment))
            error = plain_code(fields["error"]) if "error" in fields else ""
            return SilentLogin(answer.status, came_back=True, error=error)
        parts = urlsplit(location)
        return SilentLogin(answer.status, elsewhere=f"{parts.netloc}{parts.path}")
