"""Header lines that try to say something in the gateway's name, and what an upstream must see.

In lines and expectations SELF is the gateway's public host, BEARER the value it authorizes with.
"""

from itertools import product

from tests.security import corpus_fields

# Some server or other folds each of these to `_` when it makes a variable of a name (CGI,
# RFC 3875 section 4.1.18): all are token characters (RFC 9110 section 5.6.2).
FOLDED_MARKS = "_.+!~|*'`^&%$#"


def _spellings(name: str) -> list[str]:
    """`name` in other cases, and with its hyphens as other marks."""
    lower, upper = name.lower(), name.upper()
    mixed = "".join(char.upper() if at % 2 else char.lower() for at, char in enumerate(name))
    return list(dict.fromkeys([name, lower, upper, mixed]))


def _folded(name: str) -> list[str]:
    if "-" not in name:
        return []
    whole = [name.replace("-", mark) for mark in FOLDED_MARKS]
    first = [name.replace("-", mark, 1) for mark in "_."]
    last = ["_".join(name.rsplit("-", 1)), ".".join(name.lower().rsplit("-", 1))]
    return list(dict.fromkeys([*whole, name.upper().replace("-", "_"), *first, *last]))


# What the protocol itself refuses, by the name as it should be spelled; all else passes without.
STATUS_OF_OWN_NAME = {"Host": 400, "Transfer-Encoding": 400}

# (line, status): with 200 the upstream sees the usual fields and nothing of the line.
SPELLED = [
    (f"{spelled}: forged", STATUS_OF_OWN_NAME.get(name, 200))
    for name in corpus_fields.NAMES
    if name != "Via"  # of which a gateway keeps what was there (RFC 9110 section 7.6.3)
    for spelled in _spellings(name)
] + [
    (f"{spelled}: forged", 200)
    for name in [*corpus_fields.NAMES, *corpus_fields.JUDGED]
    for spelled in _folded(name)
]

# Members that only look like our families, and ones that are not known yet.
FAMILIES = [
    (f"{prefix}{rest}: forged", 200)
    for prefix, rest in product(
        ("X-Forwarded-", "x-auth-request-", "OIDC-", "oidc_", "X-Remote_", "X-Jwt-", "X.Jwt."),
        ("a", "Anything", "Jwt", "Id-Token", "0", "a-b-c", "_"),
    )
]

# Each twice in one request: neither the first nor the last gets through.
TWICE = [
    (f"{name}: forged\r\n{other}: forged", 200)
    for name, other in (
        ("Authorization", "authorization"),
        ("Authorization", "AUTHORIZATION"),
        ("X-Forwarded-For", "x_forwarded_for"),
        ("X-Forwarded-Host", "X-Forwarded-Host"),
        ("X-Forwarded-Proto", "x-forwarded-proto"),
        ("X-Forwarded-User", "X_Forwarded-User"),
        ("X-Request-ID", "X-Request-Id"),
        ("Forwarded", "forwarded"),
        ("X-Real-IP", "X_Real_IP"),
        ("Remote-User", "REMOTE_USER"),
        ("DPoP", "dpop"),
    )
]

SMUGGLED = [*SPELLED, *FAMILIES, *TWICE]

# --- Connection names fields to be taken away (RFC 9110 section 7.6.1): not those we have set.
KEPT_WHATEVER_CONNECTION_SAYS = [
    "Authorization", "Host", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto",
    "X-Request-ID", "Cookie", "Content-Length", "Content-Type",
]  # fmt: skip
WAYS_TO_NAME = [
    "Connection: NAME", "Connection: keep-alive, NAME", "Connection: NAME, keep-alive",
    "connection: NAME,NAME", "CONNECTION: ,, NAME ,,", "Connection:\tNAME\t",
    "Connection: keep-alive\r\nConnection: NAME", "Connection: x\r\nconnection: NAME, y",
    "Connection: keep-alive\r\nProxy-Connection: NAME", "Keep-Alive: NAME\r\nConnection: NAME",
]  # fmt: skip


def _named(ways: list[str], names: list[str]) -> list[str]:
    made = [way.replace("NAME", name) for way, name in product(ways, names)]
    return made + [way.replace("NAME", name.lower()) for way, name in product(ways[:2], names)]


