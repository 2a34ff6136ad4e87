"""Discovery documents: the OP cannot send us, or a browser, anywhere but to https of a plain host.

A case is the body of an answer with status 200.
"""

from collections.abc import Callable, Mapping
from random import Random
from typing import Protocol

from yarl import URL

from bff.errors import OpAnswerMalformed, OpMetadataRefused
from bff.oidc.provider.metadata import ProviderMetadata, process_metadata
from bff.oidc.provider.strict_json import JsonRefused, parse_json
from tests.fuzz.json_mutation import changed, deep, many_members, read_again, text_of
from tests.fuzz.mutation import garbage, mutated
from tests.fuzz.target import require

ISSUER = "https://op.example/realms/x"
ENDPOINTS = (
    "authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint",
    "revocation_endpoint", "end_session_endpoint",
)  # fmt: skip
GOOD: dict[str, object] = {
    "issuer": ISSUER,
    **{name: f"{ISSUER}/{name}" for name in ENDPOINTS},
    "response_types_supported": ["code", "code id_token"],
    "code_challenge_methods_supported": ["plain", "S256"],
    "token_endpoint_auth_methods_supported": ["client_secret_basic"],
    "authorization_response_iss_parameter_supported": True,
    "scopes_supported": ["openid", "offline_access"],
}
WORDS: tuple[object, ...] = (
    ISSUER, ISSUER + "/", "http://op.example/x", "https://", "https:///x", "https://op.example:0/x",
    "https://op.example:99999/", "https://op.example:x/", "https://user@op.example/", "https://[::1]/",
    "https://op.example/#f", "https://op.example/?a=b", "//op.example/x", "/x", "https:op.example",
    "https://op.example\\@evil.example/", "https://op.example /", "https://op.example\n/",
    "https://op.ex\u00e4mple/", "https://127.1/", "https://[fe80::1%25eth0]/", "ftp://op.example/",
    "HTTPS://op.example/", "https://op.example/%0d%0a", "https://op.example/\"><script>", ["S256"],
    "javascript:alert(1)", "https://evil.example/", ["plain"], ["code"], "true", "S256 code",
    "http://127.0.0.1/", "http://localhost/", "https://op.example/" + "a" * 2040, "https://.../",
)  # fmt: skip


class Subject(Protocol):
    """As `process_metadata`."""

    def __call__(
        self, status: int, document: object, *, issuer: str, allow_insecure_http: bool = False
    ) -> ProviderMetadata: ...


class MetadataTarget:
    """The subject judges a document."""

    name = "discovery"

    def __init__(self, subject: Subject = process_metadata) -> None:
        self._subject = subject

    def case(self, random: Random) -> bytes:
        if random.random() < 0.03:
            return garbage(random)
        value: object = changed(random, GOOD, WORDS) if random.random() < 0.8 else GOOD
        body = text_of(random, value)
        return mutated(random, body) if random.random() < 0.1 else body

    def judge(self, case: bytes) -> bool:
        try:
            document = parse_json(case)
            metadata = self._subject(200, document, issuer=ISSUER)
        except (JsonRefused, OpAnswerMalformed, OpMetadataRefused):
            return False
        again = read_again(case)
        require(isinstance(again, dict) and document == again, "another reading of the JSON")
        if isinstance(again, dict):
            _judge(metadata, again)
        return True

    def families(self) -> Mapping[str, Callable[[int], bytes]]:
        def with_endpoint(url: str) -> bytes:
            return text_of(Random(0), {**GOOD, "token_endpoint": url})  # noqa: S311 - any will do

        return {
            "depth": deep,
            "members": many_members,
            "url": lambda size: with_endpoint("https://" + "a" * size),
            "dots": lambda size: with_endpoint("https://" + "a." * (size // 2)),
        }


def _judge(metadata: ProviderMetadata, document: Mapping[str, object]) -> None:
    require(metadata.issuer == document.get("issuer") == ISSUER, "another issuer")
    for name in ENDPOINTS:
        url = getattr(metadata, name)
        require(url == document.get(name), f"{name} is not the OP's")
        if url is not None:
            _judge_url(name, url)
    for name, needed in (("response_types", "code"), ("code_challenge_methods", "S256")):
        listed = document.get(f"{name}_supported")
        require(listed is None or (isinstance(listed, list) and needed in listed), f"no {needed}")
    sends = document.get("authorization_response_iss_parameter_supported") is True
    require(metadata.sends_response_issuer == sends, "another promise to send iss")


def _judge_url(name: str, text: str) -> None:
    """Read by the parser of the client that will fetch it."""
    url = URL(text, encoded=True)
    require(url.scheme == "https" and bool(url.host), f"{name} is not https")
    require(url.user is None and url.password is None, f"{name} has a user")
    require(not url.raw_fragment and "#" not in text, f"{name} has a fragment")
    require(text.isascii() and text.isprintable() and " " not in text, f"{name} fits no header")
    authority = text.split("://", 1)[1].replace("?", "/").partition("/")[0]
    require(not set(authority) & set("\\@#%<>\"'"), f"{name} has an odd host")
    require(url.host is not None and url.host.lower() in authority.lower(), f"{name} has two hosts")
