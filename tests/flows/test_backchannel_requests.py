"""The back-channel logout endpoint: what it takes, what it refuses, what it costs and says."""

import asyncio
import io
import json
from urllib.parse import urlencode

import aiohttp
import pytest

from bff.clock import ManualClock
from bff.oidc.jwt.logout_token import LOGOUT_EVENT, MAX_AGE_SECONDS
from tests.flows.logins import log_in
from tests.flows.op_logouts import (
    FORM,
    PATH,
    is_logged_in,
    post,
    sids,
    tell,
    token,
)
from tests.parts.browser import Browser
from tests.parts.redis_server import RedisServer
from tests.parts.scripted_op import b64json, b64url
from tests.parts.stack import running_stack
from tests.parts.written_log import written_log
from tests.polling import HANG_SECONDS

# --- the request


REFUSALS = {"bad_request", "method_not_allowed", "body_too_large"}


@pytest.mark.rule("LO-04")
async def test_the_request_is_a_post_of_one_form_with_one_token() -> None:
    """Section 2.5; nothing of what is refused has an effect."""
    async with running_stack() as stack, Browser() as browser:
        await log_in(browser, stack)
        good = token(stack, sub="alice")
        form = urlencode({"logout_token": good})
        refused: list[tuple[int, dict[str, object]]] = [
            (405, {"method": "GET", "body": b""}),
            (405, {"method": "PUT", "body": form}),
            (405, {"method": "GET", "body": b"", "query": f"?{form}"}),
            (400, {"body": form, "headers": {"Content-Type": "text/plain"}}),
            (400, {"body": form, "headers": {"Content-Type": "multipart/form-data"}}),
            (
                400,
                {
                    "body": json.dumps({"logout_token": good}),
                    "headers": {"Content-Type": "application/json"},
                },
            ),
            (400, {"body": form, "headers": {"Content-Encoding": "gzip"}}),
            (400, {"body": b"", "query": f"?{form}"}),
            (400, {"body": form, "query": f"?{form}"}),
            (400, {"body": f"{form}&{form}"}),
            (400, {"body": f"{form}&logout_token="}),
            (400, {"body": b""}),
            (400, {"body": "logout_token="}),
            (400, {"body": "other=1"}),
            (400, {"body": f"{form}&x=%ff"}),
            (413, {"body": f"{form}&x={'a' * 16_384}"}),
            (413, {"body": io.BytesIO(b"a" * 2_097_152)}),
        ]
        for expected, request in refused:
            status, headers, body = await post(stack, **request)  # type: ignore[arg-type]
            assert status == expected, request.keys()
            assert headers["Cache-Control"] == "no-store"
            assert headers["Content-Type"] == "application/problem+json"
            assert json.loads(body)["code"] in REFUSALS
            assert good.encode() not in body
        assert await is_logged_in(browser, stack)

        accepted = urlencode({"state": "x", "logout_token": good, "iss": "", "other": "ü"})
        headers = {"Content-Type": f"{FORM}; charset=UTF-8", "Origin": "https://evil.example"}
        status, _, body = await post(stack, accepted, query="?tenant=1", headers=headers)
        assert (status, body) == (200, b"")
        assert not await is_logged_in(browser, stack)


@pytest.mark.rule("LO-04")
async def test_a_body_that_does_not_say_its_length_is_bounded_too() -> None:
    async with running_stack() as stack:
        host, port = "127.0.0.1", stack.ports.gateway
        head = (
            f"POST {PATH} HTTP/1.1\r\nHost: localhost:{port}\r\nContent-Type: {FORM}\r\n"
            "Transfer-Encoding: chunked\r\n\r\n"
        ).encode()
        chunk = b"1000\r\n" + b"a" * 4096 + b"\r\n"
        for body, status in ((chunk * 5, b"413"), (chunk + b"no length\r\n", b"400")):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(head + body)
            async with asyncio.timeout(HANG_SECONDS):
                assert (await reader.readline()).split()[1] == status
            writer.close()
            await writer.wait_closed()


