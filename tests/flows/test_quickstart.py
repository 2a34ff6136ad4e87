"""The curl walk through the quickstart works as printed, against `bff demo`."""

import re
from pathlib import Path

from tests.flows.served import a_demo
from tests.parts.command import own_environment, run
from tests.parts.configuration import free_ports

QUICKSTART = Path(__file__).parent.parent.parent / "docs" / "quickstart.md"


async def test_the_walk_works_as_printed() -> None:
    script = re.findall(r"```bash\n(.*?)```", QUICKSTART.read_text(), re.DOTALL)[0]
    ports = free_ports()
    app = f"http://localhost:{ports.gateway}"
    addresses = {"APP": app, "OP": f"http://127.0.0.1:{ports.op}"}
    async with a_demo(ports) as demo:
        walk = await run(
            ["bash", "-euo", "pipefail", "-c", script], environment=own_environment(**addresses)
        )
        done = await demo.ended()
    assert (walk.code, done.code) == (0, 0), walk
    output, banner = walk.out, done.out
    assert re.findall(r"^\d{3}$", output, re.MULTILINE) == (
        ["401", "200", "200", "201", "403", "200", "401"]
    )
    assert f"the login ended at {app}/session" in output
    assert '"sub": "alice"' in output
    assert "written with curl" in output
    assert "eyJ" not in output
    assert f"Open {app}" in banner
    assert "wonderland" in banner
