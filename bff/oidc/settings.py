"""The relying party's settings. Whatever is wrong with them is said when they are made, before
anything is fetched."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from urllib.parse import urlsplit

from bff.oidc import authorization, end_session
from bff.oidc.client_auth import CLIENT_SECRET_BASIC, METHODS
from bff.oidc.endpoint_url import PlainHttp, is_endpoint_url
from bff.oidc.jwks import KEY_OF_ALG

NO_PARAMETERS: Mapping[str, str] = MappingProxyType({})
MAX_LEEWAY_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class RelyingPartySettings:
    """One OP, and one client registered there.

    `authorization_params` are defaults for the authorization request (an `audience`, a `prompt`);
    `end_session_params` go to the end-session endpoint. `trusted_audiences` may stand beside us in
    `aud`. `allow_logout_tokens_without_exp` accepts what an older OP sends. Plain http is for
    loopback; `allow_insecure_http` lifts that for a closed network.

    The answer to a refresh is waited for longer than any other: it may hold the only copy of a
    rotated token, and an OP that hung for a while will have spent the old one.

    Raises:
        ValueError: for a setting that cannot work or would weaken the protocol.
    """

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    redirect_uri: str
    post_logout_redirect_uri: str | None = None
    scope: str = "openid"
    client_auth: str = CLIENT_SECRET_BASIC
    id_token_algs: tuple[str, ...] = ("RS256",)
    trusted_audiences: tuple[str, ...] = ()
    authorization_params: Mapping[str, str] = field(default_factory=lambda: NO_PARAMETERS)
    end_session_params: Mapping[str, str] = field(default_factory=lambda: NO_PARAMETERS)
    userinfo: bool = False
    send_id_token_hint: bool = True
    backchannel_logout_session_required: bool = False
    allow_logout_tokens_without_exp: bool = False
    leeway_seconds: float = 30.0
    timeout_seconds: float = 10.0
    refresh_timeout_seconds: float = 60.0
    revocation_timeout_seconds: float = 3.0
    ca_file: str | None = None
    allow_insecure_http: bool = False

    def __post_init__(self) -> None:
        self._require_issuer()
        if not self.client_id or not self.client_secret:
            raise ValueError("client_id and client_secret must not be empty")
        if self.client_auth not in METHODS:  # no public clients
            raise ValueError(f"client_auth must be one of {', '.join(METHODS)}")
        if "openid" not in self.scope.split():  # OIDC Core section 3.1.2.1
            raise ValueError("scope must contain openid")
        unknown = sorted(set(self.id_token_algs) - KEY_OF_ALG.keys())
        if unknown or not self.id_token_algs:
            raise ValueError(f"id_token_algs must be some of {', '.join(KEY_OF_ALG)}")
        if not 0 <= self.leeway_seconds <= MAX_LEEWAY_SECONDS:
            raise ValueError(f"leeway_seconds must be from 0 to {MAX_LEEWAY_SECONDS:.0f}")
        authorization.require_unreserved(self.authorization_params)
        end_session.require_unreserved(self.end_session_params)

    def _require_issuer(self) -> None:
        plain_http = PlainHttp.ANYWHERE if self.allow_insecure_http else PlainHttp.LOOPBACK
        # Discovery section 3: neither query nor fragment.
        if not is_endpoint_url(self.issuer, plain_http) or "?" in self.issuer:
            raise ValueError(
                "issuer must be an https URL (http only for loopback), without a query"
            )
        if urlsplit(self.issuer).path.endswith("/.well-known/openid-configuration"):
            raise ValueError("issuer is the address before /.well-known/openid-configuration")
