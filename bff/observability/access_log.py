"""The access log: one line a request, to standard output or a file.

A line is appended by one write, so that several processes can share a file. The lines of one turn
of the event loop are written together. A file that was moved away, as logrotate does, is opened
anew; no signal is needed. What can't be written is dropped and counted: no request fails for its
line.
"""

import asyncio
import contextlib
import datetime
import ipaddress
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import structlog

from bff.observability.logs import one_line

log = structlog.get_logger("bff.observability")

CHECK_SECONDS = 1.0  # how often it is looked whether the file is still the one of that name
COMPLAINT_SECONDS = 60.0  # between two complaints that it can't be written
FILE_MODE = 0o640
KEPT_BITS: Mapping[int, int] = {4: 24, 6: 48}


class AccessLog:
    """`file` None is standard output. `address` is `full`, `truncated` or `off`; `with_path` says
    whether lines hold paths."""

    def __init__(
        self, *, is_json: bool, file: Path | None = None, address: str, with_path: bool = False
    ) -> None:
        self._is_json = is_json
        self._file = file
        self._address = address
        self.with_path = with_path
        self._descriptor: int | None = None
        self._lines: list[str] = []
        self._checked_at = 0.0
        self._complained_at: float | None = None
        self._dropped = 0

    def open(self) -> None:
        """From here on lines can be written.

        Raises:
            OSError: the file can't be opened.
        """
        self._descriptor = self._opened()

    def write(self, entry: Mapping[str, object]) -> None:
        """Append a line by the end of this turn of the event loop."""
        if not self._lines:
            asyncio.get_running_loop().call_soon(self.flush)
        self._lines.append(one_line(entry) if self._is_json else _text(entry))

    def flush(self) -> None:
        """Append what has come together."""
        if not self._lines:
            return
        lines, self._lines = self._lines, []
        data = ("\n".join(lines) + "\n").encode("ascii", "backslashreplace")
        try:
            self._follow_the_name()
            _write_all(self._require_descriptor(), data)
        except OSError as error:
            self._drop(len(lines), error)

    def close(self) -> None:
        """Append what is left."""
        self.flush()
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None and self._file is not None:
            os.close(descriptor)

    def shown_address(self, address: str | None) -> str | None:
        """The client's address as far as it is kept."""
        return shown_address(address, self._address)

    def _opened(self) -> int:
        if self._file is None:
            return sys.stdout.fileno()
        return os.open(self._file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)

    def _require_descriptor(self) -> int:
        if self._descriptor is None:
            self._descriptor = self._opened()
        return self._descriptor

    def _follow_the_name(self) -> None:
        """Open the file anew when its name leads elsewhere."""
        now = time.monotonic()
        if self._file is None or now - self._checked_at < CHECK_SECONDS:
            return
        self._checked_at = now
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(self._file.stat(), os.fstat(self._require_descriptor())):
                return
        descriptor, self._descriptor = self._require_descriptor(), None
        os.close(descriptor)

    def _drop(self, count: int, error: OSError) -> None:
        self._dropped += count
        now = time.monotonic()
        if self._complained_at is None or now - self._complained_at >= COMPLAINT_SECONDS:
            self._complained_at = now
            log.error(
                "access_log_failed", reason=error.strerror or "not writable", lines=self._dropped
            )


def shown_address(address: str | None, kept: str) -> str | None:
    """A client's address as far as it is `kept`: `full`, `truncated` or `off`."""
    if not address or kept == "off":
        return None
    return address if kept == "full" else truncated(address)


def truncated(address: str) -> str:
    """The network of an address: enough to tell a country or a company, not a person."""
    try:
        parsed = ipaddress.ip_address(address.partition("/")[0])  # limits count networks
    except ValueError:
        return address  # `unix` and `unknown` are no one person's
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    network = ipaddress.ip_network((parsed, KEPT_BITS[parsed.version]), strict=False)
    return str(network)


def timestamp(epoch_seconds: float) -> str:
    """UTC, RFC 3339, to the millisecond."""
    moment = datetime.datetime.fromtimestamp(epoch_seconds, datetime.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _text(entry: Mapping[str, object]) -> str:
    """`name=value` for each field that has one, the time first and without its name. Values that
    hold a space or a quote are quoted as in JSON."""
    time_and_rest = dict(entry)
    words = [str(time_and_rest.pop("time", "-"))]
    for name, value in time_and_rest.items():
        if value is not None:
            words.append(f"{name}={_word(value)}")
    return " ".join(words)


def _word(value: object) -> str:
    text = str(value)
    is_plain = text.isascii() and text.isprintable() and not set(text) & set(' "=\\') and text
    return text if is_plain else one_line(text)


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
