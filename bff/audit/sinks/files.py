"""Records appended to a file, or to standard output."""

import contextlib
import fcntl
import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from bff.audit.chain import Stamped
from bff.audit.sinks import SinkFailed, in_thread

FILE_MODE = 0o600


class FileSink:
    """`path` None: standard output. A file that was moved away is opened anew; no signal is needed.
    Several processes may write to one: each locks it for a write, and takes back what was written
    in part, as on a full disk."""

    def __init__(self, path: Path | None) -> None:
        self.name = "stdout" if path is None else "file"
        self._path = path
        self._descriptor: int | None = None
        # A write that blocks goes on after its delivery was given up.
        self._lock = threading.Lock()

    async def open(self) -> None:
        self._descriptor = self._opened()

    async def write(self, records: Sequence[Stamped]) -> None:
        lines = [f"{record.line}\n".encode("ascii") for record in records]
        try:
            await in_thread(lambda: self._append(lines))
        except OSError as error:
            raise SinkFailed((error.strerror or "not writable").lower()) from None

    async def close(self) -> None:
        if not self._lock.acquire(blocking=False):
            return  # the descriptor is in use until the process ends
        try:
            descriptor, self._descriptor = self._descriptor, None
            if descriptor is not None and self._path is not None:
                os.close(descriptor)
        finally:
            self._lock.release()

    def _opened(self) -> int:
        if self._path is None:
            return sys.stdout.fileno()
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        return os.open(self._path, flags, FILE_MODE)

    def _append(self, lines: Sequence[bytes]) -> None:
        with self._lock:
            if self._path is None:
                for line in lines:  # by itself, so that other lines do not get between its parts
                    _write_all(self._require_descriptor(), line)
                return
            descriptor = self._current()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            try:
                _write_whole(descriptor, b"".join(lines))
            finally:
                fcntl.flock(descriptor, fcntl.LOCK_UN)

    def _require_descriptor(self) -> int:
        if self._descriptor is None:
            self._descriptor = self._opened()
        return self._descriptor

    def _current(self) -> int:
        """The file that has the path now."""
        descriptor = self._require_descriptor()
        with contextlib.suppress(FileNotFoundError):
            if self._path is None or os.path.samestat(self._path.stat(), os.fstat(descriptor)):
                return descriptor
        self._descriptor = None
        os.close(descriptor)
        return self._require_descriptor()


def _write_whole(descriptor: int, data: bytes) -> None:
    before = os.fstat(descriptor).st_size
    try:
        _write_all(descriptor, (b"\n" if _is_cut(descriptor, before) else b"") + data)
    except OSError:
        with contextlib.suppress(OSError):  # a pipe has no end to cut
            os.ftruncate(descriptor, before)
        raise


def _is_cut(descriptor: int, size: int) -> bool:
    """Whether a process that was killed has left a line without its end."""
    try:
        return size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
    except OSError:  # a pipe can't be read at a place
        return False


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
