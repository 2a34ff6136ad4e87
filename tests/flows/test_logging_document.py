"""docs/logging.md: what a whole flow leaves in the log, taken from a run and true to this one."""

import io
import json
import re
from contextlib import redirect_stderr
from typing import Any

import structlog

from bff.clock import ManualClock
from bff.observability import logs
from tests.flows.logins import log_in
from tests.parts.browser import Browser
from tests.parts.deployment import ROOT
from tests.parts.stack import Stack, running_stack
from tests.polling import until

DOCUMENT = ROOT / "docs" / "logging.md"


async def a_day(stack: Stack, browser: Browser, clock: ManualClock) -> None:
    """What the document tells, in its order."""
    await log_in(browser, stack)
    assert (await browser.fetch("GET", "/api/me")).status == 200
    clock.advance(61)
    assert (await browser.fetch("GET", "/api/me")).status == 200  # with a refreshed token
    assert (await browser.fetch("GET", "/api/me", csrf=False)).status == 403
    assert (await browser.fetch("GET", "/api/x%2f..%2fme?q=1")).status == 400
    callback = "/bff/callback?error=access_denied&error_description=no%0athanks&state=forged"
    assert (await browser.fetch("GET", callback)).status == 400
    await stack.op_server.stop()
    clock.advance(61)
    assert (await browser.fetch("GET", "/api/me")).status == 503
    await stack.op_server.start()
    clock.advance(120)
    assert (await browser.fetch("GET", "/api/me")).status == 200
    assert (await browser.fetch("POST", "/bff/logout")).status == 200
    await until(lambda: stack.op.revocations > 0)
    assert (await browser.fetch("GET", "/api/me")).status == 401


async def logged() -> list[dict[str, Any]]:
    out, clock = io.StringIO(), ManualClock()
    with redirect_stderr(out):
        logs.configure(level="info", log_format="json")
        structlog.configure(cache_logger_on_first_use=False)  # the next test writes elsewhere
        async with running_stack(clock=clock) as stack, Browser() as browser:
            await a_day(stack, browser, clock)
    structlog.reset_defaults()
    return [json.loads(line) for line in out.getvalue().splitlines()]


def shape(entries: list[dict[str, Any]]) -> list[tuple[object, ...]]:
    """What must agree: the fields, and those values that no run changes."""
    fixed = (
        "event",
        "level",
        "code",
        "status",
        "source",
        "reason",
        "sub",
        "detail",
        "method",
        "route",
    )
    return [(sorted(entry), [entry.get(name) for name in fixed]) for entry in entries]


def printed() -> list[dict[str, Any]]:
    sample = re.search(r"```json\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert sample is not None
    return [json.loads(line) for line in sample[1].splitlines() if line]


async def test_the_document_shows_what_is_logged() -> None:
    """Event by event and field by field; what a field means is said of each."""
    entries = await logged()
    assert shape(printed()) == shape(entries), "\n".join(map(json.dumps, entries))
    explained = set(re.findall(r"^\| `(\w+)`", DOCUMENT.read_text(), re.MULTILINE))
    assert {name for entry in entries for name in entry} <= explained
