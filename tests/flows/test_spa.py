"""The application's files as the gateway serves them: fallback, headers, and nothing outside."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import aiohttp
import pytest

from tests.flows.logins import log_in
from tests.parts.browser import Browser
from tests.parts.browser_pages import Page
from tests.parts.raw_upstream import raw_upstream
from tests.parts.servers import free_port
from tests.parts.stack import running_stack


@asynccontextmanager
async def an_app(root: Path) -> AsyncIterator[Browser]:
    """A gateway that serves `root/dist`, and a browser on its front page."""
    dist = root / "dist"
    (dist / "assets").mkdir(parents=True)
    (dist / "index.html").write_text("<!doctype html><title>app</title>")
    (dist / "assets" / "a b.js").write_text("export {};")
    (dist / ".env").write_text("SECRET=1")
    (dist / "assets" / ".hidden").write_text("SECRET=2")
    (dist / ".git").mkdir()
    (dist / ".git" / "config").write_text("secret")
    (root / "outside.txt").write_text("outside")
    (dist / "link.txt").symlink_to(root / "outside.txt")
    async with running_stack(spa=f'root = "{dist}"') as stack, Browser() as browser:
        await browser.navigate(stack.public_url)
        yield browser


# The address bar shows such paths, and the router of an application reads them.
PAGES = [
    "/heroes;id=15",
    "/files/a%2Fb",
    "/files/a%5Cb",
    "/x/50%25",
    "/x/50%",
    "/a/%7Euser",
    "//x",
    "/x//y/",
    "/users/john.doe",
    "/v/1.2.3",
    "/files/.profile",
    "/x/a|b^c",
]


NO_ROUTE = ("/x/50%", "/x/a|b^c")  # forwarded nowhere, to a development server neither


@pytest.mark.parametrize("path", ["/", "/session", "/items/7?x=1", "/assets", "/a/b/c", *PAGES])
async def test_paths_that_are_no_file_are_the_application(tmp_path: Path, path: str) -> None:
    async with an_app(tmp_path) as browser:
        page = await browser.navigate(browser.origin + path)
        assert page.status == 200
        assert "<title>app</title>" in page.text
        assert page.headers["Content-Type"].startswith("text/html")
        assert page.headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize("path", [f"/{'x' * 300}", f"/assets/{'x' * 300}", "/x" * 2500, "/circle"])
async def test_a_path_that_no_file_can_have_is_the_application(tmp_path: Path, path: str) -> None:
    """Such as one with a token in it that is longer than the name of any file."""
    async with an_app(tmp_path) as browser:
        dist = tmp_path / "dist"
        (dist / "circle").symlink_to(dist / "circle")
        page = await browser.navigate(browser.origin + path)
        assert page.status == 200
        assert "<title>app</title>" in page.text


async def test_a_file_is_served_with_its_type_and_answers_conditional_requests(
    tmp_path: Path,
) -> None:
    async with an_app(tmp_path) as browser:
        page = await browser.fetch("GET", "/assets/a%20b.js")
        assert (page.status, page.text) == (200, "export {};")
        assert "javascript" in page.headers["Content-Type"]
        again = await browser.fetch(
            "GET", "/assets/a%20b.js", headers={"If-None-Match": page.headers["ETag"]}
        )
        assert again.status == 304
        head = await browser.fetch("HEAD", "/assets/a%20b.js")
        assert (head.status, head.body) == (200, b"")
        assert head.headers["Content-Length"] == "10"


@pytest.mark.parametrize(
    "path",
    ["/.env", "/.git/config", "/assets/.hidden", "/link.txt", "/missing.js", "/assets/x.css"],
)
async def test_dotfiles_links_to_the_outside_and_missing_files_are_404(
    tmp_path: Path, path: str
) -> None:
    async with an_app(tmp_path) as browser:
        page = await browser.fetch("GET", path)
        assert page.status == 404
        assert "SECRET" not in page.text
        assert "outside" not in page.text


@pytest.mark.rule("PX-02")
@pytest.mark.parametrize(
    "path",
    [
        "/%61pi/x",
        "//api/x",
        "/api;x/y",
        "/ap%69%2Fx",
        "/%2561pi/x",
        "/api%2Fx",
        "/%62ff/user",
        "//bff/user",
        "/bff/us%65r",
        "/bff//user",
    ],
)
async def test_what_might_be_a_path_of_an_api_or_of_ours_is_no_page(
    tmp_path: Path, path: str
) -> None:
    async with an_app(tmp_path) as browser:
        page = await browser.navigate(browser.origin + path)
        assert page.status == 400
        assert "ambiguous_path" in page.text


@pytest.mark.rule("PX-02")
@pytest.mark.parametrize(
    "path",
    ["/x/%2e%2e/y", "/x/..%2Fy", "/x/..%255Cy", "/x/..;a/y", "/x/%00", "/x/%0a", "/%c0%af/x"],
)
async def test_what_no_address_bar_shows_is_no_page(tmp_path: Path, path: str) -> None:
    async with an_app(tmp_path) as browser:
        assert (await browser.navigate(browser.origin + path)).status == 400


@pytest.mark.parametrize("path", PAGES)
async def test_a_login_returns_to_the_page_it_was_started_from(tmp_path: Path, path: str) -> None:
    """With the app's files served here, by a development server, or by something in front."""
    root = tmp_path / "dist"
    root.mkdir()
    (root / "index.html").write_text("<!doctype html><title>app</title>")
    async with running_stack(spa=f'root = "{root}"') as stack, Browser() as browser:
        end = await log_in(browser, stack, to=quote(f"{path}?a=%2F#b", safe=""))
        assert end.url == f"{stack.public_url}{path}?a=%2F"
        assert "<title>app</title>" in end.text
        assert (await browser.fetch("GET", "/bff/user")).status == 200


