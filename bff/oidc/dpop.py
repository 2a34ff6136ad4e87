"""DPoP (RFC 9449): the keys that access tokens are bound to, the proofs that a request is made by
the holder of such a key, and the nonces that a server wants to see in them.

Each login has a key of its own, and the gateway has one for its own tokens. A private key leaves
the process only within the sealed record of its session or login.
"""

import functools
import hashlib
import json
import re
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils
from joserfc.jwk import ECKey, JWKRegistry, OKPKey

from bff.bounded_map import BoundedMap
from bff.clock import Clock
from bff.errors import OpMetadataRefused
from bff.oidc.provider.metadata import Discovery
from bff.oidc.provider.op_text import quoted

# In order of preference; an OP that lists none takes ES256, the one that all servers know.
ALGS = ("ES256", "EdDSA", "Ed25519")
USE_NONCE = "use_dpop_nonce"  # RFC 9449 sections 8 and 9
FIELD = "DPoP"
TYP = "dpop+jwt"

MAX_KEYS = 10_000
MAX_SERVERS = 1000
MAX_NONCE_CHARS = 1024
_ID_BYTES = 16
_COORDINATE_BYTES = 32
_NONCE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")  # RFC 9449 section 8.1
_SHA256 = ec.ECDSA(hashes.SHA256())
_to_json = json.JSONEncoder(separators=(",", ":")).encode

_Private = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


@dataclass(frozen=True, slots=True)
class DpopKey:
    """A private key. `thumbprint` is the `jkt` that servers know it by (RFC 7638); `text` is the
    key itself, for a sealed record: a JWK with its `alg`."""

    thumbprint: str
    text: str = field(repr=False)
    _private: _Private = field(repr=False, compare=False)
    _header: str = field(repr=False, compare=False)

    def proof(
        self, method: str, url: str, now: float, *, access_token: str = "", nonce: str | None = None
    ) -> str:
        """One for one request to `url`, which has neither query nor fragment (section 4.2). With
        the access token that the request carries, if it is one to a resource server."""
        claims: dict[str, object] = {
            "jti": secrets.token_urlsafe(_ID_BYTES),
            "htm": method,
            "htu": url,
            "iat": int(now),
        }
        if access_token:
            claims["ath"] = _base64url(hashlib.sha256(access_token.encode("ascii")).digest())
        if nonce is not None:
            claims["nonce"] = nonce
        signed = f"{self._header}.{_encoded(claims)}"
        return f"{signed}.{_base64url(self._signature(signed.encode('ascii')))}"

    def _signature(self, data: bytes) -> bytes:
        if isinstance(self._private, ed25519.Ed25519PrivateKey):
            return self._private.sign(data)
        r, s = utils.decode_dss_signature(self._private.sign(data, _SHA256))
        return r.to_bytes(_COORDINATE_BYTES) + s.to_bytes(_COORDINATE_BYTES)  # RFC 7518 section 3.4


def new_key(alg: str) -> DpopKey:
    """A fresh key for one of `ALGS`."""
    is_ec = alg == ALGS[0]
    material = ECKey.generate_key("P-256") if is_ec else OKPKey.generate_key("Ed25519")
    return _key_of(material, alg)


@functools.lru_cache(MAX_KEYS)  # of the sessions in use; to read one takes longer than to sign
def stored_key(text: str) -> DpopKey:
    """The key of a record."""
    members = json.loads(text)
    material = JWKRegistry.import_key(members)
    if not isinstance(material, ECKey | OKPKey):
        raise TypeError("a key of another kind")
    return _key_of(material, members["alg"])


def _key_of(material: ECKey | OKPKey, alg: str) -> DpopKey:
    private = material.private_key
    if not isinstance(private, _Private):
        raise TypeError("a key of another kind")
    text = _to_json({**_members(material, private=True), "alg": alg})
    # Section 4.2: no private member.
    header = {"typ": TYP, "alg": alg, "jwk": _members(material, private=False)}
    return DpopKey(material.thumbprint(), text, private, _encoded(header))


def _members(material: ECKey | OKPKey, *, private: bool) -> dict[str, object]:
    members = material.as_dict(private=private)
    return {name: members[name] for name in ("kty", "crv", "x", "y", "d") if name in members}


def chosen_alg(listed: Collection[str] | None) -> str:
    """What to sign with, of the algorithms that an OP lists.

    Raises:
        OpMetadataRefused: it lists none of ours.
    """
    if listed is None:
        return ALGS[0]
    found = next((alg for alg in ALGS if alg in listed), None)
    if found is None:
        raise OpMetadataRefused(
            f"dpop_signing_alg_values_supported has none of {', '.join(ALGS)}: {quoted(listed)}"
        )
    return found


class DpopKeys:
    """Those of one client at one OP. `is_wanted`: tokens are to be bound."""

    def __init__(self, discovery: Discovery, *, is_wanted: bool) -> None:
        self._discovery = discovery
        self._is_wanted = is_wanted
        self._own: DpopKey | None = None

    async def of(self, text: str | None) -> DpopKey | None:
        """The key of a session or a login, `text` being what its record has of it. Without one a
        fresh key, for one that was begun before tokens were to be bound; None where they are not.
        Raises: OpError.
        """
        return stored_key(text) if text is not None else await self.new()

    async def new(self) -> DpopKey | None:
        """A fresh one, if tokens are to be bound. Raises: OpError."""
        if not self._is_wanted:
            return None
        return new_key(chosen_alg((await self._discovery.metadata()).dpop_algs))

    async def own(self) -> DpopKey | None:
        """That of the tokens of the gateway itself, as long as the process lives. Raises:
        OpError."""
        if self._own is None:
            self._own = await self.new()
        return self._own


class Proofs:
    """Makes them for one kind of server, and keeps the newest nonce of each: a process learns it
    from an answer (sections 8.2 and 9)."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._nonces: BoundedMap[str, str] = BoundedMap(MAX_SERVERS)

    def proof(
        self, key: DpopKey, method: str, server: str, path: str, *, access_token: str = ""
    ) -> str:
        """For a request to `path` at `server`, scheme and authority of its URL."""
        nonce = self._nonces.get(server)
        now = self._clock.now()
        return key.proof(method, server + path, now, access_token=access_token, nonce=nonce)

    def nonce_of(self, server: str) -> str | None:
        return self._nonces.get(server)

    def keep_nonce(self, server: str, offered: str | None) -> None:
        """What an answer had for the next request; one that is none is not kept."""
        if offered and len(offered) <= MAX_NONCE_CHARS and _NONCE.fullmatch(offered):
            self._nonces[server] = offered


def server_and_path(url: str) -> tuple[str, str]:
    """The parts of a URL that a proof names; neither query nor fragment is among them."""
    scheme, _, rest = url.partition("://")
    authority, slash, path = re.split(r"[?#]", rest, maxsplit=1)[0].partition("/")
    return f"{scheme}://{authority}", f"{slash}{path}" or "/"


def _encoded(members: Mapping[str, object]) -> str:
    return _base64url(_to_json(members).encode("ascii"))


def _base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
