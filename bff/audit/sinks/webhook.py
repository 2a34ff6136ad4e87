"""Records posted to a URL, some at a time: `application/x-ndjson`, one record a line.

A receiver that answers anything but 2xx is offered the same records again, so that it may get one
twice: `chain` and `sequence` say which.
"""

from collections.abc import Sequence

import aiohttp

from bff.audit.chain import Stamped
from bff.audit.sinks import SinkFailed
from bff.observability.reasons import reason_of

TIMEOUT_SECONDS = 10.0


class WebhookSink:
    """`token` goes with each request, as a bearer token; empty: none does."""

    name = "webhook"

    def __init__(self, url: str, token: str = "", *, timeout: float = TIMEOUT_SECONDS) -> None:
        self._url = url
        self._headers = {"Content-Type": "application/x-ndjson"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._http: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """A receiver that is not there yet is no reason not to start."""
        self._http = aiohttp.ClientSession(
            timeout=self._timeout, cookie_jar=aiohttp.DummyCookieJar()
        )

    async def write(self, records: Sequence[Stamped]) -> None:
        if self._http is None:
            raise AssertionError("it is opened first")
        body = "".join(f"{record.line}\n" for record in records).encode("ascii")
        try:
            async with self._http.post(
                self._url, data=body, headers=self._headers, allow_redirects=False
            ) as answer:
                status = answer.status
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise SinkFailed(reason_of(error)) from None
        if not 200 <= status < 300:
            raise SinkFailed(f"it answered {status}")

    async def close(self) -> None:
        if self._http is not None:
            await self._http.close()
