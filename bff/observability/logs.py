"""Structured logs on standard error: one JSON object a line, or text for people.

Values are rendered so that none can start a new line or move a terminal's cursor. What may be
logged is decided where it is logged; as a last line of defence, anything that looks like a token or
sits under a secret's name is replaced here.
"""

import logging
import re
import sys
import traceback
from collections.abc import MutableMapping

import structlog

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
REDACTED = "[redacted]"

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
        structlog.processors.JSONRenderer()
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), repr_native_str=True)
    )
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),  # a line is one write, whole
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, handlers=[_Bridge()], force=True)


def frames(
    _logger: object, _method: str, event: MutableMapping[str, object]
) -> MutableMapping[str, object]:
    """Turn an exception into its type and where it passed, without its text: that may quote
    whatever the failing code was given."""
    if event.pop("exc_info", None):
        kind, _, trace = sys.exc_info()
        event["exception_type"] = kind.__name__ if kind else None
        event["frames"] = [
            f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}"
            for frame in traceback.extract_tb(trace)
        ]
    return event


def redact(
    _logger: object, _method: str, event: MutableMapping[str, object]
) -> MutableMapping[str, object]:
    """Replace what must never be in a log."""
    for name, value in event.items():
        if name not in _HARMLESS_NAMES and _SECRET_NAMES.search(name):
            event[name] = REDACTED
        elif isinstance(value, str) and "eyJ" in value:
            event[name] = _JWT.sub(REDACTED, value)
    return event


class _Bridge(logging.Handler):
    """Sends the libraries' records through structlog, without their arguments.

    A library's message may quote what it was given (a header, a URL): only its template is kept.
    """

    def emit(self, record: logging.LogRecord) -> None:
        logger = structlog.get_logger(record.name)
        kind = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else None
        logger.log(record.levelno, str(record.msg), exception_type=kind)
