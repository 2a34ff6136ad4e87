"""Sends a decided request to an upstream and streams the answer back.

Bodies pass through in both directions as they come, with back-pressure and without being kept.
Nothing is decided here: method, path and fields are the gate's. Once response headers are out, an
upstream failure aborts the browser's connection, so that a cut answer never looks complete.
"""

import asyncio
import contextlib
import itertools
import ssl
from collections.abc import AsyncIterator, Iterable

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from bff.errors import BodyTooLarge, UpstreamMalformed, UpstreamTimeout, UpstreamUnreachable
from bff.gate.outcome import Forward
from bff.gate.routes import Route, Upstream
from bff.proxy.listener import SERVER_NAME
from bff.proxy.responses import response_fields
from bff.sessions.bonds import SessionBonds

NO_AUTOMATIC_HEADERS = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")
NO_BODY_STATUSES = frozenset({204, 304})


class _DownstreamGone(Exception):
    """The browser hung up: nobody is left to answer."""


class Forwarder:
    """One connection pool per certificate authority. `max_body_bytes` None means no limit."""

    def __init__(
        self, routes: Iterable[Route], bonds: SessionBonds, *, max_body_bytes: int | None
    ) -> None:
        self._routes = tuple(routes)
        self._bonds = bonds
        self._max_body_bytes = max_body_bytes
        self._turns = {route.prefix: itertools.cycle(route.upstreams) for route in self._routes}
        self._pools: dict[str | None, aiohttp.ClientSession] = {}

    async def start(self) -> None:
        for ca_file in {route.ca_file for route in self._routes}:
            self._pools[ca_file] = _pool(ca_file)

    async def close(self) -> None:
        for pool in self._pools.values():
            await pool.close()

    async def forward(
        self, request: web.BaseRequest, decision: Forward, own_headers: dict[str, str]
    ) -> web.StreamResponse:
        """Forward one request and return the response, already sent.

        Raises:
            UpstreamError: nothing has been sent to the browser yet.
        ConnectionError: the browser is gone, or was cut off because the upstream failed.
            BodyTooLarge: the request announces or turns out to have more than the limit.
        """
        body = _RequestBody(request, self._max_body_bytes)
        if body.exceeds_limit():
            raise BodyTooLarge
        try:
            async with self._request(request, decision, body) as upstream:
                response = _response_head(request, decision, upstream, own_headers)
                with self._bond(decision, request):
                    await _prepare(response, request)
                    await _copy_body(upstream, response, decision.route.timeout_seconds)
                return response
        except _DownstreamGone:
            raise _aborted(request) from None
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            if request.writer.output_size > 0:
                raise _aborted(request) from error
            raise (BodyTooLarge() if body.exceeds_limit() else _translate(error)) from error

    def _bond(
        self, decision: Forward, request: web.BaseRequest
    ) -> contextlib.AbstractContextManager[None]:
        """An answer still under way is cut when its session ends: a stream must not outlive it."""
        if decision.session is None:
            return contextlib.nullcontext()
        return self._bonds.held(decision.session, lambda _reason: _abort(request))

    def _request(
        self, request: web.BaseRequest, decision: Forward, body: "_RequestBody"
    ) -> aiohttp.client._RequestContextManager:
        route = decision.route
        upstream = next(self._turns[route.prefix])
        fields = CIMultiDict(
            (name.decode("latin-1"), value.decode("utf-8", "surrogateescape"))
            for name, value in decision.fields
        )
        fields["Host"] = upstream.authority
        return self._pools[route.ca_file].request(
            decision.method,
            _url(upstream, decision.path_and_query),
            headers=fields,
            data=body if request.body_exists else None,
            skip_auto_headers=NO_AUTOMATIC_HEADERS,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(
                total=None,
                sock_connect=route.connect_timeout_seconds,
                sock_read=route.timeout_seconds,
            ),
        )