# --- the token


@pytest.mark.rule("LO-05")
@pytest.mark.rule("LO-12")
@pytest.mark.rule("mod_auth_openidc-2026-08-07")
async def test_an_invalid_token_is_400_and_ends_nothing() -> None:
    """Sections 2.6 and 2.8. Each check has its own row in the unit tests; these go all the way."""
    async with running_stack() as stack, Browser() as browser:
        await log_in(browser, stack)
        now = int(stack.now())
        header, payload, signature = token(stack, sub="alice").split(".")
        invalid = [
            "",
            "x",
            f"{header}.{payload}.{signature[:-4]}AAAA",
            f"{b64json({'alg': 'none', 'typ': 'logout+jwt'})}.{payload}.",
            token(stack, sub="alice", iss="https://evil.example"),
            token(stack, sub="alice", aud="other"),
            token(stack, sub="alice", exp=now - 31),
            token(stack, sub="alice", exp=None),
            token(stack, sub="alice", iat=now + 60),
            token(stack, sub="alice", iat=now - MAX_AGE_SECONDS - 31),
            token(stack, sub="alice", iat=None),
            token(stack, sub="alice", jti=None),
            token(stack, sub="alice", events={"other": {}}),
            token(stack, sub="alice", events={LOGOUT_EVENT: "yes"}),
            token(stack, sub="alice", nonce="n"),
            token(stack, sub="alice", typ="at+jwt"),
            token(stack, sub="alice", typ="JWT", exp=None),
            token(stack),
        ]
        for sent in invalid:
            assert await tell(stack, sent) == 400, sent
        assert await is_logged_in(browser, stack)


@pytest.mark.rule("LO-09")
async def test_an_op_that_does_not_type_its_tokens_needs_no_setting() -> None:
    async with running_stack() as stack, Browser() as browser:
        await log_in(browser, stack)
        assert await tell(stack, token(stack, sub="alice", typ="JWT")) == 200
        assert not await is_logged_in(browser, stack)


@pytest.mark.rule("LO-09")
async def test_an_op_without_exp_needs_a_setting() -> None:
    relaxed = "allow_logout_tokens_without_exp = true"
    async with running_stack(oidc=relaxed) as stack, Browser() as browser:
        await log_in(browser, stack)
        assert await tell(stack, token(stack, sub="alice", typ="at+jwt")) == 400
        assert await is_logged_in(browser, stack)
        assert await tell(stack, token(stack, sub="alice", typ="JWT", exp=None)) == 200
        assert not await is_logged_in(browser, stack)


@pytest.mark.rule("LO-08")
async def test_a_client_can_insist_on_sid() -> None:
    strict = "backchannel_logout_session_required = true"
    async with running_stack(oidc=strict) as stack, Browser() as browser:
        await log_in(browser, stack)
        assert await tell(stack, token(stack, sub="alice")) == 400
        assert await is_logged_in(browser, stack)
        assert await tell(stack, token(stack, sid=sids(stack, "alice")[0])) == 200
        assert not await is_logged_in(browser, stack)


@pytest.mark.rule("mod_auth_openidc-2026-08-07")
async def test_a_token_works_once_at_any_replica(own_redis: RedisServer) -> None:
    """Section 2.6 (8): a copy of a used token does not log a user out again."""
    async with (
        running_stack(store=own_redis.url) as stack,
        stack.replica() as second,
        Browser() as browser,
    ):
        await log_in(browser, stack)
        used = token(stack, sub="alice", jti="once")
        assert await tell(stack, used) == 200
        assert not await is_logged_in(browser, stack)
        await log_in(browser, stack)
        assert await tell(stack, used) == 400
        assert await tell(stack, used, base=second) == 400
        assert await tell(stack, token(stack, sub="alice", jti="once")) == 400
        assert await is_logged_in(browser, stack)
        assert b"once" not in own_redis.everything()
        assert await tell(stack, token(stack, sub="alice", jti="twice")) == 200
        assert not await is_logged_in(browser, stack)


