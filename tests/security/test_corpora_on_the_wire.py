"""The same tables through a running gateway: what is answered, and what an upstream is sent."""

from collections.abc import Iterable

import pytest

from bff.sessions.cookie import SessionCookie
from tests.flows.apis import Api, an_api
from tests.parts.raw_upstream import Received
from tests.security import corpus_cookies, corpus_paths, corpus_smuggling
from tests.security.kept_connection import KeptConnection, Reply, kept_connection

# All that an upstream is ever sent for a plain call, in this order.
USUAL = [
    b"host",
    b"x-csrf",
    b"authorization",
    b"x-forwarded-for",
    b"x-forwarded-proto",
    b"x-forwarded-host",
    b"x-forwarded-prefix",
    b"x-request-id",
    b"via",
]


def request(api: Api, *lines: str, target: bytes = b"/api/x", method: bytes = b"GET") -> bytes:
    """Of the logged-in browser, with further lines."""
    cookie = f"theme=dark; bff={api.browser.cookies.get('bff')}"
    head = [f"Host: {api.host}", f"Cookie: {cookie}", "X-CSRF: 1", *lines]
    fields = "\r\n".join(head).replace("SELF", api.host)
    return b"%b %b HTTP/1.1\r\n%b\r\n\r\n" % (method, target, fields.encode())


def names_of(received: Received) -> list[bytes]:
    return [line.partition(b":")[0].lower() for line in received.lines[1:]]


class Calls:
    """One kept connection of alice's; `sent_on` is what the upstream got for the last request."""

    def __init__(self, api: Api, connection: KeptConnection) -> None:
        self.api = api
        self._connection = connection
        self.sent_on: Received | None = None

    async def ask(self, *lines: str, target: bytes = b"/api/x") -> Reply:
        earlier = len(self.api.upstream.received)
        reply = await self._connection.ask(request(self.api, *lines, target=target))
        new = self.api.upstream.received[earlier:]
        assert len(new) == (1 if reply.status == 200 else 0), (lines, target)
        self.sent_on = new[0] if new else None
        return reply

    def field(self, name: bytes) -> list[bytes]:
        assert self.sent_on is not None
        return self.sent_on.values(name)


def differing(
    found: dict[str, object], expected: Iterable[tuple[str, object]]
) -> dict[str, object]:
    """The entries that came out otherwise, with what came out."""
    return {name: found[name] for name, wanted in expected if found[name] != wanted}


# --- header fields


@pytest.mark.rule("PX-06")
@pytest.mark.rule("PX-07")
@pytest.mark.rule("CVE-2025-64484")
@pytest.mark.rule("GHSA-5m6w-wvh7-57vm")
async def test_no_spelling_of_a_field_of_ours_is_sent_on() -> None:
    """The upstream gets the usual names and no others, and nothing that was forged."""
    found: dict[str, object] = {}
    async with an_api() as api, kept_connection(api.stack.ports.gateway) as connection:
        calls = Calls(api, connection)
        for line, _ in corpus_smuggling.SMUGGLED:
            reply = await calls.ask(line)
            found[line] = reply.status
            if calls.sent_on is not None and (
                names_of(calls.sent_on) != USUAL or b"forged" in b"\n".join(calls.sent_on.lines)
            ):
                found[line] = calls.sent_on.lines
    assert differing(found, corpus_smuggling.SMUGGLED) == {}


@pytest.mark.rule("PX-07")
async def test_connection_takes_nothing_away_that_we_have_set() -> None:
    """RFC 9110 section 7.6.1: nor what describes the body."""
    wrong = []
    async with an_api() as api, kept_connection(api.stack.ports.gateway) as connection:
        calls = Calls(api, connection)
        await calls.ask("Content-Type: text/plain", "Content-Length: 0")
        usual = {*names_of(calls.sent_on)} if calls.sent_on else set()
        assert usual == {*USUAL, b"content-type", b"content-length"}
        for line in corpus_smuggling.NAMING_OURS:
            await calls.ask("Content-Type: text/plain", "Content-Length: 0", line)
            assert calls.sent_on is not None
            sane = [len(calls.field(name)) for name in sorted(usual)] == [1] * len(usual)
            if not sane or {*names_of(calls.sent_on)} != usual:
                wrong.append(line)
    assert wrong == []


