"""`bff demo` as a process: what the README promises of it."""

import asyncio
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.parts.browser import Browser
from tests.parts.configuration import Ports
from tests.parts.servers import free_port
from tests.polling import HANG_SECONDS, until


@asynccontextmanager
async def a_demo(ports: Ports) -> AsyncIterator[str]:
    """Ready to be used; yields the address it prints."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bff", "demo", f"--port={ports.gateway}"),
        *(f"--op-port={ports.op}", f"--api-port={ports.api}", f"--admin-port={ports.admin}"),
        stdout=PIPE,
        stderr=DEVNULL,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(HANG_SECONDS):
            printed = b""
            while b"Ctrl-C" not in printed:
                line = await process.stdout.readline()
                assert line, printed
                printed += line
        url = f"http://localhost:{ports.gateway}"
        assert url.encode() in printed
        yield url
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


@pytest.mark.rule("LO-11")
async def test_signing_out_at_the_demo_s_op_ends_the_session_of_the_app() -> None:
    ports = Ports(free_port(), free_port(), free_port(), free_port())
    async with a_demo(ports) as url, Browser() as browser:
        page = await browser.navigate(f"{url}/bff/login")
        await browser.log_in_at_op(page, "alice")
        assert (await browser.fetch("GET", "/bff/user")).json()["sub"] == "alice"
        account = await browser.navigate(f"http://127.0.0.1:{ports.op}/account")
        await browser.submit(account.form("sign-out"), button="here")
        await browser.navigate(url)

        async def is_out() -> bool:
            return (await browser.fetch("GET", "/bff/user")).status == 401

        await until(is_out)


async def test_the_demo_says_nothing_of_limits_that_it_never_meets() -> None:
    """Its first lines are those that lead to the page."""
    ports = Ports(free_port(), free_port(), free_port(), free_port())
    process = await asyncio.create_subprocess_exec(
        *("bash", "-c", 'ulimit -Sn 256; ulimit -Hn 4096; exec "$@"', "bash"),
        *(sys.executable, "-m", "bff", "demo"),
        *(f"--port={ports.gateway}", f"--op-port={ports.op}", f"--api-port={ports.api}"),
        f"--admin-port={ports.admin}",
        stdout=PIPE,
        stderr=PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(HANG_SECONDS):
            await process.stdout.readuntil(b"Ctrl-C")
    finally:
        process.terminate()
        _, log = await process.communicate()
    assert log == b""
