"""The application's files as the gateway serves them: fallback, headers, and nothing outside."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.browser import Browser
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


@pytest.mark.parametrize("path", ["/", "/session", "/items/7?x=1", "/assets", "/a/b/c"])
async def test_paths_that_are_no_file_are_the_application(tmp_path: Path, path: str) -> None:
    async with an_app(tmp_path) as browser:
        page = await browser.navigate(path)
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
@pytest.mark.parametrize("path", ["/..%2foutside.txt", "/%2e%2e/outside.txt", "//etc/passwd"])
async def test_no_path_leads_out_of_the_root(tmp_path: Path, path: str) -> None:
    async with an_app(tmp_path) as browser:
        page = await browser.fetch("GET", f"{browser.origin}{path}")
        assert page.status == 400


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
