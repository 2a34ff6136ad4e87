"""The configuration of the demo API. Plain frozen data."""

from dataclasses import dataclass

MAX_LEEWAY_SECONDS = 30


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """`discovery_url` is where the OP's metadata is fetched, if that is not below the issuer.

    `requires_dpop`: no bearer token is taken; `dpop_nonces`: proofs must have a nonce (RFC 9449).

    `leeway_seconds` forgives clock skew when a token's `exp` is judged, 30 s at most.

    `strong_acr` and `strong_login_seconds`: how strong and how recent the login must be for what is
    kept apart.

    `jwks_cooldown_seconds`: keys are asked for again after an unknown `kid`, but no more often.
    """

    issuer: str
    audience: str = "urn:demo:api"
    discovery_url: str = ""
    leeway_seconds: int = 10
    jwks_cooldown_seconds: float = 10.0
    max_body_bytes: int = 64 * 1024
    max_echo_bytes: int = 256 * 1024 * 1024
    max_notes: int = 1000
    stream_interval_seconds: float = 1.0
    strong_acr: str = "urn:demo:acr:strong"
    strong_login_seconds: int = 300
    requires_dpop: bool = False
    dpop_nonces: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.leeway_seconds <= MAX_LEEWAY_SECONDS:
            raise ValueError(f"leeway_seconds must be between 0 and {MAX_LEEWAY_SECONDS}")
