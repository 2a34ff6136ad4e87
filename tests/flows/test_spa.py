"""The application's files as the gateway serves them: fallback, headers, and nothing outside."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.browser import Browser
from tests.flows.logins import log_in
from tests.raw_upstream import raw_upstream
from tests.stack import running_stack


@asynccontextmanager
async def an_app(root: Path) -> AsyncIterator[Browser]:
    """A gateway that serves `root/dist`, and a browser on its front page."""
    dist = root / "dist"
    (dist / "assets").mkdir(parents=True)
    (dist / "index.html").write_text("<!doctype html><title>app</title>")
    (dist / "assets" / "a b.js").write_text("export {};")
    (dist / ".env").write_text("SECRET=1")
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
