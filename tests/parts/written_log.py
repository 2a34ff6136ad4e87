"""What the gateway writes to the log, as an operator would read it: after the redaction."""

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from typing import Any

import structlog

from bff.observability import logs


@dataclass(frozen=True, slots=True)
class WrittenLog:
    out: io.StringIO

    @property
    def text(self) -> str:
        return self.out.getvalue()

    @property
    def entries(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]

    def of(self, event: str) -> list[dict[str, Any]]:
        return [entry for entry in self.entries if entry["event"] == event]


@contextmanager
def written_log(level: str = "info") -> Iterator[WrittenLog]:
    """Everything that is logged in this process from now on."""
    out = io.StringIO()
    with redirect_stderr(out):
        logs.configure(level=level, log_format="json")
        structlog.configure(cache_logger_on_first_use=False)  # the next test writes elsewhere
        try:
            yield WrittenLog(out)
        finally:
            structlog.reset_defaults()
