"""An OP that answers nonsense, too much, too late or not at all; and TLS."""

import asyncio
import gzip
import json
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from bff.clock import ManualClock
from bff.errors import (
    OpAnswerMalformed,
    OpError,
    OpUnavailable,
)
from bff.model import TokenTarget
from bff.oidc.provider.http import ENVIRONMENT, MAX_BODY_BYTES, Network, OpHttp
from bff.oidc.relying_party import RelyingParty
from tests.integration.relying_party.steps import MakeRp, begin, log_in, settings_for
from tests.movable_loop import later, on_a_movable_loop
from tests.parts.certificates import self_signed, server_context
from tests.parts.scripted_op import Answer, ScriptedOp
from tests.polling import HANG_SECONDS, until

# --- hostile and broken answers ---------------------------------------------------------------

HTML = Answer(b"<html>maintenance</html>", headers={"Content-Type": "text/html"})
HUGE = Answer(b'{"x":"' + b"a" * (1024 * 1024) + b'"}')
BOMB = Answer(gzip.compress(b" " * (40 * 1024 * 1024)), headers={"Content-Encoding": "gzip"})
DEEP = Answer(b"[" * 100_000 + b"]" * 100_000)
METADATA_SERVICE = Answer(status=302, headers={"Location": "http://169.254.169.254/latest"})

BROKEN = {
    "html": (HTML, OpAnswerMalformed),
    "empty": (Answer(b""), OpAnswerMalformed),
    "array": (Answer([]), OpAnswerMalformed),
    "no_content": (Answer(status=204), OpAnswerMalformed),
    "redirect": (METADATA_SERVICE, OpAnswerMalformed),
    "huge": (HUGE, OpAnswerMalformed),
    "gzip_bomb": (BOMB, OpAnswerMalformed),
    "truncated_gzip": (
        Answer(gzip.compress(b"{}")[:-4], headers={"Content-Encoding": "gzip"}),
        OpAnswerMalformed,
    ),
    "not_gzip": (Answer(b"{}", headers={"Content-Encoding": "gzip"}), OpAnswerMalformed),
    "brotli": (Answer(b"x", headers={"Content-Encoding": "br"}), OpAnswerMalformed),
    "deep": (DEEP, OpAnswerMalformed),
    "duplicate_names": (Answer(b'{"keys":[],"keys":[]}'), OpAnswerMalformed),
    "not_utf8": (Answer(b'{"a":"\xff"}'), OpAnswerMalformed),
    "truncated": (Answer(b"{}", truncate=True), OpUnavailable),
    "dropped": (Answer(drop=True), OpUnavailable),
    "500": (Answer(status=500), OpUnavailable),
    "503": (Answer(status=503), OpUnavailable),
    "429": (Answer({"error": "invalid_grant"}, status=429), OpUnavailable),
}


@pytest.mark.rule("TK-04")
@pytest.mark.rule("TK-09")
@pytest.mark.rule("ID-16")
@pytest.mark.parametrize("endpoint", ["discovery", "jwks", "token", "userinfo"])
@pytest.mark.parametrize("kind", BROKEN)
async def test_a_broken_answer_is_one_clean_transient_error(
    make_rp: MakeRp, op: ScriptedOp, endpoint: str, kind: str
) -> None:
    """Whatever any endpoint sends: an OpError, quickly, and never a foreign exception."""
    answer, error = BROKEN[kind]
    rp = make_rp(userinfo=True)
    await rp.start()
    op.answers[endpoint] = answer
    with pytest.raises(OpError) as caught:
        await rp.redeem("c", await begin(rp, op))
    assert type(caught.value) is error
    # RFC 9110 section 9.2.2: a GET may be repeated on a dropped connection, a POST never.
    assert op.count(endpoint) <= (1 if endpoint == "token" else 2)
    assert op.count("other") == 0


@pytest.mark.rule("ID-16")
@pytest.mark.parametrize(
    ("coding", "size", "readable"),
    [
        ("gzip", 0, True),
        ("X-GZIP", MAX_BODY_BYTES, True),
        ("gzip", MAX_BODY_BYTES + 1, False),
        ("identity", MAX_BODY_BYTES, True),
        ("identity", MAX_BODY_BYTES + 1, False),
        ("br", 0, False),
    ],
)
async def test_a_coding_is_known_and_the_limit_is_for_what_comes_out_of_it(
    rp: RelyingParty, op: ScriptedOp, coding: str, size: int, *, readable: bool
) -> None:
    """File servers send gzip although none was asked for."""
    body = json.dumps({"keys": [op.keys[0].jwk()]}).encode().ljust(size)
    sent = body if coding == "identity" else gzip.compress(body)
    op.answers["jwks"] = Answer(sent, headers={"Content-Encoding": coding})
    if readable:
        await rp.check()
    else:
        with pytest.raises(OpAnswerMalformed):
            await rp.check()


