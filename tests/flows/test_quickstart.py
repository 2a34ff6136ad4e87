"""The curl walk through the quickstart works as printed, against `bff demo`."""

import asyncio
import os
import re
import sys
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path

import aiohttp

from tests.parts.servers import free_port
from tests.polling import until

QUICKSTART = Path(__file__).parent.parent.parent / "docs" / "quickstart.md"


async def test_the_walk_works_as_printed() -> None:
    script = re.findall(r"```bash\n(.*?)```", QUICKSTART.read_text(), re.DOTALL)[0]
    port, op, api, admin = (free_port() for _ in range(4))
    app = f"http://localhost:{port}"
    demo = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bff", "demo", "--port", str(port), "--op-port", str(op)),
        *("--api-port", str(api), "--admin-port", str(admin)),
        stdout=PIPE,
        stderr=DEVNULL,
    )
    try:
        await until(lambda: _answers(f"http://127.0.0.1:{admin}/readyz"), every=0.1)
        walk = await asyncio.create_subprocess_exec(
            *("bash", "-euo", "pipefail", "-c", script),
            stdout=PIPE,
            env={**os.environ, "APP": app, "OP": f"http://127.0.0.1:{op}"},
        )
        output = (await walk.communicate())[0].decode()
        assert walk.returncode == 0
    finally:
        demo.terminate()
        banner = (await demo.communicate())[0].decode()
    assert demo.returncode == 0
    assert re.findall(r"^\d{3}$", output, re.MULTILINE) == (
        ["401", "200", "200", "201", "403", "200", "401"]
    )
    assert f"the login ended at {app}/session" in output
    assert '"sub": "alice"' in output
    assert "written with curl" in output
    assert "eyJ" not in output
    assert f"Open {app}" in banner
    assert "wonderland" in banner


async def _answers(url: str) -> bool:
    try:
        async with aiohttp.ClientSession() as http, http.get(url) as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False
