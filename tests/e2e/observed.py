"""What one browser profile saw: requests, answers, and what its pages complained about."""

import asyncio
import contextlib
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from playwright.async_api import (
    BrowserContext,
    ConsoleMessage,
    Error,
    Page,
    Request,
    WebError,
)

# Chromium's own line about every 4xx and 5xx; the statuses themselves are looked at as exchanges.
REFUSED_BY_STATUS = "Failed to load resource: the server responded with a status of "
READ_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request as it was sent, cookies included, and its answer. `body` is None where the browser
    keeps none: redirects, and documents it has left since."""

    method: str
    url: str
    status: int
    sent: dict[str, str] = field(repr=False)
    received: list[tuple[str, str]] = field(repr=False)
    body: bytes | None = field(repr=False)

    @property
    def path(self) -> str:
        return urlsplit(self.url).path

    def header(self, name: str) -> str | None:
        """An answer's header; several lines are joined."""
        values = [value for field_name, value in self.received if field_name.lower() == name]
        return ", ".join(values) if values else None


class Observed:
    """Listens from the first page on. `origin` is the application's."""

    def __init__(self, context: BrowserContext, origin: str) -> None:
        self._origin = origin
        self._complaints: list[str] = []
        self._reading: list[asyncio.Task[Exchange | None]] = []
        context.on("console", self._on_console)
        context.on("weberror", self._on_error)
        # Not "response": of an answer that a policy keeps from a page, the rest never comes.
        context.on("requestfinished", self._on_finished)

    @property
    def complaints(self) -> list[str]:
        """Errors and warnings on the application's own pages: refused by a policy, thrown and not
        caught, deprecated."""
        return list(self._complaints)

    def forget_complaints(self) -> list[str]:
        """Those there were, which the test has provoked."""
        provoked, self._complaints = self._complaints, []
        return provoked

    async def exchanges(self) -> list[Exchange]:
        """All that are complete by now, with every origin."""
        found = await asyncio.gather(*self._reading)
        return [exchange for exchange in found if exchange is not None]

    async def own_exchanges(self, path: str = "/") -> list[Exchange]:
        """Those with the application's origin, below `path`."""
        start = self._origin + path
        return [found for found in await self.exchanges() if found.url.startswith(start)]

    def _on_console(self, message: ConsoleMessage) -> None:
        is_serious = message.type in ("error", "warning")
        if not is_serious or message.text.startswith(REFUSED_BY_STATUS):
            return
        if self._is_own(message.page):
            self._complaints.append(f"{message.type}: {message.text}")

    def _on_error(self, error: WebError) -> None:
        if self._is_own(error.page):
            self._complaints.append(f"uncaught: {error.error}")

    def _on_finished(self, request: Request) -> None:
        self._reading.append(asyncio.ensure_future(_read(request)))

    def _is_own(self, page: Page | None) -> bool:
        return page is None or page.url.startswith(self._origin)


async def _read(request: Request) -> Exchange | None:
    body = None
    try:
        async with asyncio.timeout(READ_SECONDS):
            sent = await request.all_headers()
            response = await request.response()
            if response is None:
                return None
            received = await response.headers_array()
            if not 300 <= response.status < 400:
                with contextlib.suppress(Error):
                    body = await response.body()
    except Error:
        return None  # the page was closed meanwhile
    headers = [(line["name"], line["value"]) for line in received]
    return Exchange(request.method, request.url, response.status, sent, headers, body)