async def test_nothing_is_sent_before_the_start(op: ScriptedOp, clock: ManualClock) -> None:
    """And what has not been started can be closed."""
    rp = RelyingParty(settings_for(op.issuer), clock)
    with pytest.raises(RuntimeError, match="start"):
        await rp.probe().document()
    await rp.close()
    assert op.received == []


@pytest.mark.rule("TK-09")
async def test_an_op_that_hangs_costs_the_timeout_and_no_more(
    make_rp: MakeRp, op: ScriptedOp
) -> None:
    rp = make_rp(timeout_seconds=1)
    await rp.start()
    op.answers["token"] = Answer(hang=True)
    transaction = await begin(rp, op)
    async with asyncio.timeout(HANG_SECONDS):
        with pytest.raises(OpUnavailable, match="timeout"):
            await rp.redeem("c", transaction)
    assert op.count("token") == 1


async def test_a_refused_connection_is_unavailable(clock: ManualClock) -> None:
    gone = await ScriptedOp(clock).start()
    await gone.close()
    rp = RelyingParty(settings_for(gone.issuer), clock)
    await rp.start()
    with pytest.raises(OpUnavailable):
        await rp.check()
    await rp.close()


async def test_an_op_that_takes_no_connection_is_waited_for_less_long(clock: ManualClock) -> None:
    """Five seconds, however long an answer may take: nothing has been sent yet."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, ExitStack() as waiting:
        for _ in range(4):  # more than the queue takes: the system drops what comes now
            caller = waiting.enter_context(socket.socket())
            caller.setblocking(False)
            caller.connect_ex(full.getsockname())
        http = OpHttp(clock, timeout_seconds=3 * HANG_SECONDS, ca_file=None, table="oidc")
        await http.start()
        url = f"http://127.0.0.1:{full.getsockname()[1]}/"
        async with asyncio.timeout(HANG_SECONDS):
            outcomes = await asyncio.gather(
                http.get("get", url),
                http.post("post", url, {}, {}, at_least_seconds=3 * HANG_SECONDS),
                return_exceptions=True,
            )
        await http.close()
    assert [type(outcome) for outcome in outcomes] == [OpUnavailable, OpUnavailable]


@on_a_movable_loop
async def test_only_a_refresh_is_waited_for_longer() -> None:
    """Its answer may hold the only copy of a rotated token."""
    clock = ManualClock()
    op = await ScriptedOp(clock).start()
    settings = settings_for(op.issuer, timeout_seconds=60.0, refresh_timeout_seconds=240.0)
    rp = RelyingParty(settings, clock)
    await rp.start()
    transaction = await begin(rp, op)
    session = await log_in(rp, op)
    op.answers["token"] = Answer(hang=True)
    before = op.count("token")
    refreshed, *others = (
        asyncio.create_task(work)
        for work in (
            rp.refresh(session),
            rp.redeem("c", transaction),
            rp.client_credentials(TokenTarget(scope="x")),
        )
    )
    await until(lambda: op.count("token") == before + 3)
    await later(90.0)
    await until(lambda: all(one.done() for one in others))
    assert not refreshed.done()
    await later(180.0)
    await until(refreshed.done)
    await rp.close()
    await op.close()
    for one in (refreshed, *others):
        assert isinstance(one.exception(), OpUnavailable)


@on_a_movable_loop
async def test_no_other_request_is_waited_for_longer() -> None:
    """Not even for a second, where the timeout is shorter than that."""
    clock = ManualClock()
    op = await ScriptedOp(clock).start()
    op.answers["other"] = Answer(hang=True)
    http = OpHttp(clock, timeout_seconds=0.2, ca_file=None, table="oidc")
    await http.start()
    asked = asyncio.create_task(http.post("post", f"{op.issuer}/x", {}, {}))
    await later(0)
    await later(0.5)
    done, _ = await asyncio.wait([asked], timeout=0.4)
    await http.close()
    await op.close()
    assert done
    assert isinstance(asked.exception(), OpUnavailable)


async def test_what_an_op_asks_for_is_told_from_a_pause_of_ours(
    rp: RelyingParty, op: ScriptedOp
) -> None:
    """Only the former holds up what tries again."""
    for headers, asked in (({}, 0), ({"Retry-After": "7"}, 7)):
        op.answers["token"] = Answer(status=429, headers=headers)
        with pytest.raises(OpUnavailable) as caught:
            await rp.client_credentials(TokenTarget(scope="x"))
        assert caught.value.asked_seconds == asked
        assert caught.value.retry_after == (asked or 5)


async def test_cookies_of_the_op_are_not_kept(clock: ManualClock) -> None:
    """One client session serves all users. A jar would refuse those of an address, so the OP has a
    name."""
    op = await ScriptedOp(clock).start(host="localhost")
    rp = RelyingParty(settings_for(op.issuer), clock)
    await rp.start()
    op.answers["discovery"] = Answer(op.metadata(), headers={"Set-Cookie": "lb=1; Path=/"})
    await rp.check()
    assert "Cookie" not in op.last("jwks").headers
    await rp.close()
    await op.close()


async def test_each_request_says_what_it_takes_and_keeps_the_url_as_it_is(
    rp: RelyingParty, op: ScriptedOp
) -> None:
    """No coding of the content; and an escape in an endpoint's address stays one."""
    op.metadata_changes = {"jwks_uri": f"{op.issuer}/jwks?tenant=a%2Fb%7Ec"}
    await rp.check()
    sent = op.last("jwks")
    assert sent.path == "/jwks?tenant=a%2Fb%7Ec"
    assert sent.headers["Accept-Encoding"] == "identity"
    assert sent.headers["Accept"].startswith("application/json")
    assert sent.headers["User-Agent"] == "bff"


