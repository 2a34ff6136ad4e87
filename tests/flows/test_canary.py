"""No token, code, verifier, secret or session id of a whole flow is found anywhere but where it
belongs: not in what the browser's scripts can see, in a log, a metric, an error or a URL."""

import io
import json
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest

from bff.clock import ManualClock
from bff.endpoints.arrival import TICKET
from tests.flows.logins import log_in
from tests.flows.witness import (
    Witness,
    every_repr,
    everything_scripts_can_see,
    everything_written,
    require_none,
)
from tests.parts.browser import Browser
from tests.parts.browser_pages import Page
from tests.parts.configuration import CLIENT_SECRET, SESSION_SECRET
from tests.parts.stack import Stack, running_stack
from tests.polling import until


@pytest.fixture
def output() -> Iterator[io.StringIO]:
    with everything_written() as out:
        yield out


async def a_whole_flow(stack: Stack, browser: Browser, clock: ManualClock) -> list[Page]:
    pages = [await log_in(browser, stack, to="/session")]
    pages += [hop for hop in pages[0].hops if hop.url.startswith(stack.public_url)]
    for method, path in (("GET", "/bff/user"), ("GET", "/api/me"), ("GET", "/api/notes")):
        pages.append(await browser.fetch(method, path))
    clock.advance(61)
    pages.append(await browser.fetch("GET", "/api/me"))
    pages.append(await browser.fetch("POST", "/api/echo", data=b"hello"))
    pages.append(await browser.fetch("GET", "/api/admin"))
    pages.append(await browser.fetch("GET", "/api/../x"))
    pages.append(await browser.fetch("GET", "/api/me", csrf=False))
    pages.append(await browser.fetch("GET", "/bff/nothing"))
    pages.append(await browser.fetch("GET", "/bff/callback?code=canary-code&state=canary-state"))
    stack.revoke_all_grants()
    clock.advance(61)
    pages.append(await browser.fetch("GET", "/api/me"))
    pages.append(await log_in(browser, stack))
    return pages


@pytest.mark.rule("CVE-2024-39315")
@pytest.mark.rule("TK-12")
@pytest.mark.rule("OP-01")
async def test_nothing_secret_leaves_by_any_door(output: io.StringIO, tmp_path: Path) -> None:
    clock = ManualClock()
    witness = Witness()
    audited, datagrams = tmp_path / "audit.jsonl", tmp_path / "log"
    syslog = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    syslog.bind(str(datagrams))
    syslog.setblocking(False)
    audit = f"""[audit]
sinks = ["file:{audited}", "syslog:{datagrams}"]
address = "full"
user_agent = "full"
"""
    async with (
        running_stack(clock=clock, prepare_op=witness.attach, extra=audit) as stack,
        Browser() as browser,
    ):
        pages = await a_whole_flow(stack, browser, clock)
        said = every_repr()
        session_id = (browser.cookies.get("bff") or "").partition(".")[0]
        pages.append(await browser.fetch("POST", "/bff/logout"))
        await until(lambda: stack.op.revocations > 0)
        async with aiohttp.ClientSession() as http:
            for path in ("/metrics", "/healthz", "/readyz"):
                async with http.get(stack.admin_url + path) as answer:
                    output.write(await answer.text())
            async with http.post(f"{stack.admin_url}/doctor") as answer:
                told = await answer.json()
                output.write(json.dumps(told))
        ticket = {TICKET: told["ticket"]}
        pages.append(await browser.fetch("GET", "/bff/arrival", headers=ticket))
        assert pages[-1].status == 200

    secrets = witness.secrets | {
        "session id": session_id,
        "client secret": CLIENT_SECRET,
        "session secret": SESSION_SECRET,
        "a JWT": "eyJ",
        "callback code": "canary-code",
        "callback state": "canary-state",
    }
    for kind in ("code_verifier", "refresh_token", "access_token", "id_token"):
        assert len([name for name in secrets if kind in name]) >= 2, kind
    assert len(session_id) == 43
    with syslog, suppress(BlockingIOError):
        while True:
            output.write(syslog.recv(65536).decode())
    output.write(audited.read_text())
    written, shown = output.getvalue(), everything_scripts_can_see(pages)
    assert "login_succeeded" in written
    assert "<85>1 " in written
    assert "csrf_refused" in audited.read_text()
    assert '"sub": "alice"' in shown
    assert "Session(" in said
    places = {"the output": written, "what scripts can see": shown, "a repr": said}
    require_none(secrets, places)
