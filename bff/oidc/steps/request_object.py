"""Signed authorization requests (RFC 9101, OIDC Core section 6): all parameters are claims of a JWT
that the gateway signs with its first client key, so that none can be changed on the way through the
browser. A request that is to be signed never goes out unsigned instead.

The JWT is for this OP, for a few minutes and for nothing else: its `typ` and the missing `sub` keep
it from being taken for a client assertion (RFC 9101 sections 10.8 and 10.8.1).
"""

import json
import secrets
from collections.abc import Collection, Mapping
from typing import Literal, get_args

from bff.errors import OpMetadataRefused
from bff.oidc.client_auth.keys import ClientKey, signed_jwt
from bff.oidc.client_auth.methods import audience_of
from bff.oidc.provider.endpoint_url import Parameters
from bff.oidc.provider.metadata import ProviderMetadata
from bff.oidc.provider.op_text import quoted

RequestObjectMode = Literal["off", "signed"]
MODES: tuple[RequestObjectMode, ...] = get_args(RequestObjectMode)
OFF, SIGNED = MODES

TYP = "oauth-authz-req+jwt"  # RFC 9101 section 4
# A browser may take its time to bring it. FAPI 2.0 Message Signing section 5.3.1 allows an hour.
LIFETIME_SECONDS = 300
# An OP whose clock is behind ours refuses what is not valid yet.
_VALID_EARLIER_SECONDS = 5
_ID_BYTES = 16

# Of the JWT itself (RFC 7519 section 4.1): as parameters of a request they would take its meaning.
_CLAIMS_OF_A_JWT = frozenset({"iss", "sub", "aud", "exp", "nbf", "iat", "jti"})
# OIDC Core sections 5.5 and 6.1, RFC 9396 section 3: JSON in the JWT, its text in a query.
_JSON_PARAMETERS = frozenset({"claims", "authorization_details"})
# OIDC Core section 6.1: these stand beside the request that the browser brings, with equal values.
_BESIDE = ("response_type", "client_id", "scope")


def require_request_object_mode(mode: str) -> str:
    """One of `MODES`. Raises: ValueError, with the rest of a sentence about the setting."""
    if mode not in MODES:
        raise ValueError(f"must be one of {', '.join(MODES)}")
    return mode


def require_no_claims(names: Collection[str]) -> None:
    """Raises: ValueError when parameters of a signed request would stand for claims of the JWT."""
    taken = sorted(_CLAIMS_OF_A_JWT.intersection(names))
    if taken:
        raise ValueError(f"must not hold {', '.join(taken)}, a claim of the signed request itself")


def signing_alg(mode: str, keys: tuple[ClientKey, ...], metadata: ProviderMetadata) -> str | None:
    """The algorithm to sign requests with; None where they go out as they are.

    Raises:
        OpMetadataRefused: they must be signed, by our settings or the OP's (RFC 9101 section 10.5),
            and they can't be.
    """
    if mode == OFF:
        if metadata.requires_request_object:
            raise OpMetadataRefused(
                'require_signed_request_object is true, and request_object is "off"'
            )
        return None
    if not metadata.takes_request_object:
        raise OpMetadataRefused("request_parameter_supported is false")
    alg = keys[0].alg_for(metadata.request_object_algs)
    if alg is None:
        raise OpMetadataRefused(
            "request_object_signing_alg_values_supported has none of "
            f"{', '.join(keys[0].algs)}: {quoted(metadata.request_object_algs or ())}"
        )
    return alg


def request_object(
    parameters: Parameters, key: ClientKey, alg: str, metadata: ProviderMetadata, now: float
) -> str:
    """The JWT of a request with these parameters, `client_id` among them (RFC 9101 section 4)."""
    claims = {
        **{name: _as_claim(name, value) for name, value in parameters.items()},
        "iss": parameters["client_id"],
        "aud": audience_of(metadata),
        "jti": secrets.token_urlsafe(_ID_BYTES),
        "iat": int(now) - _VALID_EARLIER_SECONDS,
        "nbf": int(now) - _VALID_EARLIER_SECONDS,
        "exp": int(now) + LIFETIME_SECONDS,
    }
    return signed_jwt(alg, key.material, key.kid, claims, typ=TYP)


def by_value(parameters: Parameters, signed: str) -> Parameters:
    """What the browser brings: the JWT, and beside it what OIDC Core section 6.1 wants there."""
    return {**{name: parameters[name] for name in _BESIDE}, "request": signed}


def to_push(parameters: Parameters, signed: str) -> Parameters:
    """What is pushed: nothing of the request but the JWT (RFC 9126 section 3)."""
    return {"client_id": parameters["client_id"], "request": signed}


def _as_claim(name: str, value: str | tuple[str, ...]) -> object:
    """RFC 9101 section 4: numbers and JSON as such, a parameter that comes more than once as a
    list (RFC 8707 section 2.1)."""
    if isinstance(value, tuple):
        return value[0] if len(value) == 1 else list(value)
    if name == "max_age":
        return int(value)
    return _json_of(value) if name in _JSON_PARAMETERS else value


def _json_of(text: str) -> Mapping[str, object] | list[object] | str:
    try:
        found = json.loads(text)
    except ValueError:
        return text
    return found if isinstance(found, dict | list) else text