async def test_a_used_token_stays_used_until_it_is_too_old() -> None:
    clock = ManualClock()
    async with running_stack(clock=clock) as stack, Browser() as browser:
        await log_in(browser, stack)
        used = token(stack, sub="alice", exp=int(clock.now()) + 3600)
        assert await tell(stack, used) == 200
        await log_in(browser, stack)
        for _ in range(MAX_AGE_SECONDS + 60):
            clock.advance(1)
            assert await tell(stack, used) == 400
        assert await is_logged_in(browser, stack)


# --- what it costs


@pytest.mark.rule("LO-15")
@pytest.mark.rule("ID-08")
async def test_a_thousand_worthless_tokens_cost_the_op_nothing() -> None:
    """And other requests hardly anything, even if no logout is held up."""
    limits = '[limits]\nfailed_logout_tokens = "off"'
    async with (
        running_stack(extra=limits) as stack,
        Browser() as browser,
        aiohttp.ClientSession() as http,
    ):
        await log_in(browser, stack)
        asked = stack.op.requests["jwks"]
        _, payload, _ = token(stack, sub="alice").split(".")
        signature = b64url(b"x" * 256)
        foreign = b64json({"iss": "https://evil.example"})

        def worthless(number: int) -> str:
            header = b64json({"alg": "RS256", "typ": "logout+jwt", "kid": f"{number}"})
            kinds = (f"{number}", f"{header}.{foreign}.{signature}", f"{header}.x.{signature}")
            return kinds[number % 3]

        async def send(number: int) -> int:
            form = {"logout_token": worthless(number)}
            async with http.post(f"{stack.public_url}{PATH}", data=form) as answer:
                return answer.status

        statuses: set[int] = set()
        for batch in range(20):
            sending = [send(50 * batch + number) for number in range(50)]
            busy = asyncio.gather(*sending)
            assert (await browser.fetch("GET", "/bff/user")).status == 200
            statuses |= set(await busy)
        assert statuses == {400}
        assert stack.op.requests["jwks"] == asked

        for number in range(30):  # the right issuer, and unknown keys
            header = b64json({"alg": "RS256", "typ": "logout+jwt", "kid": f"{number}"})
            assert await tell(stack, f"{header}.{payload}.{signature}") == 400
        assert stack.op.requests["jwks"] == asked + 1


# --- what the operator sees


@pytest.mark.rule("OP-01")
async def test_results_are_logged_and_counted_without_the_token() -> None:
    with written_log("debug") as log:
        async with running_stack() as stack, Browser() as browser, Browser() as second:
            await log_in(browser, stack)
            await log_in(second, stack)
            used = token(stack, sub="alice")
            sent = [used, used, token(stack, sub="alice"), token(stack, sub="alice", nonce="n")]
            assert [await tell(stack, one) for one in sent] == [200, 400, 200, 400]
            async with (
                aiohttp.ClientSession() as http,
                http.get(f"{stack.admin_url}/metrics") as answer,
            ):
                metrics = await answer.text()
    told = log.of("backchannel_logout")
    assert [line["outcome"] for line in told] == [
        "ended",
        "logout_token_invalid",
        "no_session",
        "logout_token_invalid",
    ]
    assert (told[0]["sessions"], told[0]["subs"]) == (2, ["alice"])
    assert [told[1]["detail"], told[3]["detail"]] == ["jti_replayed", "nonce"]
    assert all(line["request_id"] for line in told)
    for outcome, count in (("ended", 1), ("no_session", 1), ("logout_token_invalid", 2)):
        labels = f'channel="backchannel_logout",outcome="{outcome}"'
        assert f"bff_op_logouts_total{{{labels}}} {count}.0" in metrics
    assert 'bff_sessions_ended_total{reason="backchannel_logout"} 2.0' in metrics
    for one in sent:
        for part in one.split("."):
            assert part not in log.text
