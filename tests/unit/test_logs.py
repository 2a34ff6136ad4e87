"""Nothing secret and nothing that breaks a line or a terminal gets into a log."""

import io
import json
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr

import pytest
import structlog

from bff.observability import logs

SECRET = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl"


def logged(log_format: str, **values: object) -> str:
    out = io.StringIO()
    with redirect_stderr(out):
        logs.configure(level="info", log_format=log_format)
        structlog.get_logger("t").info("event", **values)
        logging.getLogger("some.library").warning("template %s", SECRET)
        try:
            raise ValueError(f"could not read {SECRET}")
        except ValueError:
            structlog.get_logger("t").exception("failed")
    structlog.reset_defaults()
    return out.getvalue()


@pytest.fixture(autouse=True)
def _quiet_root() -> Iterator[None]:
    yield
    logging.getLogger().handlers.clear()


@pytest.mark.rule("OP-01")
@pytest.mark.parametrize("log_format", ["json", "text"])
def test_tokens_and_secrets_are_replaced_wherever_they_are(log_format: str) -> None:
    text = logged(
        log_format, detail=f"got {SECRET}", access_token="opaque-at", client_secret="s3cr3t"
    )
    assert "eyJ" not in text
    assert "opaque-at" not in text
    assert "s3cr3t" not in text
    assert "template %s" in text
    assert "ValueError" in text


@pytest.mark.rule("OP-01")
@pytest.mark.parametrize("log_format", ["json", "text"])
def test_a_value_can_not_start_a_line_or_move_the_cursor(log_format: str) -> None:
    text = logged(log_format, sub='alice\r\n{"event": "forged"}\x1b[2J\x00')
    assert "\r" not in text
    assert "\x1b[2J" not in text
    assert "\x00" not in text
    assert len(text.splitlines()) == 3


@pytest.mark.rule("OP-01")
def test_json_lines_parse_and_carry_the_time_in_utc() -> None:
    for line in logged("json", code="store_unavailable").splitlines():
        entry = json.loads(line)
        assert entry["timestamp"].endswith("Z")
        assert entry["level"] in ("info", "warning", "error")


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
        subprocess.run(
            [sys.executable, "-c", program],
            stderr=writer.fileno(),
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
            check=True,
            timeout=60,
        )
        reader.settimeout(1)
        first = reader.recv(65536)
    assert first.endswith(b"\n")
    assert json.loads(first)["text"] == "x" * 1000
