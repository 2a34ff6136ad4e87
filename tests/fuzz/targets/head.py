"""Request heads through the gate: what is forwarded is what may be, and nothing else gets through.

A case is lines: peer, method, target, then one `name:value` for each field. What no parser would
let through to the gate (names that are no token, control bytes in values) is left out here as well.
"""

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random

from bff.clock import ManualClock
from bff.errors import DownstreamError
from bff.gate.csrf import CsrfGuard
from bff.gate.decision import Gate
from bff.gate.endpoints import SPA_RULE, EndpointTable
from bff.gate.forwarding import Forwarding
from bff.gate.frontend import Frontend, FrontendRules
from bff.gate.head import Field, RequestHead
from bff.gate.outcome import Answer, Decision, Forward, Local, Wait
from bff.gate.peers import TrustedProxies
from bff.gate.routes import CsrfMode, Route, RouteTable, TokenKind, Upstream
from bff.model import Session, Tokens
from bff.tokens.policy import RefreshPolicy
from tests.fuzz.mutation import garbage, mutated
from tests.fuzz.target import require
from tests.fuzz.targets.path import after_authority
from tests.security.corpus_fields import NAMES, PASSED

NOW = 1_700_000_000.0
KEY = "5e55" + "0" * 60
TOKEN = "at-secret"
HOST, ORIGIN = b"app.example", b"https://app.example"
TRUSTED = ipaddress.ip_network("10.0.0.0/8")
VIA = b"bff-fuzz"
LISTED = frozenset({b"theme", b"locale"})
UPSTREAM = Upstream("http", "127.0.0.1:9000", "/v1")
ROUTES = (
    Route("/api", (UPSTREAM,), forward_cookies=LISTED),
    Route("/files", (UPSTREAM,), csrf=CsrfMode.SAME_ORIGIN, strip_prefix=False),
    Route("/open", (UPSTREAM,), token=TokenKind.NONE),
)

PEERS = [b"203.0.113.9", b"10.0.0.1", b"::ffff:10.0.0.1", b"2001:db8::1", b"unix", b"x"]
METHODS = [b"GET", b"GET", b"POST", b"DELETE", b"HEAD", b"OPTIONS", b"TRACE", b"get"]
TARGETS = [b"/api/x", b"/files/x?y=1", b"/open/x", b"/bff/user", b"/bff/logout", b"/", b"/apix"]
USUAL = [b"Host:app.example", b"Cookie:theme=dark; bff=good", b"X-CSRF:1"]
VALUES = [
    b"1", b"", b"good", b"evil", b"close", b"keep-alive, X-A", b"x-csrf, host", b"chunked", b"gzip",
    b"identity", b"5", b"10.0.0.2", b"203.0.113.9, 10.0.0.2", b"evil, 10.0.0.2,10.0.0.3", b"::1",
    b"same-origin", b"cross-site", b"same-site", b"none", b"navigate", ORIGIN, b"null", HOST,
    b"https://evil.example", b"bff=good", b"bff=bad; bff=good", b"theme=a; locale=b; x=c; bff=good",
    b"websocket", b"h2c", b"Bearer forged", b"1.1 bff-fuzz", b"1.0 other", b"a" * 300, b"abc-12345",
    b"APP.EXAMPLE", b"app.example:443", b"\xe9", b"text/html", b"content-type, content-length",
]  # fmt: skip
READ = [
    "Accept", "Origin", "Sec-Fetch-Site", "Sec-Fetch-Mode", "Sec-Fetch-Dest", "Sec-Fetch-User",
    "Content-Length", "Sec-WebSocket-Key", "Sec-WebSocket-Version", "User-Agent", "X-CSRF",
    "Access-Control-Request-Method", "Content-Type", "Sec-Purpose", "Purpose", "X-Purpose", "X-Moz",
]  # fmt: skip
FIELD_NAMES = [*NAMES, *PASSED, *READ * 3, "Connection", "Cookie", "Host", "X-A", "X-Forwarded-For"]
WORDS = [b":", b"\n", b"_", b"-", b".", b",", b" ", b"bff=", b"\nHost:", b"\nX-CSRF:", *VALUES]

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._\-]{8,64}")
_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
_FAMILIES = (
    "x-auth-request-", "x-forwarded-", "x-remote-", "oidc-", "x-amzn-oidc-", "x-consumer-",
    "x-ms-client-principal", "x-client-cert", "tailscale-user-", "ssl-client-", "cf-access-",
    "x-webauth-", "x-authenticated-",
)  # fmt: skip
_TAKEN = frozenset(name.lower() for name in NAMES)

Subject = Callable[[RequestHead], Decision]


def a_gate() -> Gate:
    tokens = Tokens(TOKEN, NOW, NOW + 300)
    session = Session(KEY, 1, "https://op", "alice", "s1", NOW, NOW + 3600, NOW + 900, tokens)
    frontend = Frontend(
        FrontendRules(frozenset({HOST}), b"bff", b"bff-login", EndpointTable("/bff"), SPA_RULE),
        RouteTable(ROUTES),
        CsrfGuard(ORIGIN),
        Forwarding(public_scheme="https", public_host=HOST.decode(), via_name=VIA.decode()),
        session_key_of={"good": KEY}.get,
        cached={KEY: session}.get,
        refresh_policy=RefreshPolicy(60),
        clock=ManualClock(NOW),
    )
    return Gate([frontend], TrustedProxies([TRUSTED]))


