"""Nothing secret and nothing that breaks a line or a terminal gets into a log."""

import io
import json
import logging
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


CONTROLS = "".join(map(chr, [*range(0x20), 0x7F, *range(0x80, 0xA0)]))
SEPARATORS = "\u0085\u2028\u2029"
DIRECTIONS = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
HIDDEN = CONTROLS + SEPARATORS + DIRECTIONS + "\u200b\ufeff" + "\ud800\udfff"


@pytest.mark.rule("OP-01")
@pytest.mark.parametrize("log_format", ["json", "text"])
@pytest.mark.parametrize("letter", HIDDEN, ids=lambda letter: f"U+{ord(letter):04X}")
def test_no_hidden_character_reaches_the_log_as_itself(log_format: str, letter: str) -> None:
    """Controls, line separators, marks that turn the direction of text, halves of a pair: in a
    value, in a list, in a table, and in a library's message."""
    value = f"alice{letter}[2Jforged"
    out = io.StringIO()
    with redirect_stderr(out):
        logs.configure(level="debug", log_format=log_format)
        structlog.get_logger("t").info("event", sub=value, subs=[value], by={"sub": value})
        logging.getLogger("some.library").warning(value)
        logging.getLogger("some.library").warning(f"{value} %s", "argument")  # noqa: G004
    structlog.reset_defaults()
    text = out.getvalue()
    assert letter not in text.replace("\n", "")
    assert text.count("\n") == 3
    assert len(text.splitlines()) == 3
    text.encode()  # no half of a pair is left


@pytest.mark.rule("OP-01")
@pytest.mark.parametrize("log_format", ["json", "text"])
def test_a_huge_value_is_cut(log_format: str) -> None:
    """One entry can't fill a disk, and says how much is missing."""
    text = logged(log_format, sub="x" * 100_000, subs=["y" * 100_000])
    assert len(text) < 4_000
    assert "[99000 more]" in text


@pytest.mark.rule("OP-01")
def test_secrets_inside_lists_and_tables_are_replaced() -> None:
    text = logged("json", found=[SECRET], answer={"access_token": "opaque-at", "n": {"x": SECRET}})
    assert "eyJ" not in text
    assert "opaque-at" not in text
    assert '"n": {"x": "[redacted]"}' in text


@pytest.mark.rule("OP-01")
@pytest.mark.parametrize(
    ("message", "kept"),
    [
        ("Task exception was lost\nfuture: <Task name='x' s3cr3t>", "Task exception was lost"),
        ("Exception in callback Reader.feed('s3cr3t')", "Exception in callback Reader.feed"),
        ("Unhandled notification type: s3cr3t", "Unhandled notification type"),
        ("can't reach redis://user:s3cr3t@host", "can"),
        ("got " + "s3cr3t" * 8 + " instead", "got ... instead"),
        ({"a": "s3cr3t"}, ""),
    ],
)  # fmt: skip
def test_of_a_finished_message_only_its_beginning_is_kept(message: object, kept: str) -> None:
    """A library may have put values in already: asyncio does, with all that a task was given."""
    out = io.StringIO()
    with redirect_stderr(out):
        logs.configure(level="debug", log_format="json")
        logging.getLogger("some.library").error(message)
    structlog.reset_defaults()
    entry = json.loads(out.getvalue())
    assert (entry["event"], entry["library"]) == (kept, "some.library")
    assert "s3cr3t" not in out.getvalue()


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