@pytest.mark.rule("PX-07")
async def test_connection_takes_away_what_the_browser_named() -> None:
    wrong = []
    async with an_api() as api, kept_connection(api.stack.ports.gateway) as connection:
        calls = Calls(api, connection)
        for line in corpus_smuggling.NAMING_THE_BROWSERS:
            await calls.ask("X-Hop: 1", "Accept-Language: de", line)
            gone = next(n for n in ("x-hop", "x-csrf", "accept-language") if n in line.lower())
            kept = {b"x-hop", b"x-csrf", b"accept-language"} - {gone.encode()}
            assert calls.sent_on is not None
            if {*names_of(calls.sent_on)} != {*USUAL} - {b"x-csrf"} | kept:
                wrong.append(line)
    assert wrong == []


@pytest.mark.rule("PX-09")
@pytest.mark.rule("CVE-2026-33495")
async def test_a_stranger_can_not_say_for_whom_it_asks() -> None:
    """RFC 7239 section 8.1: address, scheme and host are those the gateway knows."""
    wrong = []
    async with an_api() as api, kept_connection(api.stack.ports.gateway) as connection:
        calls = Calls(api, connection)
        host = api.host.encode()
        for line in corpus_smuggling.UNTRUSTED:
            assert (await calls.ask(line)).status == 200, line
            said = [calls.field(b"x-forwarded-" + name) for name in (b"for", b"proto", b"host")]
            if said != [[b"127.0.0.1"], [b"http"], [host]] or calls.field(b"forwarded"):
                wrong.append(line)
    assert wrong == []


@pytest.mark.rule("PX-09")
async def test_of_what_a_trusted_proxy_passes_on_only_its_own_word_counts() -> None:
    found: dict[str, object] = {}
    trusted = 'trusted_proxies = ["127.0.0.1/32"]'
    async with an_api(server=trusted) as api, kept_connection(api.stack.ports.gateway) as one:
        calls = Calls(api, one)
        for value in corpus_smuggling.TRUSTED:
            assert (await calls.ask(f"X-Forwarded-For: {value}")).status == 200, value
            (seen,) = calls.field(b"x-forwarded-for")
            found[value] = seen.decode()
        for host, status in (("SELF", 200), ("evil.example", 421), ("SELF, evil.example", 421)):
            assert (await calls.ask(f"X-Forwarded-Host: {host}")).status == status, host
    assert differing(found, corpus_smuggling.TRUSTED.items()) == {}


# --- paths


@pytest.mark.rule("PX-02")
@pytest.mark.rule("CVE-2023-33189")
@pytest.mark.rule("CVE-2026-33494")
async def test_no_path_of_two_readings_is_answered_with_anything_but_400() -> None:
    """Below a route and at our own prefix, in whatever reading: as it is, and with an authority in
    front (RFC 9112 section 3.2.2). The rest are pages of the application, or none."""
    found: dict[str, object] = {}
    refused = (path for entries in corpus_paths.REFUSED.values() for path in entries)
    paths = [path for path in refused if path not in corpus_paths.PAGES]
    # RFC 9112 section 3: a second space before a target is no part of it.
    no_targets = [target for target in corpus_paths.NO_TARGET if not target.startswith(b" ")]
    async with an_api() as api, kept_connection(api.stack.ports.gateway) as connection:
        calls = Calls(api, connection)
        absolute = b"http://" + api.host.encode()
        for target in [*paths, *(absolute + path for path in paths), *no_targets]:
            found[repr(target)] = (await calls.ask(target=target)).status
    assert differing(found, ((name, 400) for name in found)) == {}
    assert len(found) > 600


