"""A browser for tests, over real sockets: it navigates, follows redirects by hand, fills in forms
and fetches, with the cookies and the Fetch Metadata headers that Chromium would send.

It judges nothing: what it received is in the `Page` it returns. It runs no script and loads no
subresource. Fetch Metadata as in the W3C draft, SameSite as in RFC 6265bis section 5.2.
"""

import json as json_text
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from ssl import SSLContext
from types import TracebackType
from typing import Any, Self
from urllib.parse import urldefrag, urlencode, urljoin, urlsplit

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from tests.parts.browser_cookies import Jar
from tests.parts.browser_pages import Form, Page
from tests.polling import HANG_SECONDS

MAX_REDIRECTS = 20
TIMEOUT = aiohttp.ClientTimeout(total=HANG_SECONDS)
DEMO_PASSWORDS = {"alice": "wonderland", "bob": "builder", "carol": "singer"}


class Browser:
    """One profile with one tab. Use as an async context manager.

    `chain_counts`: whether a cross-site redirect on the way makes a navigation cross-site for
    SameSite, as RFC 6265bis has it; Chromium looks at the initiator only, so False is Chromium.
    """

    def __init__(self, *, ssl: SSLContext | None = None, chain_counts: bool = True) -> None:
        self.cookies = Jar()
        self.page: Page | None = None
        self._ssl = ssl
        self._chain_counts = chain_counts
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(ssl=self._ssl or True)
        self._http = aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), timeout=TIMEOUT
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._http:
            await self._http.close()

    @property
    def origin(self) -> str:
        """The origin of the current page."""
        if self.page is None:
            raise RuntimeError("no page is open")
        return origin_of(self.page.url)

    # --- navigations

    async def navigate(
        self,
        url: str,
        *,
        initiator: str | None = None,
        headers: Mapping[str, str] | None = None,
        follow: bool = True,
    ) -> Page:
        """Open a URL: typed into the address bar, or, with `initiator`, by a page of that origin.

        A relative URL is one of the current page. With `follow=False` the first response is
        returned, redirect or not.
        """
        target = urljoin(self.page.url if self.page else "", url)
        return await self._navigate("GET", target, None, initiator, headers or {}, follow=follow)

    async def click(self, url: str, *, follow: bool = True) -> Page:
        """Open a URL as a link or script of the current page does."""
        return await self.navigate(url, initiator=self.origin, follow=follow)

    async def submit(
        self,
        form: Form,
        values: Mapping[str, str] | None = None,
        *,
        button: str | None = None,
        follow: bool = True,
    ) -> Page:
        """Submit a form of the current page with some values changed. `button` is its value."""
        given = dict(values or {})
        fields = [(name, given.pop(name, value)) for name, value in form.fields]
        fields += list(given.items())
        fields += [(name, value) for name, value in form.buttons if value == button]
        if form.method == "get":
            return await self.click(f"{form.action}?{urlencode(fields)}", follow=follow)
        body = urlencode(fields).encode()
        return await self._navigate("POST", form.action, body, self.origin, {}, follow=follow)

    async def log_in_at_op(
        self, page: Page, user: str, password: str | None = None, *, decision: str = "allow"
    ) -> Page:
        """Fill in the demo OP's forms from `page` on, to the page the client ends at.

        `decision` is that on the consent form: "allow" or "cancel".
        """
        if page.has_form("login"):
            values = {"username": user, "password": password or DEMO_PASSWORDS[user]}
            page = await self.submit(page.form("login"), values, button="login")
        if page.has_form("consent"):
            page = await self.submit(page.form("consent"), button=decision)
        return page

    # --- fetches

    async def fetch(
        self,
        method: str,
        url: str,
        *,
        json: object = None,
        data: bytes | str | Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        csrf: bool = True,
        mode: str = "cors",
    ) -> Page:
        """`fetch()` by a script of the current page; redirects are shown, not followed.

        Adds `X-CSRF: 1` unless `csrf=False`. A header given as "" is left out.
        """
        request_headers, body = self._fetch_parts(method, url, json, data, mode)
        if csrf:
            request_headers["X-CSRF"] = "1"
        _override(request_headers, headers or {})
        target = urljoin(self._current_url(), url)
        return await self._exchange(method, target, request_headers, body)

    @asynccontextmanager
    async def stream(
        self, url: str, *, headers: Mapping[str, str] | None = None, csrf: bool = True
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """A GET whose response is read as it comes: an event stream, a download."""
        request_headers, _ = self._fetch_parts("GET", url, None, None, "cors")
        if csrf:
            request_headers["X-CSRF"] = "1"
        _override(request_headers, headers or {})
        target = URL(urljoin(self._current_url(), url), encoded=True)
        no_limit = aiohttp.ClientTimeout(total=None, sock_connect=5)
        async with self._session().get(
            target, headers=request_headers, timeout=no_limit, allow_redirects=False
        ) as response:
            self._take_cookies(str(target), response)
            yield response

    def _fetch_parts(
        self, method: str, url: str, json: object, data: Any, mode: str
    ) -> tuple[CIMultiDict[str], bytes | None]:
        target = urljoin(self._current_url(), url)
        headers: CIMultiDict[str] = CIMultiDict({"Accept": "*/*"})
        body = data.encode() if isinstance(data, str) else data
        if json is not None:
            body = json_text.dumps(json).encode()
            headers["Content-Type"] = "application/json"
        elif isinstance(body, Mapping):
            body = urlencode(body).encode()
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        is_same_origin = origin_of(target) == self.origin
        if method not in {"GET", "HEAD"} or (mode == "cors" and not is_same_origin):
            headers["Origin"] = self.origin
        headers["Sec-Fetch-Site"] = fetch_site(self.origin, [target])
        headers["Sec-Fetch-Mode"] = mode
        headers["Sec-Fetch-Dest"] = "empty"
        is_same_site = site_of(self.origin) == site_of(target)
        cookie = self.cookies.header(target, same_site=is_same_site, top_level_get=False)
        if cookie and (is_same_origin or mode == "no-cors"):
            headers["Cookie"] = cookie
        return headers, body

    # --- inside

    async def _navigate(
        self,
        method: str,
        url: str,
        body: bytes | None,
        initiator: str | None,
        extra: Mapping[str, str],
        *,
        follow: bool,
    ) -> Page:
        chain: list[str] = []
        hops: list[Page] = []
        while True:
            url = urldefrag(url).url
            chain.append(url)
            headers = self._navigation_headers(method, chain, initiator, has_body=body is not None)
            _override(headers, extra)
            page = await self._exchange(method, url, headers, body, tuple(hops))
            if page.location is None or page.status not in _REDIRECTS:
                self.page = page
                return page
            if not follow:
                return page
            if len(hops) == MAX_REDIRECTS:
                raise AssertionError(f"redirect loop: {chain}")
            hops.append(page)
            url = urljoin(url, page.location)
            if page.status == 303 or (page.status in {301, 302} and method == "POST"):
                method, body = "GET", None

    def _navigation_headers(
        self, method: str, chain: list[str], initiator: str | None, *, has_body: bool
    ) -> CIMultiDict[str]:
        headers = CIMultiDict(
            {
                "Accept": "text/html,application/xhtml+xml,*/*;q=0.8",
                "Upgrade-Insecure-Requests": "1",
                "Sec-Fetch-Site": fetch_site(initiator, chain),
                "Sec-Fetch-Mode": "navigate",
                "Sec-Fetch-User": "?1",
                "Sec-Fetch-Dest": "document",
            }
        )
        if has_body:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        if method == "POST" and initiator:
            headers["Origin"] = self._origin_to_show(chain, initiator)
        cookie = self.cookies.header(
            chain[-1],
            same_site=self._is_same_site(chain, initiator),
            top_level_get=method == "GET",
        )
        if cookie:
            headers["Cookie"] = cookie
        return headers

    def _is_same_site(self, chain: list[str], initiator: str | None) -> bool:
        """A navigation from the address bar is same-site as far as its redirects allow."""
        others = [initiator] if initiator else []
        others += chain[:-1] if self._chain_counts else []
        return all(site_of(other) == site_of(chain[-1]) for other in others)

    def _origin_to_show(self, chain: list[str], initiator: str) -> str:
        """Fetch standard, "serializing a request origin": `null` after redirects elsewhere, and
        from a page with `Referrer-Policy: no-referrer`."""
        policy = self.page.headers.get("Referrer-Policy", "") if self.page else ""
        went_elsewhere = any(origin_of(url) != origin_of(chain[0]) for url in chain)
        return "null" if policy == "no-referrer" or went_elsewhere else initiator

    async def _exchange(
        self,
        method: str,
        url: str,
        headers: CIMultiDict[str],
        body: bytes | None,
        hops: tuple[Page, ...] = (),
    ) -> Page:
        async with self._session().request(
            method, URL(url, encoded=True), headers=headers, data=body, allow_redirects=False
        ) as response:
            self._take_cookies(url, response)
            content = await response.read()
            return Page(url, response.status, response.headers, content, headers, hops)

    def _take_cookies(self, url: str, response: aiohttp.ClientResponse) -> None:
        for header in response.headers.getall("Set-Cookie", []):
            self.cookies.store(url, header)

    def _session(self) -> aiohttp.ClientSession:
        if self._http is None:
            raise RuntimeError("use the browser as an async context manager")
        return self._http

    def _current_url(self) -> str:
        if self.page is None:
            raise RuntimeError("no page is open: navigate first")
        return self.page.url


_REDIRECTS = frozenset({301, 302, 303, 307, 308})


def origin_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def site_of(url: str) -> str:
    """Scheme and host: enough of "schemeful site" for hosts without a public suffix."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}"


def fetch_site(initiator: str | None, chain: list[str]) -> str:
    """`Sec-Fetch-Site` (Fetch Metadata section 2.3): the worst relation along the redirects."""
    if initiator is None:
        return "none"
    if any(site_of(url) != site_of(initiator) for url in chain):
        return "cross-site"
    if any(origin_of(url) != origin_of(initiator) for url in chain):
        return "same-site"
    return "same-origin"


def _override(headers: CIMultiDict[str], given: Mapping[str, str]) -> None:
    for name, value in given.items():
        headers.pop(name, None)
        if value:
            headers[name] = value
