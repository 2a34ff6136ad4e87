"""Front-channel logout in the frames of a real Chromium."""

from collections.abc import AsyncIterator
from urllib.parse import urlencode

import pytest
from aiohttp import web
from playwright.async_api import Browser as Chromium
from playwright.async_api import Frame

from tests.e2e.chromium import running_chromium
from tests.flows.logins import log_in
from tests.flows.op_logouts import is_logged_in, sids
from tests.parts.browser import Browser
from tests.parts.servers import free_port, serving
from tests.parts.stack import Stack, running_stack
from tests.polling import until

ENABLED = "frontchannel_logout = true"


@pytest.fixture
async def chromium() -> AsyncIterator[Chromium]:
    async with running_chromium([]) as browser:
        yield browser


async def framing(request: web.Request) -> web.Response:
    """A page with one frame, of the address in its query; isolated if that is asked for."""
    headers = {"Content-Security-Policy": "frame-src *"}
    if "isolated" in request.query:
        headers["Cross-Origin-Embedder-Policy"] = "require-corp"
    page = f'<!doctype html><iframe src="{request.query["src"].replace("&", "&amp;")}"></iframe>'
    return web.Response(text=page, content_type="text/html", headers=headers)


def with_framing(op: web.Application) -> None:
    op.router.add_get("/framing", framing)


def page_with_frame(origin: str, src: str, **more: str) -> str:
    return f"{origin}/framing?{urlencode({'src': src, **more})}"


def logout_address(stack: Stack, sid: str) -> str:
    named = urlencode({"iss": stack.issuer, "sid": sid})
    return f"{stack.public_url}/bff/frontchannel-logout?{named}"


async def title_of_frame(chromium: Chromium, url: str) -> str | None:
    """Of what the frame of this page shows; None when Chromium refuses to show it."""
    page = await chromium.new_page()
    await page.goto(url)
    frames: list[Frame] = page.main_frame.child_frames
    assert len(frames) == 1
    await frames[0].wait_for_load_state()
    is_refused = frames[0].url.startswith("chrome-error://")
    title = None if is_refused else await frames[0].title()
    await page.close()
    return title


@pytest.mark.rule("LO-16")
@pytest.mark.parametrize("more", [{}, {"isolated": "1"}])
async def test_a_frame_of_the_op_logs_out_without_any_cookie(
    chromium: Chromium, more: dict[str, str]
) -> None:
    """The profile has never been at the gateway; a cross-origin isolated page can do it too."""
    async with (
        running_stack(oidc=ENABLED, prepare_op=with_framing) as stack,
        Browser() as browser,
    ):
        await log_in(browser, stack)
        src = logout_address(stack, sids(stack, "alice")[0])
        url = page_with_frame(stack.issuer, src, **more)
        assert await title_of_frame(chromium, url) == "Logged out"

        async def is_out() -> bool:
            return not await is_logged_in(browser, stack)

        await until(is_out)


@pytest.mark.rule("LO-16")
async def test_others_may_not_frame_it_and_the_op_nothing_else(chromium: Chromium) -> None:
    other = web.Application()
    with_framing(other)
    port = free_port()
    async with (
        running_stack(oidc=ENABLED, prepare_op=with_framing) as stack,
        serving(other, port),
    ):
        elsewhere = f"http://127.0.0.1:{port}"
        allowed = logout_address(stack, "nobody")
        app = f"{stack.public_url}/"
        shown = [
            await title_of_frame(chromium, page_with_frame(origin, src))
            for origin, src in ((stack.issuer, allowed), (elsewhere, allowed), (stack.issuer, app))
        ]
        assert shown == ["Logged out", None, None]