class HeadTarget:
    """The subject decides about a head."""

    name = "head"

    def __init__(self, subject: Subject | None = None) -> None:
        self._subject = subject or a_gate().decide

    def case(self, random: Random) -> bytes:
        lines = list(USUAL)
        if random.random() < 0.2:
            del lines[random.randrange(len(lines))]
        if random.random() < 0.2:
            lines.append(b"Sec-Fetch-Site:same-origin")
        lines += [_field(random) for _ in range(random.choice((0, 1, 1, 2, 5)))]
        if random.random() < 0.05:
            lines.append(garbage(random, WORDS))
        random.shuffle(lines)
        block = b"\n".join(lines)
        if random.random() < 0.25:
            block = mutated(random, block, WORDS)
        first = (random.choice(PEERS), random.choice(METHODS), random.choice(TARGETS[:3] + TARGETS))
        return b"\n".join((*first, block))

    def judge(self, case: bytes) -> bool:
        peer, method, target, *lines = (*case.split(b"\n"), b"", b"")
        fields = list(fields_of(lines))
        address = None if peer == b"unix" else peer.decode("latin-1") or "?"
        head = RequestHead(method.decode("latin-1"), target, fields, address)
        decision = self._subject(head)
        if isinstance(decision, Forward):
            _judge_request(head, decision)
            _judge_fields(head, decision)
            return True
        require(not isinstance(decision, Wait), "waits although the session is there")
        if isinstance(decision, Local) and decision.session_key is not None:
            require(_cookie(fields, b"bff") == [b"good"], "a session by another cookie")
        if isinstance(decision, Answer):
            require(isinstance(decision.error, DownstreamError), "not the browser's fault")
        return False

    def families(self) -> Mapping[str, Callable[[int], bytes]]:
        first = b"203.0.113.9\nGET\n/api/x\n" + b"\n".join(USUAL) + b"\n"
        trusted = b"10.0.0.1\nGET\n/api/x\n" + b"\n".join(USUAL) + b"\n"
        return {
            "fields": lambda size: first + b"x-a:1\n" * (size // 6),
            "options": lambda size: first + b"Connection:" + b"a," * (size // 2),
            "hops": lambda size: trusted + b"X-Forwarded-For:" + b"10.0.0.2," * (size // 9),
            "cookies": lambda size: first + b"Cookie:" + b"a=b;" * (size // 4),
            "via": lambda size: first + b"Via:" + b"1.1 x," * (size // 6),
        }


def _field(random: Random) -> bytes:
    name = random.choice(FIELD_NAMES)
    if random.random() < 0.3:
        name = random.choice((name.upper(), name.lower(), name.replace("-", "_"), f"{name}_"))
    if random.random() < 0.1:
        name = name.replace("-", random.choice("_.!~"), 1)
    return name.encode() + b":" + random.choice(VALUES)


def fields_of(lines: Sequence[bytes]) -> Iterator[Field]:
    for line in lines:
        name, mark, value = line.partition(b":")
        if mark and _TOKEN.fullmatch(name) and _VALUE.fullmatch(value):
            yield name, value.strip(b" \t")


def _values(fields: Sequence[Field], name: bytes) -> list[bytes]:
    return [value for key, value in fields if key.lower() == name]


def _cookie(fields: Sequence[Field], name: bytes) -> list[bytes]:
    pairs = (part.strip(b" \t") for line in _values(fields, b"cookie") for part in line.split(b";"))
    return [pair[len(name) + 1 :] for pair in pairs if pair.startswith(name + b"=")]


def _folded(name: bytes) -> str:
    """The name as the most generous server reads it."""
    return "".join(char if char.isalnum() else "-" for char in name.decode("ascii").lower())


def _is_trusted(peer: str | None) -> bool:
    if peer is None:
        return True  # a Unix socket: whatever may open the file
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address) in TRUSTED


def _judge_request(head: RequestHead, decision: Forward) -> None:
    """That this request may be forwarded at all, and where to."""
    fields, trusted = head.fields, _is_trusted(head.peer)
    said = [value for value in _values(fields, b"x-forwarded-host") if value]
    hosts = _values(fields, b"host")
    single = said[0] if trusted and len(_values(fields, b"x-forwarded-host")) == 1 and said else b""
    require(len(hosts) == 1, "no single Host")
    target, authority = head.target, single or hosts[0]
    if not target.startswith(b"/"):  # RFC 9112 section 3.2.2: its authority wins
        authority, target = target.split(b"://", 1)[1].split(b"/", 1)[0], after_authority(target)
    require(authority.lower() == HOST, "another Host")
    require(head.method in decision.route.methods, "a method that is not allowed")
    offered = (entry.split(b"/")[0].strip().lower() for entry in _entries(fields, b"upgrade"))
    require(b"websocket" not in offered, "an upgrade")  # any other is ignored
    coding = _values(fields, b"transfer-encoding")
    require(coding in ([], [coding and coding[0]]), "several transfer codings")
    require(not coding or coding[0].lower() == b"chunked", "an unknown transfer coding")
    require(not any(VIA in value.split() for value in _entries(fields, b"via")), "a loop")
    if decision.route.token is TokenKind.USER:
        require(_cookie(fields, b"bff") == [b"good"], "no cookie of ours, or several")
    reading = head.method in {"GET", "HEAD"}
    if decision.route.token is TokenKind.USER or not reading:
        sites, origins = _values(fields, b"sec-fetch-site"), _values(fields, b"origin")
        is_guarded_by_origin = decision.route.csrf is CsrfMode.SAME_ORIGIN and reading
        typed = is_guarded_by_origin and not origins
        typed = typed and _values(fields, b"sec-fetch-mode") == [b"navigate"]
        allowed = [[], [b"none"]] if typed else [[]]
        is_ours = all(site == b"same-origin" for site in sites)
        require(is_ours or sites in allowed, "a cross-site request")
        own = {ORIGIN, b"null"} if sites else {ORIGIN}
        require(all(origin in own for origin in origins), "from another origin")
        has_header = _values(fields, b"x-csrf") == [b"1"]
        is_known = bool(sites or origins) and is_guarded_by_origin
        require(has_header or is_known, "without the CSRF header")
    prefix = decision.route.prefix.encode()
    whole = prefix + decision.path_and_query
    kept = decision.path_and_query if not decision.route.strip_prefix else whole
    require(kept == target, "another target")


def _entries(fields: Sequence[Field], name: bytes) -> list[bytes]:
    return [entry for value in _values(fields, name) for entry in value.split(b",")]


def _judge_fields(head: RequestHead, decision: Forward) -> None:
    """The fields are those of the browser that may pass, in order, and then ours."""
    passed = list(_may_pass(head.fields))
    require(decision.fields[: len(passed)] == passed, "fields that may not pass, or lost ones")
    added = decision.fields[len(passed) :]
    ours = dict(added)
    require(len(ours) == len(added), "a field of ours twice")
    wanted = {
        b"X-Forwarded-For",
        b"X-Forwarded-Proto",
        b"X-Forwarded-Host",
        b"X-Request-ID",
        b"Via",
    }
    if decision.route.strip_prefix:
        wanted.add(b"X-Forwarded-Prefix")
        prefix = decision.route.prefix.encode()
        require(ours.get(b"X-Forwarded-Prefix") == prefix, "another prefix")
    if decision.route.token is TokenKind.USER:
        wanted.add(b"Authorization")
        require(ours.get(b"Authorization") == b"Bearer " + TOKEN.encode(), "another token")
    cookies = ours.pop(b"Cookie", b"")
    require(ours.keys() == wanted, f"adds {sorted(ours)}")
    for pair in filter(None, cookies.split(b"; ")):
        require(pair.partition(b"=")[0] in decision.route.forward_cookies, f"cookie {pair!r}")
    hops = ", ".join(_hops(head)).encode() or b"unknown"
    require(ours[b"X-Forwarded-For"] == hops, "another X-Forwarded-For")
    require(ours[b"X-Forwarded-Host"] == HOST, "another X-Forwarded-Host")
    require(ours[b"Via"].split(b", ")[-1] == b"1.1 " + VIA, "not in Via")
    require(_REQUEST_ID.fullmatch(ours[b"X-Request-ID"]) is not None, "an odd X-Request-ID")
    if not _is_trusted(head.peer):
        require(ours[b"X-Request-ID"] not in _values(head.fields, b"x-request-id"), "their id")
    for name, value in decision.fields:
        require(bool(_TOKEN.fullmatch(name) and _VALUE.fullmatch(value)), "splits the head")


def _may_pass(fields: Sequence[Field]) -> Iterator[Field]:
    named = {entry.strip().lower() for entry in _entries(fields, b"connection")}
    read = {name.lower() for name in READ}
    sites, origins = _values(fields, b"sec-fetch-site"), _values(fields, b"origin")
    is_told = (sites, origins) == ([b"same-origin"], [b"null"])
    for name, value in fields:
        folded, lower = _folded(name), name.lower()
        is_odd = folded != lower.decode() and folded in read
        describes = lower in {b"content-length", b"content-type"}
        if folded in _TAKEN or folded.startswith(_FAMILIES) or is_odd:
            continue
        if lower not in named or describes:
            yield name, ORIGIN if is_told and lower == b"origin" else value


def _hops(head: RequestHead) -> list[str]:
    """The peer, and what trusted proxies said of who came before it."""
    found = [] if head.peer is None else [head.peer]
    for entry in reversed(_entries(head.fields, b"x-forwarded-for")):
        try:
            address = ipaddress.ip_address(entry.strip().decode("ascii"))
        except ValueError:
            break
        if not _is_trusted(found[0] if found else None):
            break
        found.insert(0, str(address))
    return found
