"""Runs the demo's browser code in Node: one page with a prepared network, or several tabs."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

SPA = Path(__file__).parents[2] / "spa_demo" / "spa"
CLIENT = Path(__file__).parents[2] / "bff" / "client"
TABS = Path(__file__).with_name("spa_tabs.mjs")
NODE = shutil.which("node")
RUN_SECONDS = 30

needs_node = pytest.mark.skipif(NODE is None, reason="node is not installed")

USER = {"sub": "u1", "name": "Alice", "bff": {"logout_url": "/bff/logout?sid=s1"}}
NOT_AUTHENTICATED = {"code": "not_authenticated", "title": "x", "login_url": "/bff/login"}
PROBLEM = "application/problem+json"

ALICE = "gateway.user = alice();"
# Three tabs of a user who is logged in; `news()` is what each has heard since it was last asked.
THREE_TABS = f"""
{ALICE}
const ask = (client) => client.user();
const tabs = [await openTab(ask), await openTab(ask), await openTab(ask)];
await settle();
const news = () => tabs.map((tab) => tab.news());
const first = news();
"""

# A page at one address, whose network gives the prepared answers and records what it was asked.
_PAGE = """
const { createClient, readProblem } = await import(CLIENT + 'bff-client.js');
const asked = [], went = [], ended = [];
globalThis.location = {
  href: 'https://app.test/notes?x=1#top', origin: 'https://app.test',
  pathname: '/notes', search: '?x=1', hash: '#top', assign: (to) => went.push(to),
};
globalThis.fetch = async (request) => {
  const { url, method, mode, cache } = request;
  asked.push({ url, method, mode, cache, csrf: request.headers.get('x-csrf') });
  const answer = answers.shift();
  if (answer === null) throw new TypeError('Failed to fetch');
  const headers = { 'Content-Type': answer.type ?? 'application/json', ...answer.headers };
  const body = answer.text ?? (answer.status === 204 ? null : JSON.stringify(answer.body));
  return new Response(body, { status: answer.status ?? 200, headers });
};
const client = createClient({ ...options, onSessionEnded: (error) => ended.push(error.code) });
const attempt = async (work) => {
  try {
    const value = await work();
    return value instanceof Response ? { status: value.status, text: await value.text() } : value;
  } catch (error) {
    const { name, code, status, loginUrl, requestId } = error;
    const retryAfter = Number.isNaN(error.retryAfter) ? 'NaN' : error.retryAfter;
    return { name, code, status, loginUrl, retryAfter, requestId };
  }
};
"""


def run_js(source: str) -> Any:
    """What `source` returns, through JSON: an async function body that may import `SPA + file` or
    `CLIENT + file`."""
    assert NODE is not None
    program = (
        f"const SPA = {json.dumps(SPA.as_uri() + '/')};"
        f"const CLIENT = globalThis.CLIENT = {json.dumps(CLIENT.as_uri() + '/')};"
        f"const main = async () => {{ {source} }};"
        "main().then((value) => console.log(JSON.stringify(value ?? null)));"
    )
    done = subprocess.run(
        [NODE, "--input-type=module", "--eval", program],
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def in_browser(work: str, *answers: object, options: dict[str, str] | None = None) -> Any:
    """What `work` returns with the network giving `answers` in turn: None is no connection."""
    given = f"const answers = {json.dumps(answers)}, options = {json.dumps(options or {})};"
    return run_js(given + _PAGE + work)


def in_tabs(work: str) -> Any:
    """What `work` returns that may use all of spa_tabs.mjs."""
    imported = f"const {{ {_TABS_NAMES} }} = await import({json.dumps(TABS.as_uri())});"
    return run_js(imported + work)


_TABS_NAMES = (
    "advance, alice, end, gateway, locks, openStreams, openTab, settle, show, streams, turnPage"
)


def problem(status: int, **document: object) -> dict[str, object]:
    return {"status": status, "type": PROBLEM, "body": document}