@pytest.mark.rule("PX-03")
async def test_a_path_of_one_reading_arrives_as_it_was_sent() -> None:
    """Only the route's prefix is another; the query too is passed byte for byte."""
    below = [path for path in corpus_paths.KEPT if path.startswith(b"/api/")]
    async with an_api() as api, kept_connection(api.stack.ports.gateway) as connection:
        calls = Calls(api, connection)
        for path in below:
            reply = await calls.ask(target=path + b"?q=%2f..%2f&r=a+b%20")
            assert reply.status == 200, path
            assert calls.sent_on is not None
            expected = b"GET /v1" + path.removeprefix(b"/api") + b"?q=%2f..%2f&r=a+b%20 HTTP/1.1"
            assert calls.sent_on.request_line == expected
    assert len(below) > 25


# --- cookies


def cookie_lines(lines: list[str], good: str, bad: str) -> list[str]:
    made = (line.replace("NAME", "bff").replace("GOOD", good) for line in lines)
    return [f"Cookie: {line.replace('BAD', bad)}" for line in made]


def expected_of_a_stranger(sent: str) -> int:
    if corpus_cookies.NO_FIELD_VALUE.intersection(sent):
        return 400
    is_large = len(sent) > corpus_cookies.MOST_HEAD_BYTES
    return 431 if is_large or sent.count("\r\n") > corpus_cookies.MOST_FIELDS else 401


@pytest.mark.rule("CK-09")
@pytest.mark.rule("PX-05")
@pytest.mark.rule("SE-03")
@pytest.mark.rule("CVE-2024-24814")
async def test_cookies_say_who_asks_or_nothing() -> None:
    """Ours is found among all that browsers and sibling domains may send, and is not sent on."""
    bad = SessionCookie("x", ["another secret, as long as it has to be"]).issue().value
    found: dict[str, object] = {}
    expected: dict[str, object] = {}
    async with an_api() as api, kept_connection(api.stack.ports.gateway) as connection:
        good = api.browser.cookies.get("bff") or ""
        strangers = corpus_cookies.OF_NO_USER + corpus_cookies.HOSTILE
        for lines, is_ours in [
            *((lines, True) for lines in corpus_cookies.OURS),
            *((lines, False) for lines in strangers),
        ]:
            name = repr(lines)[:80] + str(len(expected))
            head = ["GET /api/x HTTP/1.1", f"Host: {api.host}", "X-CSRF: 1"]
            sent = "\r\n".join([*head, *cookie_lines(lines, good, bad)]) + "\r\n\r\n"
            found[name] = (await connection.ask(sent.encode("latin-1"))).status
            expected[name] = 200 if is_ours else expected_of_a_stranger(sent)
        passed = b"\n".join(b"\n".join(one.lines) for one in api.upstream.received)
    assert differing(found, expected.items()) == {}
    assert len(api.upstream.received) == len(corpus_cookies.OURS)
    assert b"ookie" not in passed
    assert good.encode() not in passed


# --- Via


@pytest.mark.rule("PX-08")
async def test_via_grows_by_our_name_and_a_request_of_our_own_is_a_loop() -> None:
    """RFC 9110 section 7.6.3: what was there stays in order; our name anywhere in it is 508."""
    async with an_api() as api, kept_connection(api.stack.ports.gateway) as connection:
        calls = Calls(api, connection)
        await calls.ask()
        (ours,) = calls.field(b"via")
        name = ours.removeprefix(b"1.1 ").decode()
        kept = {
            "Via: 1.1 edge": b"1.1 edge, " + ours,
            "Via: 1.1 edge\r\nVia: 2 cdn (x)": b"1.1 edge, 2 cdn (x), " + ours,
            f"Via: 1.1 {name}x": f"1.1 {name}x, ".encode() + ours,
        }
        for line, seen in kept.items():
            assert (await calls.ask(line)).status == 200
            assert calls.field(b"via") == [seen]
        for line in (
            f"Via: 1.1 {name}",
            f"Via: 1.0 a, 1.1 {name}, 1.1 b",
            f"Via: 1.1 a\r\nVia: 1.1 {name} (x)",
            f"via:HTTP/1.1  {name}",
        ):
            assert (await calls.ask(line)).status == 508, line
