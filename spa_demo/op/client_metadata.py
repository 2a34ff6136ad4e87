"""Judges what a client says of itself when it registers: RFC 7591 section 2, OpenID Connect Dynamic
Client Registration 1.0 section 2, RP-Initiated Logout 1.0 section 3.1, Back-Channel Logout 1.0
section 2.2. Pure.

Strict where a mistake would send codes astray: a redirect URI is complete, https or loopback, and
has neither wildcard nor fragment. What this OP does not know is left out of the answer (RFC 7591
section 2), and scopes that it does not have as well.
"""

from collections.abc import Mapping

from authlib.oauth2.rfc8628 import DEVICE_CODE_GRANT_TYPE
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from bff.oidc.provider.endpoint_url import PlainHttp, is_endpoint_url
from spa_demo.op.client_assertions import BY_KEY, BY_SECRET
from spa_demo.op.grants import AUTH_METHODS
from spa_demo.op.keys import ALGORITHM
from spa_demo.op.settings import Client

GRANT_TYPES = (
    "authorization_code",
    "refresh_token",
    "client_credentials",
    DEVICE_CODE_GRANT_TYPE,
)
BY_PLAIN_SECRET = frozenset({"client_secret_basic", "client_secret_post"})
MOST_URIS = 10
MOST_NAME_CHARS = 200


class RegistrationRefused(Exception):
    """`code` is an error of RFC 7591 section 3.2.2."""

    def __init__(self, code: str, description: str) -> None:
        super().__init__(description)
        self.code = code
        self.description = description


def process_client_metadata(
    asked: object, scopes: frozenset[str], *, takes_signed_requests: bool = False
) -> dict[str, object]:
    """What will be registered, defaults included.

    Raises: RegistrationRefused.
    """
    if not isinstance(asked, Mapping):
        raise RegistrationRefused("invalid_client_metadata", "The body is not a JSON object.")
    if asked.get("software_statement") is not None:
        raise RegistrationRefused(
            "unapproved_software_statement", "This OP knows no publisher of statements."
        )
    accepted: dict[str, object] = {
        "redirect_uris": _uris(asked, "redirect_uris", "invalid_redirect_uri", required=True),
        "post_logout_redirect_uris": _uris(asked, "post_logout_redirect_uris"),
        "token_endpoint_auth_method": _one_of(
            asked, "token_endpoint_auth_method", AUTH_METHODS, "client_secret_basic"
        ),
        "grant_types": _some_of(asked, "grant_types", GRANT_TYPES, ["authorization_code"]),
        "response_types": _some_of(asked, "response_types", ("code",), ["code"]),
        "id_token_signed_response_alg": _one_of(
            asked, "id_token_signed_response_alg", [ALGORITHM], ALGORITHM
        ),
        "scope": _scope(asked, scopes),
    }
    signs = takes_signed_requests and asked.get("require_signed_request_object") is True
    if signs:
        accepted["require_signed_request_object"] = True
    if signs or accepted["token_endpoint_auth_method"] == BY_KEY:
        accepted["jwks"] = _jwks(asked.get("jwks"))
    for name in ("client_uri", "backchannel_logout_uri"):
        if asked.get(name) is not None:
            accepted[name] = _uri(name, asked[name], "invalid_client_metadata")
    if "backchannel_logout_uri" in accepted:
        # Every logout token of this OP that ends one session names it.
        accepted["backchannel_logout_session_required"] = True
    if asked.get("client_name") is not None:
        accepted["client_name"] = _name(asked["client_name"])
    return accepted


def as_client(client_id: str, client_secret: str, metadata: Mapping[str, object]) -> Client:
    """The client that this metadata describes."""
    uris, after_logout = metadata["redirect_uris"], metadata["post_logout_redirect_uris"]
    grant_types, logout_uri = metadata["grant_types"], metadata.get("backchannel_logout_uri")
    method, jwks = str(metadata["token_endpoint_auth_method"]), metadata.get("jwks")
    return Client(
        client_id,
        client_secret,
        redirect_uris=tuple(uris) if isinstance(uris, list) else (),
        post_logout_redirect_uris=tuple(after_logout) if isinstance(after_logout, list) else (),
        scope=str(metadata["scope"]),
        backchannel_logout_uri=logout_uri if isinstance(logout_uri, str) else None,
        grant_types=frozenset(grant_types) if isinstance(grant_types, list) else frozenset(),
        auth_methods=frozenset({method}) if method in (BY_KEY, BY_SECRET) else BY_PLAIN_SECRET,
        jwks=jwks if isinstance(jwks, Mapping) else None,
        must_sign_requests=metadata.get("require_signed_request_object") is True,
    )


def _jwks(value: object) -> Mapping[str, object]:
    """By value: this OP fetches no `jwks_uri`."""
    try:
        KeySet.import_key_set(value)  # type: ignore[arg-type]  # judged by what it raises
    except (JoseError, ValueError, TypeError, KeyError, AttributeError):
        raise RegistrationRefused(
            "invalid_client_metadata", "jwks is missing or holds no usable keys."
        ) from None
    return value if isinstance(value, Mapping) else {}


def _uris(
    asked: Mapping[str, object],
    name: str,
    code: str = "invalid_client_metadata",
    *,
    required: bool = False,
) -> list[str]:
    values = asked.get(name, [])
    if not isinstance(values, list) or len(values) > MOST_URIS or (required and not values):
        raise RegistrationRefused(code, f"{name} is missing, no list, or too long.")
    return [_uri(name, value, code) for value in values]


def _uri(name: str, value: object, code: str) -> str:
    # RFC 9700 section 2.1: compared exactly, so a wildcard can only be a mistake or an attack.
    if not is_endpoint_url(value, PlainHttp.LOOPBACK) or "*" in str(value):
        raise RegistrationRefused(
            code,
            f"{name} must be https, or http to loopback, without wildcard, fragment or user.",
        )
    return str(value)


def _one_of(asked: Mapping[str, object], name: str, known: list[str], default: str) -> str:
    value = asked.get(name, default)
    if not isinstance(value, str) or value not in known:
        raise RegistrationRefused("invalid_client_metadata", f"{name} is none of this OP's.")
    return value


def _some_of(
    asked: Mapping[str, object], name: str, known: tuple[str, ...], default: list[str]
) -> list[str]:
    values = asked.get(name, default)
    if not isinstance(values, list) or not values or not set(map(str, values)) <= set(known):
        raise RegistrationRefused("invalid_client_metadata", f"{name} has what this OP has not.")
    return list(dict.fromkeys(values))


def _scope(asked: Mapping[str, object], scopes: frozenset[str]) -> str:
    value = asked.get("scope", "openid")
    if not isinstance(value, str):
        raise RegistrationRefused("invalid_client_metadata", "scope is no string.")
    return " ".join(token for token in dict.fromkeys(value.split()) if token in scopes)


def _name(value: object) -> str:
    if not isinstance(value, str) or not value.isprintable() or len(value) > MOST_NAME_CHARS:
        raise RegistrationRefused("invalid_client_metadata", "client_name is no short text.")
    return value
