"""The query of `/bff/login`: what a browser asks for cannot change what the gateway asks for.

The URL that leads to the OP is taken apart here, by hand.
"""

from collections.abc import Callable, Mapping
from random import Random
from urllib.parse import unquote_to_bytes

from bff.endpoints.parameters import (
    acr_values_of,
    login_hint_of,
    max_age_of,
    parse_parameters,
    prompt_of,
    ui_locales_of,
)
from bff.errors import BadRequest
from bff.oidc.steps.authorization import (
    RESERVED_PARAMETERS,
    LoginRequest,
    authorization_request,
    s256_challenge,
)
from tests.fuzz.mutation import garbage, mutated
from tests.fuzz.target import Finding, require

ENDPOINT = "https://op.example/a?tenant=x"
OURS = {
    "client_id": "spa",
    "redirect_uri": "https://app.example/bff/callback",
    "scope": "openid",
    "response_type": "code",
    "code_challenge_method": "S256",
}
ASKED = ["prompt", "login_hint", "acr_values", "max_age", "ui_locales"]
NAMES = [name.encode() for name in (*ASKED * 3, "returnUrl", *sorted(RESERVED_PARAMETERS))]
VALUES = [
    b"none", b"login", b"login%20consent", b"none+login", b"Login", b"alice%40x.example",
    b"%26scope=x", b"gold+silver", b"0", b"3600", b"-1", b"99999999", b"999999999", b"de+en-GB",
    b"%0d%0a", b"%00", b"%ff", b"", b"a%26client_id%3Devil", b"%C3%A4", b"\xc3\xa4",
    b"x" * 321, b"x+" * 20, b"%23", b"%22", b"1e3", b"%D9%A1", b"a%3Bb", b"/items", b"code%20token",
]  # fmt: skip
WORDS = [b"&", b"=", b";", b"&&", b"+", b"%20", b"#", *NAMES, *VALUES]

Subject = Callable[[bytes], LoginRequest]


def login_request(query: bytes) -> LoginRequest:
    """What the login endpoint makes of its query."""
    parameters = parse_parameters(query)
    return LoginRequest(
        prompt=prompt_of(parameters),
        login_hint=login_hint_of(parameters),
        acr_values=acr_values_of(parameters),
        max_age=max_age_of(parameters),
        ui_locales=ui_locales_of(parameters),
    )


class LoginTarget:
    """The subject reads a query."""

    name = "login"

    def __init__(self, subject: Subject = login_request) -> None:
        self._subject = subject

    def case(self, random: Random) -> bytes:
        if random.random() < 0.1:
            return garbage(random, WORDS)
        count = random.choice((0, 1, 1, 2, 3, 40)) if random.random() < 0.9 else 1
        pairs = [random.choice(NAMES) + b"=" + random.choice(VALUES) for _ in range(count)]
        case = b"&".join(pairs)
        return mutated(random, case, WORDS) if random.random() < 0.3 else case

    def judge(self, case: bytes) -> bool:
        try:
            login = self._subject(case)
        except BadRequest:
            return False
        request = authorization_request(
            ENDPOINT,
            client_id=OURS["client_id"],
            redirect_uri=OURS["redirect_uri"],
            scope=OURS["scope"],
            static={"audience": "api"},
            login=login,
        )
        require(request.url.isascii() and request.url.isprintable(), "no header value")
        endpoint, _, query = request.url.partition("?")
        require(endpoint == ENDPOINT.partition("?")[0], "leads elsewhere")
        found = taken_apart(query)
        for name, value in OURS.items():
            require(found.pop(name, None) == value, f"{name} is not ours")
        require(found.pop("tenant", "") == "x" and found.pop("audience", "") == "api", "lost")
        require(found.pop("state", None) == request.state, "another state")
        require(found.pop("nonce", None) == request.nonce, "another nonce")
        challenge = s256_challenge(request.code_verifier)
        require(found.pop("code_challenge", None) == challenge, "another challenge")
        asked = taken_apart(case.decode("latin-1"))
        for name, value in found.items():
            require(name in ASKED, f"{name} cannot be asked for")
            is_same = value == asked.get(name) or _is_number(name, value, asked)
            require(is_same, f"another {name}")
            require(all(char >= " " and char != "\x7f" for char in value), f"{name} is odd")
        return True

    def families(self) -> Mapping[str, Callable[[int], bytes]]:
        return {
            "pairs": lambda size: b"a=b&" * (size // 4),
            "names": lambda size: b"acr_values=" + b"a+" * (size // 2),
            "escapes": lambda size: b"login_hint=" + b"%41" * (size // 3),
        }


def taken_apart(query: str) -> dict[str, str]:
    """Decoded, each name once.

    Raises:
        Finding: a name is there twice.
    """
    found: dict[str, str] = {}
    for part in filter(None, query.split("&")):
        name, _, value = (_decoded(text) for text in part.partition("="))
        if name in found:
            raise Finding(f"{name} twice")
        found[name] = value
    return found


def _decoded(text: str) -> str:
    return unquote_to_bytes(text.replace("+", " ").encode("latin-1")).decode("utf-8", "replace")


def _is_number(name: str, value: str, asked: Mapping[str, str]) -> bool:
    return name == "max_age" and value.isdigit() and int(value) == int(asked.get(name, "-1"))