@pytest.mark.parametrize(
    ("proxy", "variables", "is_used"),
    [
        ("OP", {}, True),
        (ENVIRONMENT, {"http_proxy": "OP"}, True),
        (ENVIRONMENT, {"http_proxy": "OP", "no_proxy": "op.invalid"}, False),
        (ENVIRONMENT, {"https_proxy": "OP"}, False),
        (None, {"http_proxy": "OP"}, False),
    ],
)
async def test_the_way_to_the_op_is_the_configured_one(
    op: ScriptedOp,
    clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
    proxy: str | None,
    variables: dict[str, str],
    *,
    is_used: bool,
) -> None:
    """The name of the OP means nothing here: only a proxy could know it."""
    for name in ("http_proxy", "https_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, op.issuer if value == "OP" else value)
    network = Network(proxy=op.issuer if proxy == "OP" else proxy)
    http = OpHttp(clock, timeout_seconds=60, ca_file=None, table="oidc", network=network)
    await http.start()
    if is_used:
        await http.get("get", "http://op.invalid/x")
    else:
        with pytest.raises(OpUnavailable):
            await http.get("get", "http://op.invalid/x")
    await http.close()
    assert len(op.received) == is_used


async def test_proxies_of_the_environment_are_not_used(
    rp: RelyingParty, op: ScriptedOp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tokens go where the configuration says."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    await rp.check()
    assert op.count("discovery") == 1


# --- TLS --------------------------------------------------------------------------------------


@pytest.mark.rule("TK-15")
@pytest.mark.parametrize(
    ("certified", "trusted", "reachable"),
    [
        ("127.0.0.1", True, True),
        ("127.0.0.1", False, False),
        ("other.example.test", True, False),
    ],
)
async def test_only_an_op_with_a_trusted_certificate_for_its_name_is_spoken_to(
    clock: ManualClock, tmp_path: Path, certified: str, trusted: bool, reachable: bool
) -> None:
    certificate, key = self_signed(tmp_path, certified)
    op = await ScriptedOp(clock).start(tls=server_context(certificate, key))
    ca_file = str(certificate) if trusted else None
    rp = RelyingParty(settings_for(op.issuer, ca_file=ca_file), clock)
    await rp.start()
    if reachable:
        await rp.check()
    else:
        with pytest.raises(OpUnavailable, match="its certificate ") as caught:
            await rp.check()
        assert ("oidc.ca_file" in caught.value.log_detail) is not trusted
        assert op.received == []
    await rp.close()
    await op.close()


async def test_a_ca_file_that_cannot_be_read_stops_the_start(clock: ManualClock) -> None:
    rp = RelyingParty(settings_for("https://op.example.test", ca_file="/nowhere.pem"), clock)
    with pytest.raises(OSError, match="No such file"):
        await rp.start()
