"""FAPI 2.0 by one setting: what a profile turns on, and what it asks of a client and of its OP
(Security Profile sections 5.3.3 and 5.4, Message Signing sections 5.3.2 and 5.4.2).

A profile has no code of its own where a login goes: it chooses among the settings that are there
and refuses the others. Values are written as in the configuration file; a key that is given there
wins, and must then be one that the profile allows.
"""

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from bff.errors import OpMetadataRefused
from bff.oidc.client_auth.keys import ClientKey
from bff.oidc.client_auth.methods import BY_CERTIFICATE, PRIVATE_KEY_JWT
from bff.oidc.provider.issuers import TENANT
from bff.oidc.provider.metadata import ProviderMetadata
from bff.oidc.steps.pushed_request import REQUIRED
from bff.oidc.steps.request_object import SIGNED
from bff.oidc.steps.signed_response import QUERY_JWT

ProfileName = Literal["fapi2", "fapi2-message-signing"]
PROFILES: tuple[ProfileName, ...] = get_args(ProfileName)
FAPI2, FAPI2_MESSAGE_SIGNING = PROFILES

# Section 5.4.1. Ed25519 is the newer name (RFC 9864) of EdDSA with the only curve that it allows.
ALGS = ("PS256", "ES256", "EdDSA", "Ed25519")
_AUTHENTICATION = (PRIVATE_KEY_JWT, *sorted(BY_CERTIFICATE))


@dataclass(frozen=True, slots=True)
class _Demand:
    """What a profile asks of one key of a provider's table. `must` is the rest of a sentence about
    the key, `section` where the profile says so."""

    key: str
    holds: Callable[[Any], bool]
    must: str
    section: str


@dataclass(frozen=True, slots=True)
class _Profile:
    defaults: Mapping[str, object]
    demands: tuple[_Demand, ...]


_SECURITY = _Profile(
    {
        "client_auth": PRIVATE_KEY_JWT,
        "par": REQUIRED,
        "dpop": True,
        "id_token_algs": list(ALGS),
    },
    (
        _Demand(
            "client_auth",
            lambda method: method in _AUTHENTICATION,
            f"must be one of {', '.join(_AUTHENTICATION)}",
            "section 5.3.3.1",
        ),
        _Demand("par", lambda mode: mode == REQUIRED, f'must be "{REQUIRED}"', "section 5.3.3.2"),
        # Towards APIs the gateway has no certificate, by which tokens could be bound instead.
        _Demand("dpop", lambda wanted: wanted is True, "must be true", "section 5.3.3.1"),
        _Demand(
            "id_token_algs",
            lambda algs: set(algs) <= set(ALGS),
            f"must hold none but {', '.join(ALGS)}",
            "section 5.4.1",
        ),
        _Demand("device_login", lambda wanted: not wanted, "must be false", "section 5.3.3.2"),
        _Demand("allow_http_hosts", lambda hosts: not hosts, "must be empty", "section 5.2.1"),
        # The metadata are the OP's own, at the place that belongs to the issuer.
        _Demand("endpoints", lambda by_hand: not by_hand, "must be empty", "section 5.3.3.1"),
        _Demand("discovery_url", lambda url: url is None, "must not be given", "section 5.3.3.1"),
        _Demand(
            "issuer",
            lambda issuer: TENANT not in issuer,
            "must be one issuer, which is the audience of assertions",
            "section 5.3.3.1",
        ),
    ),
)
_MESSAGE_SIGNING = _Profile(
    {**_SECURITY.defaults, "request_object": SIGNED, "response_mode": QUERY_JWT},
    (
        *_SECURITY.demands,
        _Demand(
            "request_object",
            lambda mode: mode == SIGNED,
            f'must be "{SIGNED}"',
            "Message Signing section 5.3.2",
        ),
        _Demand(
            "response_mode",
            lambda mode: mode == QUERY_JWT,
            f'must be "{QUERY_JWT}"',
            "Message Signing section 5.4.2",
        ),
    ),
)
_PROFILES: Mapping[str, _Profile] = {
    FAPI2: _SECURITY,
    FAPI2_MESSAGE_SIGNING: _MESSAGE_SIGNING,
}
# The keys that some profile asks for something.
KEYS = tuple(demand.key for demand in _MESSAGE_SIGNING.demands)


def require_profile(name: str | None) -> str | None:
    """One of `PROFILES`, or none. Raises: ValueError, with the rest of a sentence about it."""
    if name is not None and name not in PROFILES:
        raise ValueError(f"must be one of {', '.join(PROFILES)}")
    return name


def profile_defaults(given: Mapping[str, Any]) -> dict[str, object]:
    """The profile's values for the keys that a provider's table does not have; none for an unknown
    profile."""
    name = given.get("profile")
    known = _PROFILES.get(name) if isinstance(name, str) else None
    defaults = known.defaults if known is not None else {}
    return {key: copy.deepcopy(value) for key, value in defaults.items() if key not in given}


def require_profile_value(name: str | None, key: str, value: object) -> None:
    """The profile allows this value of a key. Raises: ValueError, with the rest of a sentence about
    the key."""
    for demand in _PROFILES[name].demands if name is not None else ():
        if demand.key == key and not demand.holds(value):
            raise ValueError(f'{demand.must} with profile = "{name}" (FAPI 2.0, {demand.section})')


def allowed_key(name: str | None, key: ClientKey) -> ClientKey:
    """The key, for the algorithms that the profile allows. Raises: ValueError, with the rest of a
    sentence about the key, where it has none of them."""
    return key if name is None else key.only(ALGS)


def require_metadata(name: str | None, metadata: ProviderMetadata) -> None:
    """The OP has what the profile needs. Raises: OpMetadataRefused."""
    lacking = [*what_is_lacking(name, metadata)]
    if lacking:
        raise OpMetadataRefused(f"{', '.join(lacking)} (profile {name})")


def what_is_lacking(name: str | None, metadata: ProviderMetadata) -> Iterator[str]:
    """What the profile needs of an OP whose metadata these are, beside what the single settings
    need."""
    if name is None:
        return
    if not metadata.sends_response_issuer and name == FAPI2:  # a signed answer holds it anyway
        yield "authorization_response_iss_parameter_supported is not true"
    if metadata.dpop_algs is None:  # RFC 9449 section 5.1
        yield "dpop_signing_alg_values_supported is missing"