@pytest.mark.parametrize("path", [path for path in PAGES if path not in NO_ROUTE])
async def test_a_development_server_gets_every_path_of_a_page(path: str) -> None:
    async with raw_upstream() as server:
        spa = f'dev_server = "http://127.0.0.1:{server.port}"'
        async with running_stack(spa=spa) as stack, Browser() as browser:
            page = await browser.navigate(stack.public_url + path)
            assert (page.status, page.body) == (200, b"ok")
            assert server.received[0].request_line == f"GET {path} HTTP/1.1".encode()


@pytest.mark.rule("PX-02")
@pytest.mark.parametrize("path", ["/..%2foutside.txt", "/%2e%2e/outside.txt", "//etc/passwd"])
async def test_no_path_leads_out_of_the_root(tmp_path: Path, path: str) -> None:
    async with an_app(tmp_path) as browser:
        for page in (
            await browser.fetch("GET", f"{browser.origin}{path}"),
            await browser.navigate(f"{browser.origin}{path}"),
        ):
            assert page.status in (200, 400, 404)
            assert (page.status == 200) == ("<title>app</title>" in page.text)
            assert "outside" not in page.text
            assert "root:" not in page.text


@pytest.mark.rule("PX-04")
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
async def test_files_are_only_read(tmp_path: Path, method: str) -> None:
    async with an_app(tmp_path) as browser:
        answer = await browser.fetch(method, "/")
        assert answer.status == 405
        assert answer.headers["Allow"] == "GET, HEAD"


@pytest.mark.rule("HD-02")
async def test_the_pages_carry_a_strict_policy(tmp_path: Path) -> None:
    async with an_app(tmp_path) as browser:
        headers = (await browser.navigate("/")).headers
        policy = headers["Content-Security-Policy"]
        for part in ("default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"):
            assert part in policy
        assert "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"


async def test_a_development_server_gets_what_is_not_ours() -> None:
    async with raw_upstream() as server:
        spa = f'dev_server = "http://127.0.0.1:{server.port}"'
        async with running_stack(spa=spa) as stack, Browser() as browser:
            page = await browser.navigate(f"{stack.public_url}/src/main.ts?t=1")
            assert page.body == b"ok"
            assert server.received[0].request_line == b"GET /src/main.ts?t=1 HTTP/1.1"
            assert not server.received[0].values(b"authorization")
            assert (await browser.fetch("GET", "/api/x")).status == 401
            assert (await browser.fetch("POST", "/src/x", csrf=False)).status == 405


# --- compressed siblings, and how long a file is kept

PLAIN = b"export const a = 1;" * 20
PACKED = {"br": b"as if brotli", "gzip": b"as if gzip'd"}


