"""What processes write when they crash, and that each line is written whole."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.parts.command import own_environment, run
from tests.parts.program import ROOT

CRASHES = {
    "main": "crash()",
    "thread": "t = threading.Thread(target=crash); t.start(); t.join()",
    "finalizer": "type('Holder', (), {'__del__': lambda self: crash()})()",
    "task": "asyncio.run(lost())",
}
CRASHING = """
import asyncio, gc, threading
from bff.observability import foreign, logs

def crash():
    token = "opaque-s3cr3t"
    raise ValueError(f"could not read {token}")

async def failing():
    crash()

async def lost():
    task = asyncio.create_task(failing(), name="s3cr3t")
    await asyncio.sleep(0)
    del task
    gc.collect()

logs.configure(level="info", log_format="FORMAT")
foreign.keep_crashes_quiet()
"""


@pytest.mark.rule("OP-08")
@pytest.mark.parametrize("where", CRASHES)
async def test_a_crash_tells_where_but_not_what(where: str) -> None:
    """Python's own report shows the text and lines of source; ours is one entry of the log."""
    program = CRASHING.replace("FORMAT", "json" if where == "task" else "text") + CRASHES[where]
    done = await run([sys.executable, "-c", program])
    assert done.code == (1 if where == "main" else 0)
    assert len(done.err.splitlines()) == 1
    assert "ValueError" in done.err
    assert " crash" in done.err
    assert "s3cr3t" not in done.err
    assert "could not read" not in done.err


@pytest.mark.rule("OP-08")
async def test_no_core_file_is_left() -> None:
    """It would hold every secret and every token of the process."""
    program = (
        "import resource\nresource.setrlimit(resource.RLIMIT_CORE, (10**6, 10**6))\n"
        "from bff.observability.foreign import keep_crashes_quiet\nkeep_crashes_quiet()\n"
        "print(resource.getrlimit(resource.RLIMIT_CORE)[0])"
    )
    done = await run([sys.executable, "-c", program])
    assert done.out == "0\n", done.err


@pytest.mark.rule("OP-08")
@pytest.mark.parametrize("module", ["bff", "bff.cli.worker"])
async def test_every_process_keeps_its_crashes_quiet(module: str, tmp_path: Path) -> None:
    """Whatever a command stumbles over: here over the module of settings itself."""
    broken = tmp_path / "sitecustomize.py"
    broken.write_text(
        "import pathlib, tomllib, pickle\n"
        "def fail(*_): raise ZeroDivisionError('s3cr3t')\n"
        "tomllib.loads = pickle.load = fail\n"
    )
    (tmp_path / "bff.toml").write_text("")
    ours, theirs = socket.socketpair()
    argument = "check" if module == "bff" else str(theirs.fileno())
    with ours, theirs:
        done = await run(
            [sys.executable, "-m", module, argument],
            cwd=tmp_path,
            environment=own_environment(PYTHONPATH=f"{tmp_path}:{ROOT}"),
            pass_fds=[theirs.fileno()],
        )
    assert done.code == 1
    assert "ZeroDivisionError" in done.err
    assert "crashed" in done.err
    assert "s3cr3t" not in done.err


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_line_is_written_whole(unbuffered: str) -> None:
    """Several workers share one standard error: what is written in two pieces gets mixed."""
    reader, writer = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)  # a message a write
    program = (
        "import structlog; from bff.observability import logs;"
        "logs.configure(level='info', log_format='json');"
        "structlog.get_logger('t').info('event', text='x' * 1000)"
    )
    with reader, writer:
        subprocess.run(  # its standard error is the test's socket
            [sys.executable, "-c", program],
            stderr=writer.fileno(),
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
            check=True,
            timeout=60,
        )
        reader.settimeout(20)
        first = reader.recv(65536)
    assert first.endswith(b"\n")
    assert json.loads(first)["text"] == "x" * 1000
