"""Redirects of real servers behind a prefix: the browser stays with the application."""

import functools
import http.server
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from tests.flows.apis import an_api
from tests.parts.browser import Browser
from tests.parts.browser_pages import Page
from tests.parts.nginx_server import running_nginx
from tests.parts.servers import free_port, serving
from tests.parts.stack import Stack, running_stack

NGINX = """
    server {
        listen 127.0.0.1:PORT;
        location / { root FOLDER/site; }
    }
"""


@asynccontextmanager
async def in_front_of(upstream: str, route: str = "") -> AsyncIterator[tuple[Stack, Browser]]:
    routes = f"""
[[routes]]
path = "/api/"
upstream = "{upstream}"
token = "none"
{route}
"""
    async with running_stack(routes=routes) as stack, Browser() as browser:
        await browser.navigate(stack.public_url)
        yield stack, browser


async def followed(browser: Browser, path: str) -> Page:
    """Where a navigation to it ends."""
    return await browser.navigate(browser.origin + path)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    docs = tmp_path / "site" / "v1" / "docs"
    docs.mkdir(parents=True)
    (docs / "index.html").write_text("<title>docs</title>")
    return tmp_path


@pytest.mark.rule("PX-10")
async def test_the_directory_of_an_nginx_is_found_below_the_prefix(site: Path) -> None:
    """It redirects to its own absolute address."""
    port = free_port()
    with running_nginx(site, NGINX.replace("PORT", str(port)), port):
        async with in_front_of(f"http://127.0.0.1:{port}/v1/") as (stack, browser):
            page = await followed(browser, "/api/docs?x=%2f")
            assert (page.status, "docs" in page.text) == (200, True)
            assert page.url == f"{stack.public_url}/api/docs/?x=%2f"
        route = "map_location = false"
        async with in_front_of(f"http://127.0.0.1:{port}/v1/", route) as (_, browser):
            redirect = await browser.fetch("GET", "/api/docs")
            assert redirect.location == f"http://127.0.0.1:{port}/v1/docs/"


@pytest.fixture
def file_server(site: Path) -> Iterator[int]:
    """Python's own, which redirects to a path, as Go's does."""
    handler = functools.partial(
        http.server.SimpleHTTPRequestHandler, directory=str(site / "site" / "v1")
    )
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.mark.rule("PX-10")
async def test_the_directory_of_a_file_server_is_found_below_the_prefix(file_server: int) -> None:
    async with in_front_of(f"http://127.0.0.1:{file_server}/") as (stack, browser):
        page = await followed(browser, "/api/docs")
        assert (page.status, page.url) == (200, f"{stack.public_url}/api/docs/")
        assert "docs" in page.text


@pytest.mark.rule("PX-10")
async def test_a_slash_that_an_api_asks_for_is_found_below_the_prefix() -> None:
    """As Starlette and FastAPI write it: by Host, and the scheme that X-Forwarded-Proto says."""

    async def redirect_slashes(request: web.Request) -> web.StreamResponse:
        if request.path.endswith("/"):
            return web.Response(text=request.headers.get("X-Forwarded-Prefix", "none"))
        scheme = {"http": "https"}[request.headers["X-Forwarded-Proto"]]
        location = f"{scheme}://{request.host}{request.path}/"
        return web.Response(status=307, headers={"Location": location})

    app, port = web.Application(), free_port()
    app.router.add_route("*", "/{path:.*}", redirect_slashes)
    async with (
        serving(app, port),
        in_front_of(f"http://127.0.0.1:{port}") as (stack, browser),
    ):
        page = await followed(browser, "/api/items")
        assert (page.status, page.url) == (200, f"{stack.public_url}/api/items/")
        assert page.text == "/api"


@pytest.mark.rule("PX-09")
async def test_only_the_gateway_says_what_was_cut_off() -> None:
    for route, expected in (
        ("", [b"/api"]),
        ("map_location = false", []),
        ("strip_prefix = false", []),
    ):
        async with an_api(route, 'trusted_proxies = ["127.0.0.1/32"]') as api:
            for forged in ("X-Forwarded-Prefix: /evil", "x_forwarded_prefix: /evil"):
                await api.raw(api.head("GET /api/x HTTP/1.1", forged))
                (request,) = api.upstream.received[-1:]
                assert request.values(b"x-forwarded-prefix") == expected
                assert b"/evil" not in b"\n".join(request.lines)


@pytest.mark.rule("PX-10")
async def test_what_an_api_has_made_is_where_the_browser_can_ask_for_it() -> None:
    """Location of a 201, and Content-Location, in every spelling of their names."""
    async with an_api() as api:
        origin = f"http://127.0.0.1:{api.upstream.port}"
        for name in (b"Location", b"location", b"Content-Location"):
            for said, seen in (
                (f"{origin}/v1/items/7", b"/api/items/7"),
                ("/v1/items/7?x", b"/api/items/7?x"),
                ("items/7", b"items/7"),
                ("https://elsewhere.example/v1/x", b"https://elsewhere.example/v1/x"),
            ):
                api.upstream.answer = (
                    b"HTTP/1.1 201 Created\r\n%b: %b\r\nContent-Length: 0\r\n\r\n"
                    % (name, said.encode())
                )
                answer = await api.raw(api.head("GET /api/x HTTP/1.1"))
                assert b"\r\n%b: %b\r\n" % (name, seen) in answer, (name, said)
