"""The provider's metadata: OpenID Connect Discovery 1.0 section 3, RFC 8414, RFC 9207 section 3."""

from authlib.oauth2.rfc8628 import DEVICE_CODE_GRANT_TYPE

from spa_demo.dpop import ALGORITHMS as ALGS_OF_PROOFS
from spa_demo.op.client_assertions import ALGORITHMS as ALGS_OF_ASSERTIONS
from spa_demo.op.grants import AUTH_METHODS
from spa_demo.op.keys import ALGORITHM
from spa_demo.op.request_objects import ALGORITHMS as ALGS_OF_REQUESTS
from spa_demo.op.settings import TOKEN_EXCHANGE, USER_SCOPES, OpSettings

ASSERTION_ALGS = [alg for algs in ALGS_OF_ASSERTIONS.values() for alg in algs]
CLAIMS = (
    "sub iss aud exp iat auth_time acr nonce at_hash sid "
    "name given_name family_name preferred_username email email_verified"
)


def scopes_supported(settings: OpSettings) -> list[str]:
    """What some user of this OP may grant."""
    return sorted(USER_SCOPES.union(*(user.api_scope for user in settings.users)))


def provider_metadata(settings: OpSettings) -> dict[str, object]:
    """The discovery document. `issuer` is exactly the configured one."""
    issuer = settings.issuer
    registers = settings.initial_access_token is not None
    signs_responses = settings.signed_responses
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/authorize",
        "token_endpoint": f"{issuer}/token",
        "userinfo_endpoint": f"{issuer}/userinfo",
        "jwks_uri": f"{issuer}/jwks",
        "end_session_endpoint": f"{issuer}/end-session",
        "revocation_endpoint": f"{issuer}/revoke",
        "introspection_endpoint": f"{issuer}/introspect",
        **_devices(settings),
        **_pushing(settings),
        **_binding(settings),
        **({"registration_endpoint": f"{issuer}/register"} if registers else {}),
        "scopes_supported": scopes_supported(settings),
        "claims_supported": CLAIMS.split(),
        "claim_types_supported": ["normal"],
        "acr_values_supported": list(settings.acr_values),
        "response_types_supported": ["code"],
        "response_modes_supported": settings.response_modes,
        **({"authorization_signing_alg_values_supported": [ALGORITHM]} if signs_responses else {}),
        "grant_types_supported": [
            "authorization_code",
            "refresh_token",
            "client_credentials",
            TOKEN_EXCHANGE,
            DEVICE_CODE_GRANT_TYPE,
        ],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [ALGORITHM],
        "token_endpoint_auth_methods_supported": AUTH_METHODS,
        "token_endpoint_auth_signing_alg_values_supported": ASSERTION_ALGS,
        "revocation_endpoint_auth_methods_supported": AUTH_METHODS,
        "revocation_endpoint_auth_signing_alg_values_supported": ASSERTION_ALGS,
        "introspection_endpoint_auth_methods_supported": AUTH_METHODS,
        "introspection_endpoint_auth_signing_alg_values_supported": ASSERTION_ALGS,
        "code_challenge_methods_supported": ["S256"],
        "prompt_values_supported": ["none", "login", "consent", "select_account"],
        "authorization_response_iss_parameter_supported": True,
        "backchannel_logout_supported": True,
        "backchannel_logout_session_supported": True,
        "claims_parameter_supported": False,
        "request_uri_parameter_supported": False,
        **_signed_requests(settings),
    }


def _signed_requests(settings: OpSettings) -> dict[str, object]:
    """RFC 9101 section 10.5, OIDC Discovery section 3."""
    if settings.request_objects == "off":
        return {"request_parameter_supported": False}
    return {
        "request_parameter_supported": True,
        "request_object_signing_alg_values_supported": ALGS_OF_REQUESTS,
        "require_signed_request_object": settings.request_objects == "required",
    }


def _devices(settings: OpSettings) -> dict[str, object]:
    """RFC 8628 section 4."""
    url = f"{settings.issuer}/device-authorization"
    return {"device_authorization_endpoint": url} if settings.device_login else {}


def _binding(settings: OpSettings) -> dict[str, object]:
    """RFC 9449 section 5.1."""
    return {} if settings.dpop == "off" else {"dpop_signing_alg_values_supported": ALGS_OF_PROOFS}


def _pushing(settings: OpSettings) -> dict[str, object]:
    """RFC 9126 section 5."""
    if settings.par == "off":
        return {}
    return {
        "pushed_authorization_request_endpoint": f"{settings.issuer}/par",
        "require_pushed_authorization_requests": settings.par == "required",
    }
