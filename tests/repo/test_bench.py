"""The measurements: honest where it would be easy not to be, and shown as a whole."""

import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest

from bench import plot
from bench.browser_request import request_bytes
from bench.cases import profile
from bench.cases.all import CASES
from bench.guard import complaints
from bench.openloop import drive
from bench.processes import Process
from bench.report import DOCUMENT, PICTURE, document
from bench.targets import TARGETS, Target

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
STALL_SECONDS = 0.3


@pytest.fixture
def stalling_port() -> Iterator[int]:
    """A server that is asked, answers nothing at first, and then everything at once."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        asked_at: list[float] = []

        def answer(stream: socket.socket) -> None:
            with stream:
                while stream.recv(65536):
                    asked_at.append(time.monotonic())
                    time.sleep(max(0.0, asked_at[0] + STALL_SECONDS - time.monotonic()))
                    stream.sendall(ANSWER)

        def accept() -> None:
            while True:
                try:
                    stream, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=answer, args=(stream,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def test_a_stall_counts_for_every_request_that_was_due_during_it(stalling_port: int) -> None:
    """No coordinated omission: requests that no connection was free for have waited as well.

    100 are due within the stall and 32 can be sent; all of them have waited 0.15 s on average.
    """
    request = request_bytes("127.0.0.1", "bff=x", path="/")
    latency = drive(stalling_port, request, rate=400, seconds=STALL_SECONDS * 0.8)
    assert latency.unanswered == 0
    assert latency.p50_ms > STALL_SECONDS * 1000 / 3


def test_cpu_time_includes_children_that_run_and_that_ended(tmp_path: Path) -> None:
    """A program that answers in child processes pays for them."""
    burn = "import sys, time\nwhile time.process_time() < 0.2: pass\n"
    lasting = burn + "sys.stdin.read()"  # until its parent is gone
    program = f"""
import subprocess, sys, time
subprocess.run([sys.executable, "-c", {burn!r}])
child = subprocess.Popen([sys.executable, "-c", {lasting!r}], stdin=subprocess.PIPE)
time.sleep(60)
"""
    command = [sys.executable, "-c", program]
    with Process(command, log=tmp_path / "log", cores=None) as process:
        deadline = time.monotonic() + 20
        while process.cpu_seconds() < 0.35:  # only both come to that; ticks are rounded down
            assert time.monotonic() < deadline
            time.sleep(0.02)


@pytest.mark.parametrize(
    ("value", "at_least", "words"),
    [(2.0, False, "met"), (2.5, False, "**missed** by 0.50x (25%)"), (1.5, True, "(25%)")],
)
def test_a_target_says_by_how_much_it_is_missed(value: float, at_least: bool, words: str) -> None:
    target = Target("something", 2.0, lambda _: value, at_least=at_least)
    assert words in target.verdict({})[1]


def test_what_was_not_measured_is_said_to_be_so() -> None:
    """A page without some of the cases shows the gap, in the text and among the targets."""
    text = document({}, 3)
    assert text.count("Not measured yet.") > len(CASES)
    assert text.count("| not measured |") == len(TARGETS)


def test_every_program_has_its_bar() -> None:
    chart = plot.bars("CPU & more", [("ours", 60.0), ("a < b", 600.0)], ours="ours")
    bars = Xml.fromstring(chart).findall("{http://www.w3.org/2000/svg}rect")  # noqa: S314 - ours
    assert [bar.get("class") for bar in bars] == ["bar ours", "bar"]
    short, long = (float(bar.get("width") or 0) for bar in bars)
    assert long == pytest.approx(short * 10, rel=0.01)


def test_a_profile_of_an_older_version_is_still_shown() -> None:
    """A module may have been renamed since: its share stays, and nothing is said of what it is."""
    text = profile.section({"py-spy": {"bff/cli/serve.py": 0.6, "bff/gone.py": 0.4}})
    assert "| 40% | `bff/gone.py` |  |" in text


def test_the_page_shows_every_case_and_every_target() -> None:
    """docs/performance.md is written from a run; a case or target added since needs another."""
    text = DOCUMENT.read_text()
    for case in CASES:
        assert f"\n## {case.TITLE}\n" in text
    for target in TARGETS:
        assert f"| {target.text} | {target.wanted} |" in text
    assert (PICTURE.name in text) == PICTURE.exists()


def test_an_api_call_may_not_become_much_more_expensive() -> None:
    kept = {"GET": 100_000.0, "POST": 120_000.0}
    assert not complaints(kept, {"GET": 103_000.0, "POST": 90_000.0})
    (complaint,) = complaints(kept, {"GET": 103_100.0, "POST": 120_000.0})
    assert complaint.startswith("GET: 103,100 instructions, +3.1% against 100,000")