class _RequestBody:
    """A browser's body, passed on as it comes and counted."""

    def __init__(self, request: web.BaseRequest, limit_bytes: int | None) -> None:
        self._request = request
        self._limit_bytes = limit_bytes
        self._seen_bytes = request.content_length or 0

    def exceeds_limit(self) -> bool:
        """Whether more has been announced or has come than is allowed."""
        return self._limit_bytes is not None and self._seen_bytes > self._limit_bytes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        sent = 0
        await _invite(self._request)
        async for chunk in self._request.content.iter_any():
            sent += len(chunk)
            self._seen_bytes = max(self._seen_bytes, sent)
            if self.exceeds_limit():
                raise BodyTooLarge
            yield chunk


async def _invite(request: web.BaseRequest) -> None:
    """Answer `Expect: 100-continue` once the body is really wanted (RFC 9110 section 10.1.1)."""
    expected = request.headers.get("Expect", "").lower() == "100-continue"
    if expected and request.version >= aiohttp.HttpVersion11:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # the final answer has not begun


def _pool(ca_file: str | None) -> aiohttp.ClientSession:
    context = ssl.create_default_context(cafile=ca_file)
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=context, limit=0, limit_per_host=0, force_close=False),
        cookie_jar=aiohttp.DummyCookieJar(),  # no state may pass from one user to another
        auto_decompress=False,
        trust_env=False,
        requote_redirect_url=False,
    )


def _url(upstream: Upstream, path_and_query: bytes) -> URL:
    rest = path_and_query.decode("ascii")
    path = upstream.base_path + (rest if rest.startswith("/") else rest and f"/{rest}")
    if not path.startswith("/"):
        path = f"/{path}"
    return URL(f"{upstream.scheme}://{upstream.authority}{path}", encoded=True)


def _response_head(
    request: web.BaseRequest,
    decision: Forward,
    upstream: aiohttp.ClientResponse,
    own_headers: dict[str, str],
) -> web.StreamResponse:
    fields = response_fields(
        upstream.raw_headers,
        used_session=decision.session is not None,
        forward_cookies=decision.route.forward_cookies,
    )
    response = web.StreamResponse(
        status=upstream.status, reason=upstream.reason, headers=_text_fields(fields)
    )
    response.headers.update(own_headers)
    response.headers["X-Request-ID"] = decision.identity.request_id
    response.headers["Server"] = SERVER_NAME
    has_length = "Content-Length" in response.headers
    bodiless = request.method == "HEAD" or upstream.status in NO_BODY_STATUSES
    if not has_length and not bodiless and request.version >= aiohttp.HttpVersion11:
        response.enable_chunked_encoding()
    return response


def _text_fields(fields: Iterable[tuple[bytes, bytes]]) -> CIMultiDict[str]:
    return CIMultiDict(
        (name.decode("latin-1"), value.decode("utf-8", "surrogateescape")) for name, value in fields
    )


async def _prepare(response: web.StreamResponse, request: web.BaseRequest) -> None:
    try:
        await response.prepare(request)
    except ConnectionError as error:
        raise _DownstreamGone from error


async def _copy_body(
    upstream: aiohttp.ClientResponse, response: web.StreamResponse, idle_seconds: float
) -> None:
    async for chunk in upstream.content.iter_any():
        # Writing to a gone browser is a ClientError too; the upstream must not be blamed.
        try:
            async with asyncio.timeout(idle_seconds):
                await response.write(chunk)
        except (ConnectionError, TimeoutError) as error:
            raise _DownstreamGone from error
    try:
        await response.write_eof()
    except ConnectionError as error:
        raise _DownstreamGone from error


def _abort(request: web.BaseRequest) -> None:
    """Cut the browser's connection: the only answer left once a head has gone out."""
    if request.transport is not None:
        request.transport.abort()


def _aborted(request: web.BaseRequest) -> ConnectionError:
    _abort(request)
    return ConnectionResetError("aborted")


def _translate(error: Exception) -> UpstreamUnreachable | UpstreamTimeout | UpstreamMalformed:
    if isinstance(error, TimeoutError):
        return UpstreamTimeout(type(error).__name__)
    if isinstance(error, aiohttp.ClientResponseError | aiohttp.ClientPayloadError | ValueError):
        return UpstreamMalformed(type(error).__name__)
    return UpstreamUnreachable(type(error).__name__)
