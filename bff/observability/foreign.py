"""Texts that are not the gateway's own: log records of libraries, and crashes.

Both may quote what the failing code was given: a header, a URL with a password, a token. So of a
library's message only the constant part is kept, and of an exception its type and the places it
passed, never its text, a local variable or a line of source.
"""

import contextlib
import logging
import re
import resource
import sys
import threading
import traceback
from types import TracebackType

import structlog

_QUOTES = re.compile(r"""[<(\[{'":=]""")
_LONG_WORD = re.compile(r"\S{32,}")


class Bridge(logging.Handler):
    """Sends the libraries' records through structlog, without their arguments."""

    def emit(self, record: logging.LogRecord) -> None:
        kind, _, trace = record.exc_info or (None, None, None)
        structlog.get_logger(record.name).log(
            record.levelno,
            constant_part(record),
            library=record.name,
            exception_type=kind.__name__ if kind else None,
            frames=passed(trace),
        )


def constant_part(record: logging.LogRecord) -> str:
    """The template of a message that has arguments. One without may have been put together before:
    of that, the first line up to where it begins to quote, and no long word."""
    line = "".join(str(record.msg).splitlines()[:1])
    if not record.args:
        line = _LONG_WORD.sub("...", _QUOTES.split(line, maxsplit=1)[0].rstrip())
    return "".join(letter if letter.isprintable() else "?" for letter in line)


def passed(trace: TracebackType | None) -> list[str]:
    """The places an exception passed, the outermost first."""
    return [
        f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}"
        for frame in traceback.extract_tb(trace)
    ]


def keep_crashes_quiet() -> None:
    """For this process: an exception that is not caught is logged as any other is, without Python's
    own report of texts and source lines; and no core file is written, which would hold every
    secret."""
    with contextlib.suppress(OSError, ValueError):  # a sandbox may forbid it
        _, hard = resource.getrlimit(resource.RLIMIT_CORE)
        resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
    sys.excepthook = _crashed
    threading.excepthook = lambda hook: _crashed(hook.exc_type, hook.exc_value, hook.exc_traceback)
    sys.unraisablehook = lambda hook: _crashed(hook.exc_type, hook.exc_value, hook.exc_traceback)


def _crashed(
    kind: type[BaseException], error: BaseException | None, trace: TracebackType | None
) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    structlog.get_logger("bff").critical("crashed", exc_info=(kind, error, trace))
