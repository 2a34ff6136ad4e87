"""The authorization response: one value of each of our parameters, one of code and error, and
nothing in the OP's own words but a plain code."""

import re
from collections.abc import Callable, Mapping
from random import Random
from urllib.parse import unquote_to_bytes

from bff.errors import (
    CallbackInvalid,
    IssuerMismatch,
    LoginDenied,
    LoginRefused,
    OpUnavailable,
    StepUpNotMet,
)
from bff.oidc.provider.issuers import TrustedIssuers
from bff.oidc.provider.metadata import ProviderMetadata
from bff.oidc.steps.callback import (
    MAX_RESPONSE_CHARS,
    AuthorizationResponse,
    process_callback,
    require_code,
    require_issuer,
)
from tests.fuzz.mutation import garbage, mutated
from tests.fuzz.target import Finding, require

ISSUER = "https://op.example"
METADATA = ProviderMetadata(
    ISSUER, f"{ISSUER}/a", f"{ISSUER}/t", f"{ISSUER}/j", sends_response_issuer=True
)
NAMES = [b"state", b"code", b"iss", b"error", b"error_description", b"session_state", b"x"]
VALUES = [
    b"abc", b"", b"a%20b", b"a+b", b"%C3%A4", b"%ff", b"%00", b"%0d%0a", b"%61ccess_denied",
    b"a=b", b"https://op.example", b"https://op.example/", b"https://evil.example",
    b"access_denied", b"login_required", b"server_error", b"unmet_authentication_requirements",
    b"Access_Denied", b"%3Cscript%3E", b"x" * 200, b"https%3A%2F%2Fop.example", b"\xc3\xa4",
    b"server_error\xa0",
]  # fmt: skip
WORDS = [b"&", b";", b"=", b"&&", b"%26", b"%3D", b"state=", b"&code=", b"st%61te=", b"#", *VALUES]
USUAL = [b"state=s1", b"code=c1", b"iss=https%3A%2F%2Fop.example"]
KNOWN = re.compile(r"[a-z_]{1,40}")


class CallbackTarget:
    """The subject reads the query string of the callback."""

    name = "callback"

    def __init__(self, subject: Callable[[str], AuthorizationResponse] = process_callback) -> None:
        self._subject = subject

    def case(self, random: Random) -> bytes:
        if random.random() < 0.1:
            return garbage(random, WORDS)
        pairs = list(USUAL)
        if random.random() < 0.3:
            pairs[1] = b"error=" + random.choice(VALUES)
        pairs += [
            random.choice(NAMES) + b"=" + random.choice(VALUES)
            for _ in range(random.choice((0, 0, 0, 1, 2, 40)))
        ]
        if random.random() < 0.2:
            del pairs[random.randrange(len(pairs))]
        random.shuffle(pairs)
        case = b"&".join(pairs)
        return mutated(random, case, WORDS) if random.random() < 0.5 else case

    def judge(self, case: bytes) -> bool:
        try:
            response = self._subject(case.decode("latin-1"))
        except CallbackInvalid as error:
            require(error.log_detail.isascii() and len(error.log_detail) < 80, "a long detail")
            return False
        require(len(case) <= MAX_RESPONSE_CHARS, "longer than any response may be")
        sent = {name: values_of(case, name) for name in ("state", "code", "iss", "error")}
        found = {"state": response.state, "code": response.code, "iss": response.iss}
        for name, value in found.items():
            require(
                sent[name] == ([] if value is None else [value]), f"{name} is not what was sent"
            )
        require(bool(response.state), "no state")
        require((response.code is None) != (response.error is None), "not one of code and error")
        require(len(sent["error"]) == (response.error is not None), "error is not what was sent")
        for value in (*sent["error"], *found.values()):
            require(value is None or (value.isascii() and value.isprintable()), "odd characters")
        if response.error is not None:
            spoken = sent["error"][0] if KNOWN.fullmatch(sent["error"][0]) else "unreadable"
            require(response.error == spoken, "an error that is no plain code")
        return _is_followed(response)

    def families(self) -> Mapping[str, Callable[[int], bytes]]:
        return {
            "pairs": lambda size: b"a=b&" * (size // 4),
            "ampersands": lambda size: b"&" * size,
            "escapes": lambda size: b"state=" + b"%C3" * (size // 3),
            "percents": lambda size: b"state=" + b"%" * size,
        }


def values_of(query: bytes, name: str) -> list[str]:
    """The values of one parameter that are not empty (RFC 6749 appendix B, read once more)."""
    found = []
    for part in query.split(b"&"):
        key, _, value = part.replace(b"+", b" ").partition(b"=")
        if unquote_to_bytes(key) == name.encode() and value:
            found.append(unquote_to_bytes(value).decode("utf-8", "replace"))
    return found


def _is_followed(response: AuthorizationResponse) -> bool:
    """Whether the login goes on: the issuer is right, and it is a code."""
    try:
        require_issuer(response.iss, METADATA, TrustedIssuers(ISSUER))
    except IssuerMismatch:
        require(response.iss != ISSUER, "the right issuer is refused")
        return False
    require(response.iss == ISSUER, "another issuer is accepted")
    try:
        code = require_code(response)
    except (LoginDenied, LoginRefused, OpUnavailable, StepUpNotMet):
        require(response.error is not None, "a code is refused")
        return False
    if code != response.code:
        raise Finding("another code")
    return True
