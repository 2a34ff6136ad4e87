"""What canary tests are made of: where the secrets are known, and where they must not be found."""

import gc
import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout

import structlog
from aiohttp import web

from bff.observability import logs
from tests.parts.browser_pages import Page


@contextmanager
def everything_written() -> Iterator[io.StringIO]:
    """All the process writes, with the log at its most talkative."""
    out = io.StringIO()
    with redirect_stderr(out), redirect_stdout(out):
        logs.configure(level="debug", log_format="json")
        structlog.configure(cache_logger_on_first_use=False)  # the next test writes elsewhere
        yield out
    structlog.reset_defaults()


class Witness:
    """Collects the secrets that pass between gateway and OP, as only the OP can know them."""

    def __init__(self) -> None:
        self.secrets: dict[str, str] = {}

    def attach(self, op: web.Application) -> None:
        op.on_response_prepare.append(self.look)

    async def look(self, request: web.Request, response: web.StreamResponse) -> None:
        if request.path != "/token" or not isinstance(response, web.Response):
            return
        given = json.loads(response.text or "{}")
        for source in (await request.post(), given):
            for name in ("code", "code_verifier", "refresh_token", "access_token", "id_token"):
                if isinstance(value := source.get(name), str):
                    self.secrets[f"{name} {len(self.secrets)}"] = value


def everything_scripts_can_see(pages: list[Page]) -> str:
    """Bodies, and headers a script can read (Set-Cookie is not among them)."""
    seen = []
    for page in pages:
        headers = [f"{name}: {value}" for name, value in page.headers.items()]
        seen += [line for line in headers if not line.lower().startswith("set-cookie")]
        seen.append(page.body.decode("utf-8", "replace"))
    return "\n".join(seen)


def every_repr() -> str:
    """What each living object of the gateway says of itself, as a debugger or an error report
    would show it."""
    said = []
    for one in gc.get_objects():
        kind = type(one)
        if str(kind.__module__).startswith("bff."):
            said += [repr(one), str(one)]
    return "\n".join(said)


def require_none(secrets: Mapping[str, str], places: Mapping[str, str]) -> None:
    """No secret is in any of the places. A failure names both, and does not repeat the secret."""
    found = [
        f"{name} in {place}"
        for place, text in places.items()
        for name, secret in secrets.items()
        if secret in text
    ]
    assert not found, "; ".join(found)
