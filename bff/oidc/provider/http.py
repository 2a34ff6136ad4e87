"""The one way to the OP: an HTTP client that bounds everything and believes nothing.

It never follows a redirect, keeps no cookie, uses no proxy unless told to, verifies TLS,
limits time and size (also after decompression), and lets no foreign exception out. An answer that
says "not now" (5xx, 429) or no answer at all is `OpUnavailable`; everything else is for the pure
function of the protocol step to judge.
"""

import contextlib
import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass

import aiohttp
from yarl import URL

from bff.clock import Clock
from bff.errors import OpAnswerMalformed, OpError, OpUnavailable
from bff.observability.reasons import reason_of
from bff.oidc.provider.client_tls import SharedTls
from bff.oidc.provider.endpoint_url import Parameters, encoded
from bff.oidc.provider.strict_json import NOT_JSON, JsonRefused, parse_json

MAX_BODY_BYTES = 1024 * 1024
CONNECT_TIMEOUT_SECONDS = 5.0
# Below the 5 s after which node and uvicorn drop an idle connection: a POST that meets one being
# closed is a refresh token whose fate is unknown.
KEEPALIVE_SECONDS = 2.0
DEFAULT_PAUSE_SECONDS = 5
MAX_PAUSE_SECONDS = 120
JWT = "application/jwt"  # RFC 7519 section 10.3.1
GZIP = 31  # zlib's name for "gzip framing, largest window"


@dataclass(frozen=True, slots=True)
class OpAnswer:
    """A complete answer below 500. `document` is None when the body is empty, and `NOT_JSON` when
    it is something else than JSON. `jwt` is the body of an answer that says it is a JWT; `location`
    where a redirect, which is not followed, leads; `said_at` the time that it was sent, by the
    clock there; `dpop_nonce` what the next proof is to hold (RFC 9449 section 8)."""

    status: int
    document: object | None = field(default=None, repr=False)
    jwt: str | None = field(default=None, repr=False)
    location: str | None = field(default=None, repr=False)
    said_at: float | None = None
    dpop_nonce: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Network:
    """How the OP is reached. `proxy`: the URL of one for all requests, or `environment`. The client
    certificate is shown to an OP or a proxy that asks for one."""

    proxy: str | None = field(default=None, repr=False)
    cert_file: str | None = None
    key_file: str | None = None


# Told of each request: the endpoint's name, `ANSWERED` or the error's code, and seconds.
Observe = Callable[[str, str, float], None]
ANSWERED = "answered"
ENVIRONMENT = "environment"
DIRECT = Network()


