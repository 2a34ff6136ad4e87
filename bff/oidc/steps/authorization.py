"""The authorization request (RFC 6749 section 4.1.1, OIDC Core section 3.1.2.1, RFC 7636): always
`response_type=code`, always PKCE S256, with a state, nonce and verifier of its own.

Which parameters go out is decided here: the browser fills in `LoginRequest` and nothing else.
"""

import hashlib
import re
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from bff.errors import OpMetadataRefused
from bff.oidc.dpop import DpopKey
from bff.oidc.provider.endpoint_url import Parameters, parameter_names, with_parameters
from bff.oidc.steps.authorization_details import Details

SECRET_BYTES = 32  # 43 characters of base64url: RFC 7636 section 4.1, and a nonce under 64

# What neither the configuration nor the OP's own query string may set: protocol parameters, and
# those whose answer is verified against what this one login asked for.
RESERVED_PARAMETERS = frozenset(
    {
        "response_type",
        "client_id",
        "redirect_uri",
        "scope",
        "state",
        "nonce",
        "code_challenge",
        "code_challenge_method",
        "response_mode",
        "acr_values",
        "max_age",
        "authorization_details",
        "request",
        "request_uri",
        "registration",
        "client_secret",
        "client_assertion",
        "client_assertion_type",
        "code_verifier",
        "id_token_hint",
        "dpop_jkt",
    }
)


# Those of `/bff/login` that mean something to the gateway, in lower case; and the one by which a
# browser could ask the OP for more than the application does (OIDC Core section 5.5).
OWN_LOGIN_PARAMETERS = frozenset(
    {
        *("returnurl", "return_to", "target_link_uri", "idp", "iss", "org"),
        *("prompt", "login_hint", "ui_locales", "max_age", "acr_values"),
        "claims",
    }
)
NOTHING: Mapping[str, str] = MappingProxyType({})
_PARAMETER = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class LoginRequest:
    """What the application may ask for at one login. `max_age` is in seconds; `passed_on` are
    parameters of the OP's own, which the configuration allows. `authorization_details` are asked
    for beside those of every login (RFC 9396)."""

    prompt: str | None = None
    login_hint: str | None = field(default=None, repr=False)
    acr_values: tuple[str, ...] = ()
    max_age: int | None = None
    ui_locales: str | None = None
    passed_on: Mapping[str, str] = field(default_factory=lambda: NOTHING, repr=False)
    authorization_details: Details = field(default=(), repr=False)

    def parameters(self) -> dict[str, str]:
        named = {
            "prompt": self.prompt,
            "login_hint": self.login_hint,
            "acr_values": " ".join(self.acr_values),
            "max_age": None if self.max_age is None else str(self.max_age),
            "ui_locales": self.ui_locales,
        }
        return {**self.passed_on, **{name: value for name, value in named.items() if value}}


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """Where to send the browser, and what the login transaction must remember. `parameters` are all
    that is asked, also where they are no part of `url`; `resources` are those among them;
    `dpop_key` is the text of the key that the code will be bound to."""

    url: str = field(repr=False)
    state: str = field(repr=False)
    nonce: str = field(repr=False)
    code_verifier: str = field(repr=False)
    parameters: Parameters = field(default_factory=lambda: NOTHING, repr=False)
    resources: tuple[str, ...] = ()
    dpop_key: str | None = field(default=None, repr=False)


def s256_challenge(code_verifier: str) -> str:
    """RFC 7636 section 4.2."""
    digest = hashlib.sha256(code_verifier.encode("ascii")).digest()
    return urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


def is_reserved(name: str) -> bool:
    """In any case of letters: some OPs tell none from the other."""
    return name.lower() in RESERVED_PARAMETERS


def require_unreserved(parameters: Mapping[str, str]) -> None:
    """Raises: ValueError when static parameters would override the protocol's."""
    reserved = sorted(filter(is_reserved, parameters))
    if reserved:
        raise ValueError(f"must not hold {', '.join(reserved)}, set by the gateway")


def require_login_parameter(name: str) -> None:
    """Raises: ValueError when a name that a login may pass on means something else already."""
    if not _PARAMETER.fullmatch(name):
        raise ValueError("must be of letters, digits, - and _")
    if is_reserved(name) or name.lower() in OWN_LOGIN_PARAMETERS:
        raise ValueError("is set or read by the gateway itself")


def resources_of(static: Mapping[str, str], resource: tuple[str, ...]) -> tuple[str, ...]:
    """The APIs that a request asks for, each once (RFC 8707 section 2.1)."""
    named = (static.get("resource"), *resource)
    return tuple(dict.fromkeys(one for one in named if one))


def authorization_request(
    endpoint: str,
    *,
    client_id: str,
    redirect_uri: str,
    scope: str,
    static: Mapping[str, str],
    resource: tuple[str, ...] = (),
    response_mode: str | None = None,
    authorization_details: str = "",
    dpop_key: DpopKey | None = None,
    login: LoginRequest,
) -> AuthorizationRequest:
    """A request that can't be guessed. `static` gives defaults that the login may override.
    `resource` is what tokens of the login may be for, beside one in `static` (RFC 8707 section
    2.1). `authorization_details` are JSON text (RFC 9396 section 2). With `dpop_key` the code is of
    use with that key only (RFC 9449 section 10). Without a `response_mode` the OP's answer is a
    plain query.

    Raises:
        OpMetadataRefused: the endpoint's own query already holds one of our parameters.
        ValueError: `static` holds a reserved one.
    """
    require_unreserved(static)
    resources = resources_of(static, resource)
    state, nonce, code_verifier = (secrets.token_urlsafe(SECRET_BYTES) for _ in range(3))
    parameters: dict[str, str | tuple[str, ...]] = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": redirect_uri,
        "scope": scope,
        "state": state,
        "nonce": nonce,
        "code_challenge": s256_challenge(code_verifier),
        "code_challenge_method": "S256",
        **({"response_mode": response_mode} if response_mode is not None else {}),
        **static,
        **login.parameters(),
        **({"resource": resources} if resources else {}),
        **({"authorization_details": authorization_details} if authorization_details else {}),
        **({"dpop_jkt": dpop_key.thumbprint} if dpop_key is not None else {}),
    }
    # RFC 6749 section 3.1: a parameter must not be included more than once.
    if parameter_names(endpoint) & (RESERVED_PARAMETERS | parameters.keys()):
        raise OpMetadataRefused("authorization_endpoint holds a reserved parameter")
    url = with_parameters(endpoint, parameters)
    return AuthorizationRequest(
        url,
        state,
        nonce,
        code_verifier,
        parameters,
        resources,
        dpop_key.text if dpop_key is not None else None,
    )