@asynccontextmanager
async def a_built_app(root: Path, spa: str = "") -> AsyncIterator[Browser]:
    """A gateway that serves what a build tool has written, with siblings it has compressed."""
    assets = root / "dist" / "assets"
    assets.mkdir(parents=True)
    (root / "dist" / "index.html").write_text("<!doctype html><title>app</title>")
    (root / "dist" / "sw.js").write_bytes(PLAIN)
    (assets / "index-DVoHNO1Y.js").write_bytes(PLAIN)
    (assets / "index-DVoHNO1Y.js.br").write_bytes(PACKED["br"])
    (assets / "index-DVoHNO1Y.js.gz").write_bytes(PACKED["gzip"])
    (assets / "plain.js").write_bytes(PLAIN)
    (root / "outside.br").write_text("outside")
    (assets / "plain.js.br").symlink_to(root / "outside.br")
    settings = f'root = "{root / "dist"}"\n{spa}'
    async with running_stack(spa=settings) as stack, Browser() as browser:
        await browser.navigate(stack.public_url)
        yield browser


FILE = "/assets/index-DVoHNO1Y.js"


async def asked(browser: Browser, method: str, path: str, fields: dict[str, str]) -> Page:
    """With these fields and no others, and with the body as it was sent."""
    url = f"{browser.origin}{path}"
    async with (
        aiohttp.ClientSession(auto_decompress=False, skip_auto_headers=["Accept-Encoding"]) as http,
        http.request(method, url, headers=fields) as answer,
    ):
        return Page(url, answer.status, answer.headers, await answer.read(), fields)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("accepted", "coding"), [("gzip, br", "br"), ("gzip;q=1, br;q=0.5", "gzip"), ("br;q=0", "")]
)
async def test_a_browser_gets_the_sibling_it_takes(
    tmp_path: Path, method: str, accepted: str, coding: str
) -> None:
    """Under the type of the file itself; a cache is told that there are others."""
    async with a_built_app(tmp_path) as browser:
        page = await asked(browser, method, FILE, {"Accept-Encoding": accepted})
    body = PACKED.get(coding, PLAIN)
    assert page.status == 200
    assert page.body == (b"" if method == "HEAD" else body)
    assert page.headers["Content-Length"] == str(len(body))
    assert page.headers.get("Content-Encoding", "") == coding
    assert page.headers["Vary"] == "Accept-Encoding"
    assert page.headers["Content-Type"] == "text/javascript; charset=utf-8"


async def test_each_coding_has_its_own_tag(tmp_path: Path) -> None:
    """RFC 9110 section 8.8.3: one would let a cache mix the two. A 304 says which it speaks of."""
    async with a_built_app(tmp_path) as browser:
        tags = {}
        for coding in ("br", "gzip", "identity"):
            page = await asked(browser, "GET", FILE, {"Accept-Encoding": coding})
            tags[coding] = page.headers["ETag"]
            fields = {"Accept-Encoding": coding, "If-None-Match": f'"x", W/{tags[coding]}'}
            again = await asked(browser, "GET", FILE, fields)
            assert (again.status, again.body) == (304, b"")
            assert again.headers["ETag"] == tags[coding]
            assert again.headers["Vary"] == "Accept-Encoding"
            assert again.headers["Cache-Control"] == page.headers["Cache-Control"]
        assert len(set(tags.values())) == 3
        fields = {"Accept-Encoding": "gzip", "If-None-Match": tags["br"]}
        assert (await asked(browser, "GET", FILE, fields)).status == 200


async def test_a_new_build_of_the_same_size_and_date_is_another_file(tmp_path: Path) -> None:
    """In images of containers all files have one date."""
    async with a_built_app(tmp_path) as browser:
        file = tmp_path / "dist" / "sw.js"
        os.utime(file, (1, 1))
        before = (await asked(browser, "GET", "/sw.js", {})).headers["ETag"]
        file.write_bytes(PLAIN.replace(b"1", b"2"))
        os.utime(file, (1, 1))
        page = await asked(browser, "GET", "/sw.js", {"If-None-Match": before})
        assert (page.status, page.body) == (200, PLAIN.replace(b"1", b"2"))
        file.write_bytes(PLAIN)
        assert (await asked(browser, "GET", "/sw.js", {})).headers["ETag"] == before


