"""Structured logs on standard error: one JSON object a line, or text for people.

Values are rendered so that none can start a new line or move a terminal's cursor, and long ones
are cut. What may be logged is decided where it is logged; as a last line of defence, anything that
looks like a token or sits under a secret's name is replaced here.
"""

import atexit
import contextlib
import json
import logging
import os
import re
import sys
from collections.abc import MutableMapping
from types import TracebackType
from typing import TextIO, cast

import structlog

from bff.model import DEFAULT_FRONTEND
from bff.observability.foreign import Bridge, passed

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
REDACTED = "[redacted]"
LONGEST = 1000  # characters of one value: an entry stays readable, whatever was sent

_SECRET_NAMES = re.compile(
    r"token|secret|password|authorization|cookie|verifier|assertion|\bcode\b$", re.IGNORECASE
)
_HARMLESS_NAMES = frozenset({"code"})  # the stable error code
_JWT = re.compile(r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_.-]*")


def configure(*, level: str, log_format: str) -> None:
    """Set up logging for the process, the libraries' own included."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        frames,
        redact,
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(serializer=one_line)
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), repr_native_str=True)
    )
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", _Lossy(sys.stderr))),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, handlers=[Bridge()], force=True)
    atexit.unregister(_drop_unwritten)
    atexit.register(_drop_unwritten)


class _Lossy:
    """A stream that drops what can't be written, and raises nothing: a terminal that was closed, a
    pipe whose reader has gone, or a full disk must not cost a request its answer. A line is one
    write, whole."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        with contextlib.suppress(OSError):
            self._stream.write(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.flush()


def _drop_unwritten() -> None:
    """Python ends a process whose standard error can't be flushed with exit code 120."""
    try:
        sys.stderr.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def one_line(entry: object, **options: object) -> str:
    """JSON in printable ASCII. The standard library escapes all but DEL."""
    return json.dumps(entry, default=repr).replace("\x7f", "\\u007f")


def frames(
    _logger: object, _method: str, event: MutableMapping[str, object]
) -> MutableMapping[str, object]:
    """Turn an exception into its type and where it passed, without its text: that may quote
    whatever the failing code was given."""
    given = event.pop("exc_info", None)
    if given:
        kind, trace = _exception(given)
        event["exception_type"] = kind.__name__ if kind else None
        event["frames"] = passed(trace)
    return event


def _exception(given: object) -> tuple[type[BaseException] | None, TracebackType | None]:
    if isinstance(given, BaseException):
        return type(given), given.__traceback__
    kind, _, trace = given if isinstance(given, tuple) else sys.exc_info()
    return kind, trace


def redact(
    _logger: object, _method: str, event: MutableMapping[str, object]
) -> MutableMapping[str, object]:
    """Replace what must never be in a log, and cut what is too long for one."""
    for name, value in event.items():
        event[name] = shown(name, value)
    return event


def shown(name: str, value: object) -> object:
    """A value as it may be written under this name: without secrets, and cut."""
    if name not in _HARMLESS_NAMES and _SECRET_NAMES.search(name):
        return REDACTED
    if isinstance(value, str):
        text = _JWT.sub(REDACTED, value)
        more = len(text) - LONGEST
        return text if more <= 0 else f"{text[:LONGEST]} [{more} more]"
    if isinstance(value, dict):
        return {str(key): shown(str(key), item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [shown("", item) for item in value]
    return value


def frontend_in_logs(name: str) -> dict[str, str]:
    """What lines of the log say of it: nothing, where there is no other than the default one."""
    return {} if name in ("", DEFAULT_FRONTEND) else {"frontend": name}