class OpHttp:
    """The client session towards one OP. `ca_file`, when given, replaces the system's CAs."""

    def __init__(
        self,
        clock: Clock,
        *,
        timeout_seconds: float,
        ca_file: str | None,
        table: str,
        network: Network = DIRECT,
        tls: SharedTls | None = None,
        observe: Observe = lambda *_: None,
    ) -> None:
        self._clock = clock
        self._observe = observe
        self._timeout_seconds = timeout_seconds
        self._tls = (tls or SharedTls()).towards(ca_file, network.cert_file, network.key_file)
        self._network = network
        self._proxies: Mapping[str, str] = {}
        self._ca_setting = f"{table}.ca_file"
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Make the client session; nothing is fetched.

        Raises:
            OSError: the CA file, or that of the client certificate, cannot be read or used.
        """
        self._tls.load()
        if self._network.proxy == ENVIRONMENT:
            # As other programs read them: a proxy without a scheme is asked by plain HTTP.
            self._proxies = {
                scheme: url if "://" in url or scheme == "no" else f"http://{url}"
                for scheme, url in getproxies_environment().items()
            }
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(keepalive_timeout=KEEPALIVE_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            headers={
                "User-Agent": "bff",
                "Accept": "application/json, */*;q=0.5",
                "Accept-Encoding": "identity",
            },
        )

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def get(
        self,
        name: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        *,
        max_bytes: int = MAX_BODY_BYTES,
    ) -> OpAnswer:
        """GET `url`; `name` is what the log calls this endpoint.

        Raises:
            OpUnavailable: no complete answer, 5xx or 429.
            OpAnswerMalformed: the answer is too large or in an unknown coding.
        """
        seconds = self._timeout_seconds
        return await self._send("GET", name, url, headers or {}, None, max_bytes, seconds)

    async def post(
        self,
        name: str,
        url: str,
        form: Parameters,
        headers: Mapping[str, str],
        *,
        at_least_seconds: float = 0.0,
    ) -> OpAnswer:
        """POST a form to `url`. `at_least_seconds` are waited for an answer, even where the timeout
        of every other call is shorter; connecting takes no longer for it. Raises as `get`."""
        form_headers = {**headers, "Content-Type": "application/x-www-form-urlencoded"}
        body = encoded(form).encode("ascii")
        seconds = max(self._timeout_seconds, at_least_seconds)
        return await self._send("POST", name, url, form_headers, body, MAX_BODY_BYTES, seconds)

    async def send_json(
        self,
        method: str,
        name: str,
        url: str,
        document: Mapping[str, object] | None,
        headers: Mapping[str, str],
    ) -> OpAnswer:
        """Send a JSON object, or no body at all. Raises as `get`."""
        json_headers, body = dict(headers), None
        if document is not None:
            json_headers["Content-Type"] = "application/json"
            body = json.dumps(document).encode("ascii")
        return await self._send(
            method, name, url, json_headers, body, MAX_BODY_BYTES, self._timeout_seconds
        )

    async def _send(
        self,
        method: str,
        name: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        max_bytes: int,
        seconds: float,
    ) -> OpAnswer:
        if self._session is None:
            raise RuntimeError("OpHttp is used before start()")
        connect = min(self._timeout_seconds, CONNECT_TIMEOUT_SECONDS)
        with self._observed(name):
            try:
                async with self._session.request(
                    method,
                    URL(url, encoded=True),
                    headers=headers,
                    data=body,
                    allow_redirects=False,
                    ssl=self._tls.context(),
                    proxy=self._proxy_for(url),
                    timeout=aiohttp.ClientTimeout(total=seconds, connect=connect),
                ) as response:
                    return await self._answer(name, response, max_bytes)
            except TimeoutError:
                raise OpUnavailable(f"{name}: timeout") from None
            except (aiohttp.ClientError, OSError) as error:
                # `from None`: these carry the request with its Authorization header.
                raise OpUnavailable(
                    f"{name}: {reason_of(error, ca_setting=self._ca_setting)}"
                ) from None

    async def _answer(
        self, name: str, response: aiohttp.ClientResponse, max_bytes: int
    ) -> OpAnswer:
        self._require_available(name, response)
        raw = await _read_bounded(name, response, max_bytes)
        body = _decoded(name, response, raw, max_bytes)
        is_jwt, headers = response.content_type == JWT, response.headers
        return OpAnswer(
            response.status,
            NOT_JSON if is_jwt else _parsed(body),
            jwt=body.decode("latin-1").strip() if is_jwt else None,
            location=headers.get("Location"),
            said_at=said_at_seconds(headers.get("Date"), headers.get("Age")),
            dpop_nonce=headers.get("DPoP-Nonce"),
        )

    @contextlib.contextmanager
    def _observed(self, name: str) -> Iterator[None]:
        began = self._clock.now()
        try:
            yield
        except OpError as error:
            self._observe(name, error.code, self._clock.now() - began)
            raise
        self._observe(name, ANSWERED, self._clock.now() - began)

    def _proxy_for(self, url: str) -> str | None:
        """`HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` count only where the configuration says so."""
        if self._network.proxy != ENVIRONMENT:
            return self._network.proxy
        parts = urlsplit(url)
        if proxy_bypass(parts.netloc, self._proxies):
            return None
        return self._proxies.get(parts.scheme)

    def _require_available(self, name: str, response: aiohttp.ClientResponse) -> None:
        if response.status >= 500 or response.status == 429:
            asked = response.headers.get("Retry-After")
            seconds = retry_after_seconds(asked, self._clock.now())
            raise OpUnavailable(
                f"{name}: status {response.status}",
                retry_after=seconds,
                asked_seconds=seconds if asked is not None else 0,
            )


async def _read_bounded(name: str, response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > max_bytes:
            raise OpAnswerMalformed(f"{name}: body over {max_bytes} bytes")
    return bytes(body)


def _decoded(name: str, response: aiohttp.ClientResponse, body: bytes, max_bytes: int) -> bytes:
    """The body without its content coding. We ask for none, some file servers send gzip anyway."""
    coding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if coding == "identity":
        return body
    if coding not in {"gzip", "x-gzip"}:
        raise OpAnswerMalformed(f"{name}: unknown content coding")
    inflater = zlib.decompressobj(wbits=GZIP)
    try:
        plain = inflater.decompress(body, max_bytes + 1)
    except zlib.error:
        raise OpAnswerMalformed(f"{name}: broken gzip") from None
    if len(plain) > max_bytes or not inflater.eof:
        raise OpAnswerMalformed(f"{name}: gzip incomplete or over {max_bytes} bytes")
    return plain


def _parsed(body: bytes) -> object | None:
    if not body:
        return None
    try:
        return parse_json(body)
    except JsonRefused:
        return NOT_JSON


def _http_date(text: str) -> float | None:
    """An HTTP-date as epoch seconds. It is in UTC, also where it does not say so (RFC 9110 section
    5.6.7). None where it is none."""
    try:
        return parsedate_to_datetime(text).replace(tzinfo=UTC).timestamp()
    except (ValueError, OverflowError):  # the second: a number in it that fits no date
        return None


def said_at_seconds(date: str | None, age: str | None) -> float | None:
    """When an answer was sent, by the clock of the server: `Date`, and how long a cache has kept it
    since (RFC 9110 section 6.6.1, RFC 9111 section 5.1). None where it does not say."""
    when = _http_date(date or "")
    if when is None:
        return None
    is_age = age is not None and age.isascii() and age.isdigit() and len(age) <= 10
    return when + float(age or 0) if is_age else when


def retry_after_seconds(value: str | None, now: float) -> int:
    """Seconds to wait, from `Retry-After` (RFC 9110 section 10.2.3): 1 to 120, so that an OP cannot
    keep us away for a day, and 5 when the header is absent or unreadable."""
    if value is None:
        return DEFAULT_PAUSE_SECONDS
    text = value.strip()
    if text.isascii() and text.isdigit() and len(text) <= 10:
        seconds = float(text)
    else:
        when = _http_date(text)
        if when is None:
            return DEFAULT_PAUSE_SECONDS
        seconds = when - now
    return max(1, min(round(seconds), MAX_PAUSE_SECONDS))