@pytest.mark.parametrize(
    ("fields", "status", "body"),
    [
        ({"Range": "bytes=0-5"}, 206, PLAIN[:6]),
        ({"Range": "bytes=-4"}, 206, PLAIN[-4:]),
        ({"Range": "bytes=0-5", "If-Range": "TAG"}, 206, PLAIN[:6]),
        ({"Range": "bytes=0-5", "If-Range": '"another"'}, 200, PLAIN),
        ({"Range": "bytes=0-5", "If-Range": "W/TAG"}, 200, PLAIN),
        ({"Range": "bytes=0-5", "If-Range": "DATE"}, 206, PLAIN[:6]),
        ({"Range": "bytes=0-5", "If-Range": "Sat, 01 Jan 2000 00:00:00 GMT"}, 200, PLAIN),
        ({"Range": "bytes=99999-"}, 416, b""),
        ({"If-Match": '"another"'}, 412, b""),
        ({"If-Match": "TAG"}, 200, PLAIN),
        ({"If-Match": "W/TAG"}, 412, b""),
        ({"If-None-Match": "*"}, 304, b""),
        ({"If-Modified-Since": "DATE"}, 304, b""),
        ({"If-Modified-Since": "Sat, 01 Jan 2000 00:00:00 GMT"}, 200, PLAIN),
        ({"If-Modified-Since": "DATE", "If-None-Match": '"another"'}, 200, PLAIN),
        ({"If-Unmodified-Since": "Sat, 01 Jan 2000 00:00:00 GMT"}, 412, b""),
        ({"If-Modified-Since": "yesterday"}, 200, PLAIN),
    ],
)
async def test_parts_and_preconditions(
    tmp_path: Path, fields: dict[str, str], status: int, body: bytes
) -> None:
    """RFC 9110 sections 13 and 14. A part is one of the file itself, whatever codings are taken."""
    async with a_built_app(tmp_path) as browser:
        whole = await asked(browser, "GET", FILE, {})
        places = {"TAG": whole.headers["ETag"], "DATE": whole.headers["Last-Modified"]}
        for name, value in fields.items():
            for place, here in places.items():
                fields = {**fields, name: (value := value.replace(place, here))}
        page = await asked(browser, "GET", FILE, fields)
        assert (page.status, page.body) == (status, body)
        if status == 206:
            part = await asked(browser, "GET", FILE, {"Accept-Encoding": "br", **fields})
            assert part.body == body
            assert part.headers["Content-Range"].endswith(f"/{len(PLAIN)}")
            assert "Content-Encoding" not in part.headers


async def test_a_sibling_outside_the_root_is_none(tmp_path: Path) -> None:
    async with a_built_app(tmp_path) as browser:
        page = await asked(browser, "GET", "/assets/plain.js", {"Accept-Encoding": "br"})
        assert page.body == PLAIN
        assert "Vary" not in page.headers


KEPT = "public, max-age=31536000, immutable"


@pytest.mark.parametrize(
    ("setting", "path", "kept"),
    [
        ("", FILE, True),
        ("", "/assets/plain.js", False),
        ("", "/sw.js", False),
        ("", "/", False),
        ("", "/assets/index-DVoHNO1Y", False),
        ("immutable = []", FILE, False),
        ('immutable = ["/assets/*"]', "/assets/plain.js", True),
        ('immutable = ["/assets/*", "/"]', "/", False),
        ('immutable = ["/assets/*"]', "/sw.js", False),
    ],
)
async def test_only_files_that_never_change_are_kept(
    tmp_path: Path, setting: str, path: str, kept: bool
) -> None:
    """RFC 8246. The page that names them is asked for each time."""
    async with a_built_app(tmp_path, setting) as browser:
        page = await asked(browser, "GET", path, {})
        assert page.status == 200
        assert page.headers["Cache-Control"] == (KEPT if kept else "no-cache")


async def test_a_development_server_is_sent_the_host_that_the_browser_sees() -> None:
    """It knows no other: that of a container network it would refuse (DNS rebinding)."""
    async with raw_upstream() as server:
        spa = f'dev_server = "http://127.0.0.1:{server.port}"'
        async with running_stack(spa=spa) as stack, Browser() as browser:
            await browser.navigate(f"{stack.public_url}/")
            host = stack.public_url.removeprefix("http://").encode()
            assert server.received[0].values(b"host") == [host]


async def test_a_development_server_that_is_down_is_called_by_its_name() -> None:
    spa = f'dev_server = "http://127.0.0.1:{free_port()}"'
    async with running_stack(spa=spa) as stack, Browser() as browser:
        page = await browser.navigate(f"{stack.public_url}/items")
        assert page.status == 502
        assert "The development server cannot be reached. Is it running?" in page.text
        assert "API" not in page.text
        answer = await browser.fetch("GET", "/src/main.ts")
        assert answer.json()["code"] == "dev_server_unreachable"
