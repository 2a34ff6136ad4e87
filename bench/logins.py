"""Login flows over redirects only, as the OP of the measurements allows them."""

import asyncio
import time
from dataclasses import dataclass

import aiohttp
from yarl import URL

from bench.browser_request import FIELDS
from bench.peers.program import API_PATH, Running

NAVIGATION = {
    name: value
    for name, value in FIELDS.items()
    if name not in {"X-CSRF", "Referer"} and not name.startswith("X-Forwarded")
} | {
    "Accept": "text/html,application/xhtml+xml",
    "Sec-Fetch-Site": "none",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Dest": "document",
}
MAX_REDIRECTS = 10


@dataclass(frozen=True, slots=True)
class LoginRate:
    logins: int
    seconds: float


def start_path(running: Running) -> str:
    """Where a navigation starts that ends at the API, logged in."""
    own = "/bff/login?returnUrl=" + API_PATH
    return own if running.program.name == "gateway" else API_PATH


async def log_in(running: Running) -> str:
    """One login in a browser of its own, to the redirect back to the API; the program's cookies.

    Raises:
        RuntimeError: it did not end at the API.
    """
    origin = f"http://127.0.0.1:{running.port}"
    # Cookies know no ports: the OP's are kept apart by hand.
    jars: dict[int | None, dict[str, str]] = {}
    url = URL(f"{origin}{start_path(running)}", encoded=True)
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:
        for _ in range(MAX_REDIRECTS):
            jar = jars.setdefault(url.port, {})
            headers = NAVIGATION | ({"Cookie": _field(jar)} if jar else {})
            async with http.get(url, headers=headers, allow_redirects=False) as answer:
                for name, morsel in answer.cookies.items():
                    jar[name] = morsel.value
                    if not morsel.value or morsel["max-age"] == "0":
                        del jar[name]
                if answer.status not in {302, 303, 307}:
                    text = await answer.text()
                    raise RuntimeError(f"{answer.status} at {url.path}: {text[:300]}")
                url = url.join(URL(answer.headers["Location"], encoded=True))
                if url.port == running.port and url.path == API_PATH:
                    return _field(jar)
    raise RuntimeError("too many redirects")


def _field(jar: dict[str, str]) -> str:
    return "; ".join(f"{name}={value}" for name, value in jar.items())


async def log_in_for(running: Running, *, seconds: float, at_once: int) -> LoginRate:
    """As many logins as it takes, `at_once` at a time."""
    began_at = time.perf_counter()
    count = 0

    async def keep_logging_in() -> None:
        nonlocal count
        while time.perf_counter() - began_at < seconds:
            await log_in(running)
            count += 1

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(keep_logging_in())
    return LoginRate(count, time.perf_counter() - began_at)
