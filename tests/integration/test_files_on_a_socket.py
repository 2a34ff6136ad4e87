"""Files as they are sent: whole, in part, cut off, and not at all; over a socket."""

import gzip
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from bff.endpoints.spa import Spa
from bff.endpoints.static_files import file_response
from bff.errors import NotFound
from bff.gate.forwarding import RequestIdentity
from bff.gate.head import ScannedFields
from bff.gate.outcome import Local
from tests.canonical_target import parse_target
from tests.parts.servers import answering

TEXT = "0123456789"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "assets").mkdir(parents=True)
    (root / "index.html").write_text("the page")
    (root / "a.txt").write_text(TEXT)
    (root / "assets" / ".secret").write_text("a secret")
    (tmp_path / "outside.txt").write_text("a secret")
    (root / "outside.txt").symlink_to(tmp_path / "outside.txt")
    return root


@asynccontextmanager
async def sending(path: Path) -> AsyncIterator[tuple[aiohttp.ClientSession, str]]:
    """A server that answers every request with this file, and a client."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        try:
            assert request.transport is not None
            _, port = request.transport.get_extra_info("peername")
            return await file_response(request, path, {"X-Own": "1", "X-Port": f"{port}"})
        except NotFound as error:
            return web.Response(status=error.status)

    async with answering(web.Server(answer)) as port, aiohttp.ClientSession() as http:
        yield http, f"http://127.0.0.1:{port}/"


async def test_a_part_says_which_it_is(root: Path) -> None:
    """RFC 9110 section 15.3.7."""
    async with sending(root / "a.txt") as (http, url):
        async with http.get(url, headers={"Range": "bytes=2-5"}) as part:
            assert (part.status, await part.text()) == (206, "2345")
            assert part.headers["Content-Range"] == "bytes 2-5/10"
            assert part.headers["Content-Length"] == "4"
        async with http.get(url, headers={"Range": "bytes=10-"}) as none:
            assert (none.status, await none.read()) == (416, b"")
            assert none.headers["Content-Range"] == "bytes */10"
        other = {"Range": "bytes=2-5", "If-Range": '"other"'}
        async with http.get(url, headers=other) as whole:
            assert (whole.status, await whole.text()) == (200, TEXT)


async def test_the_whole_file_says_that_parts_may_be_asked_for(root: Path) -> None:
    """RFC 9110 section 14.3; a Range counts for GET alone (section 14.2)."""
    async with sending(root / "a.txt") as (http, url):
        async with http.get(url) as whole:
            assert (whole.status, await whole.text()) == (200, TEXT)
            assert whole.headers["Accept-Ranges"] == "bytes"
            assert whole.headers["X-Own"] == "1"
            assert "Content-Range" not in whole.headers
        async with http.head(url, headers={"Range": "bytes=2-5"}) as head:
            assert (head.status, head.headers["Content-Length"]) == (200, "10")
            assert "Content-Range" not in head.headers


async def test_a_connection_serves_on_after_a_part(root: Path) -> None:
    """Just as much is read as was announced."""
    async with sending(root / "a.txt") as (http, url):
        ports = []
        for wanted in ("bytes=2-5", "bytes=8-9", "bytes=0-"):
            async with http.get(url, headers={"Range": wanted}) as part:
                await part.read()
                ports.append(part.headers["X-Port"])
        assert len(set(ports)) == 1


async def test_a_browser_keeps_each_form_of_a_file_by_its_tag(root: Path) -> None:
    """RFC 9110 sections 8.8.3.3 and 15.4.5."""
    (root / "a.txt.gz").write_bytes(gzip.compress(TEXT.encode()))
    async with sending(root / "a.txt") as (http, url):
        tags = set()
        for accepted, coding in (("gzip", "gzip"), ("identity", None)):
            asked = {"Accept-Encoding": accepted}
            async with http.get(url, headers=asked) as whole:
                assert (whole.status, await whole.text()) == (200, TEXT)
                assert whole.headers.get("Content-Encoding") == coding
                assert whole.headers["Content-Type"] == "text/plain; charset=utf-8"
                assert whole.headers["Last-Modified"].endswith(" GMT")
                tag = whole.headers["ETag"]
            assert tag.partition("-")[1:] == (("-", 'gzip"') if coding else ("", ""))
            tags.add(tag)
            async with http.get(url, headers=asked | {"If-None-Match": tag}) as same:
                assert (same.status, await same.read()) == (304, b"")
                assert (same.headers["ETag"], same.headers["Vary"]) == (tag, "Accept-Encoding")
        assert len(tags) == 2


async def test_a_part_is_one_of_the_file_itself(root: Path) -> None:
    """Not of its compressed sibling, which a browser that asks for parts has not got."""
    (root / "a.txt.gz").write_bytes(b"compressed")
    async with sending(root / "a.txt") as (http, url):
        asked = {"Accept-Encoding": "gzip", "Range": "bytes=0-1"}
        async with http.get(url, headers=asked) as part:
            assert (part.status, await part.text()) == (206, TEXT[:2])


async def test_a_file_that_becomes_shorter_is_cut_off(root: Path) -> None:
    """Not ended as if it were complete."""
    file = root / "large.bin"
    size = 32 * 1024 * 1024  # more than the sockets of both sides hold
    with file.open("wb") as opened:
        opened.truncate(size)
    async with sending(file) as (http, url), http.get(url) as answer:
        assert answer.content_length == size
        with file.open("r+b") as opened:
            opened.truncate(0)
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()


async def test_a_file_that_is_gone_is_not_found(root: Path) -> None:
    async with sending(root / "gone.txt") as (http, url), http.get(url) as answer:
        assert answer.status == 404


@asynccontextmanager
async def asking(spa: Spa, path: str) -> AsyncIterator[aiohttp.ClientResponse]:
    """A script's GET of one path of an application."""
    fields, identity = ScannedFields([], {}, []), RequestIdentity("the-id", ())

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        target = parse_target(request.path_qs.encode())
        try:
            return await spa(request, Local("spa", "/", target, fields, identity, None, None))
        except NotFound as error:
            return web.Response(status=error.status)

    async with (
        answering(web.Server(answer)) as port,
        aiohttp.ClientSession() as http,
        http.get(f"http://127.0.0.1:{port}{path}", allow_redirects=False) as answered,
    ):
        yield answered


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/", "the page"),
        ("/a.txt", TEXT),
        ("/items/7", "the page"),
        ("/gone.txt", None),
        ("/assets/.secret", None),
        ("/.secret", None),
        ("/.well-known/x", None),
        ("/outside.txt", None),
    ],
)
async def test_a_script_gets_what_is_there_and_no_hidden_file(
    root: Path, path: str, found: str | None
) -> None:
    async with asking(Spa(root), path) as answered:
        assert answered.status == (404 if found is None else 200)
        assert found is None or await answered.text() == found


async def test_an_application_without_a_page_has_none(root: Path) -> None:
    (root / "index.html").unlink()
    async with asking(Spa(root), "/items") as answered:
        assert answered.status == 404


async def test_a_base_path_without_its_slash_leads_to_the_one_with_it(root: Path) -> None:
    """With its query."""
    async with asking(Spa(root, base_path="/app"), "/app?x=1") as answered:
        assert (answered.status, answered.headers["Location"]) == (302, "/app/?x=1")


@pytest.mark.parametrize(
    ("immutable", "path", "is_kept"),
    [
        (None, "/a.txt", False),
        (None, "/main-AB2CDEFG.js", True),
        (["/*.txt"], "/a.txt", True),
        (["/*.txt"], "/main-AB2CDEFG.js", False),
    ],
)
async def test_only_what_never_changes_is_kept(
    root: Path, immutable: Sequence[str] | None, path: str, is_kept: bool
) -> None:
    (root / "main-AB2CDEFG.js").write_text("")
    async with asking(Spa(root, "default-src 'self'", immutable), path) as answered:
        assert answered.headers["Content-Security-Policy"] == "default-src 'self'"
        assert ("immutable" in answered.headers["Cache-Control"]) is is_kept
