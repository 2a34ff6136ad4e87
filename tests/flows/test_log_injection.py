"""Whatever a browser, an API, the OP or a caller of the admin listener writes: no log has a line
that the gateway did not begin, and none steers a terminal (CWE-117, CWE-150).
"""

import asyncio
import io
import json
import re
from contextlib import redirect_stderr
from urllib.parse import quote

import aiohttp
import pytest
import structlog

from bff.observability import logs
from spa_demo.op import DEMO_USERS
from spa_demo.op.settings import User
from tests.flows.logins import log_in
from tests.flows.op_logouts import post, token
from tests.parts.browser import Browser
from tests.parts.raw_upstream import raw_upstream
from tests.parts.stack import Stack, running_stack
from tests.polling import until

FORGED = '{"event": "forged", "level": "critical"}'
# What ends a line or moves a cursor somewhere: ASCII, C1, Unicode; and what turns text around.
EVIL = f"a\r\n{FORGED}\n\x1b[2J\x1b]0;t\x07\x08\x00\x7f\x85\x9b2J\u2028b\u2029\u202ec\u2066\ufeff"
NO_CONTROL = re.compile(r"[\x20-\x7e]*")
MALLORY = User(f"mallory{EVIL}", "mallory", EVIL, EVIL)  # no identifier: refused
EVE = User("""eve' event="x", "event": "forged\\""", "eve", EVIL, EVIL)  # odd, but one
HUGE = "A" * 7000


def heads(host: str) -> list[bytes]:
    """Requests with the text at each place, as it is and percent-encoded."""
    raw, encoded = EVIL.encode(), quote(EVIL, safe="").encode()
    fields = (b"User-Agent", b"X-Request-Id", b"traceparent", b"Referer", b"Cookie", b"Origin")
    targets = (
        *(b"/api/x" + text for text in (raw, encoded)),
        *(b"/bff/login?returnUrl=" + text for text in (raw, encoded)),
        *(b"/bff/callback?error=%b&error_description=%b&state=x" % (t, t) for t in (raw, encoded)),
        b"/bff/logout?sid=" + encoded,
        b"/bff/" + encoded,
    )  # fmt: skip
    ends = b"Host: " + host.encode() + b"\r\nConnection: close\r\n"
    return [
        *(b"GET " + target + b" HTTP/1.1\r\n" + ends + b"\r\n" for target in targets),
        *(
            b"GET /api/x HTTP/1.1\r\n" + ends + name + b": " + text + b"\r\n\r\n"
            for name in fields
            for text in (raw, raw.replace(b"\r", b"").replace(b"\n", b""), encoded, HUGE.encode())
        ),
        b"GET / HTTP/1.1\r\nHost: " + encoded + b"\r\nConnection: close\r\n\r\n",
        raw + b"\r\n\r\n",
    ]


async def send(stack: Stack, request: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", stack.ports.gateway)
    writer.write(request)
    assert await reader.read(65536) is not None
    writer.close()


async def everybody_writes(stack: Stack, browser: Browser) -> None:
    host = stack.public_url.partition("://")[2]
    for request in heads(host):
        await send(stack, request)
    await log_in(browser, stack)
    for path in ("/api/cut", "/api/reason"):
        await browser.fetch("GET", path)
    for user in (MALLORY, EVE):
        async with Browser() as other:
            page = await other.navigate(f"{stack.public_url}/bff/login")
            await other.log_in_at_op(page, user.sub, user.password)
    for claims in ({"sub": EVIL}, {"sid": EVIL, "sub": "alice"}, {"jti": EVIL}, {"iss": EVIL}):
        await post(stack, {"logout_token": token(stack, **claims)})
    await post(stack, {"logout_token": EVIL})
    async with aiohttp.ClientSession() as http:
        for parameters in ({"sub": EVIL}, {"sid": EVIL, "issuer": EVIL}, {EVIL: EVIL}):
            for method in ("GET", "DELETE"):
                url = f"{stack.admin_url}/sessions"
                async with http.request(method, url, params=parameters) as answer:
                    assert NO_CONTROL.fullmatch(await answer.text())
    await browser.fetch("POST", "/bff/logout")


@pytest.mark.rule("OP-01")
@pytest.mark.rule("SM-08")
@pytest.mark.parametrize("log_format", ["json", "text"])
async def test_no_input_writes_a_line_of_the_log(log_format: str) -> None:
    out = io.StringIO()
    async with raw_upstream() as api:
        api.answer = b"HTTP/1.1 200 \x1b[2J" + FORGED.encode() + b"\r\nContent-Length: 9\r\n\r\ncut"
        route = f'[[routes]]\npath = "/api/"\nupstream = "http://127.0.0.1:{api.port}/"'
        with redirect_stderr(out):
            logs.configure(level="debug", log_format=log_format)
            structlog.configure(cache_logger_on_first_use=False)  # the next test writes elsewhere
            async with (
                running_stack(routes=route, op={"users": (*DEMO_USERS, MALLORY, EVE)}) as stack,
                Browser() as browser,
            ):
                await everybody_writes(stack, browser)
                await until(lambda: stack.op.revocations > 0)
        structlog.reset_defaults()
    lines = out.getvalue().split("\n")
    assert lines.pop() == ""
    assert len(lines) > 40
    assert "mallory" not in out.getvalue()
    subs = set[object]()
    for line in lines:
        assert NO_CONTROL.fullmatch(line), ascii(line)
        assert len(line) < 4000
        if log_format == "json":
            assert json.loads(line)["event"] != "forged"
            subs.add(json.loads(line).get("sub"))
        else:
            subs.add(EVE.sub if f"sub={EVE.sub!r}" in line else None)
            assert re.match(r"20\d\d-\d\d-\d\dT[0-9:.]+Z \[(debug|info|warning|error) ", line)
    assert EVE.sub in subs
