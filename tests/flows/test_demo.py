"""`bff demo` as a process: what the README promises of it."""

import pytest

from tests.flows.served import a_demo
from tests.parts.browser import Browser
from tests.parts.configuration import free_ports
from tests.polling import until


@pytest.mark.rule("LO-11")
async def test_signing_out_at_the_demo_s_op_ends_the_session_of_the_app() -> None:
    ports = free_ports()
    async with a_demo(ports), Browser() as browser:
        url = f"http://localhost:{ports.gateway}"
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
    few = ("bash", "-c", 'ulimit -Sn 256; ulimit -Hn 4096; exec "$@"', "bash")
    async with a_demo(free_ports(), before=few) as demo:
        done = await demo.ended()
    assert done.err == ""