NAMING_OURS = _named(WAYS_TO_NAME, KEPT_WHATEVER_CONNECTION_SAYS)
NAMING_THE_BROWSERS = _named(WAYS_TO_NAME[:8], ["X-Hop", "X-CSRF", "Accept-Language"])

# --- forwarded headers: line -> X-Forwarded-For as the upstream sees it

ADDRESSES = [
    "203.0.113.7", "203.0.113.7, 198.51.100.9", "127.0.0.1", "::1", "localhost", "unknown", "",
    "255.255.255.255", "169.254.169.254", "2001:db8::7", "[2001:db8::7]", "203.0.113.7:443",
    "_hidden", "-", "'; drop table", "203.0.113.7\t, 127.0.0.1", ",", ",,,", "203.0.113.07",
    "0x7f.1", "2130706433", "::ffff:127.0.0.1", "fe80::1%eth0", "<script>", "203.0.113.7;x",
    "a" * 1000, ", ".join(["203.0.113.7"] * 50),
]  # fmt: skip
UNTRUSTED = [
    f"{name}: {value}" for name, value in product(("X-Forwarded-For", "X-Real-IP"), ADDRESSES)
] + [
    f"{name}: {value}"
    for name, value in (
        *product(("X-Forwarded-Proto", "X-Forwarded-Scheme", "X-Url-Scheme"), ("https", "wss", "")),
        *product(
            ("X-Forwarded-Host", "X-Host", "X-Original-Host", "X-Forwarded-Server"),
            ("evil.example", "SELF", "SELF, evil.example", "evil.example, SELF", "SELF@evil", ""),
        ),
        *product(("X-Forwarded-Port",), ("443", "0", "65536", "x")),
        *product(
            ("Forwarded", "X_Forwarded_For", "X-Original-Forwarded-For"),
            (
                "for=203.0.113.7", 'for="[2001:db8::7]:443"', "for=127.0.0.1;proto=https",
                "for=203.0.113.7;host=evil.example;by=10.0.0.1", "FOR=a, for=b", "for=_x;for=_y",
            ),
        ),
    )
]  # fmt: skip

# From a proxy on 127.0.0.1 that is trusted. What stands left of an untrusted address, or of what
# is no address, was written by a client.
TRUSTED = {
    "203.0.113.7": "203.0.113.7, 127.0.0.1",
    " 203.0.113.7 ": "203.0.113.7, 127.0.0.1",
    "1.2.3.4, 203.0.113.7": "203.0.113.7, 127.0.0.1",
    "1.2.3.4,203.0.113.7": "203.0.113.7, 127.0.0.1",
    "127.0.0.1, 203.0.113.7": "203.0.113.7, 127.0.0.1",
    "203.0.113.7, 127.0.0.1": "203.0.113.7, 127.0.0.1, 127.0.0.1",
    "1.2.3.4, 203.0.113.7, 127.0.0.1": "203.0.113.7, 127.0.0.1, 127.0.0.1",
    "203.0.113.7, unknown": "127.0.0.1",
    "203.0.113.7, 127.0.0.1, _hidden": "127.0.0.1",
    "203.0.113.7, _hidden, 127.0.0.1": "127.0.0.1, 127.0.0.1",
    "203.0.113.7,": "127.0.0.1",
    ",203.0.113.7": "203.0.113.7, 127.0.0.1",
    "2001:db8::7": "2001:db8::7, 127.0.0.1",
    "2001:DB8:0::7": "2001:db8::7, 127.0.0.1",
    "[2001:db8::7]": "127.0.0.1",
    "[2001:db8::7]:443": "127.0.0.1",
    "203.0.113.7:443": "127.0.0.1",
    "203.0.113.007": "127.0.0.1",
    "0x7f000001": "127.0.0.1",
    "2130706433": "127.0.0.1",
    "localhost": "127.0.0.1",
    "evil.example": "127.0.0.1",
    '"203.0.113.7"': "127.0.0.1",
    "for=203.0.113.7": "127.0.0.1",
    "203.0.113.7;x": "127.0.0.1",
    "203.0.113.7 198.51.100.9": "127.0.0.1",
    "": "127.0.0.1",
    "-": "127.0.0.1",
    "a" * 1000: "127.0.0.1",
}
