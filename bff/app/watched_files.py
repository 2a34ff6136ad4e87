"""The files of a configuration, watched on request (`server.reload_on_change`): one that has
changed asks for a reload, as SIGHUP does.

Their content is compared: a link that now leads to another directory, as with a ConfigMap or a
Secret of Kubernetes, is a change, and a file that was written again with the same content is none.
A change counts once two looks in a row find the same, so that no half-written file is taken. A
configuration that was refused is not tried again before the next change.
"""

import asyncio
import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import structlog

log = structlog.get_logger("bff.app")

LOOK_EVERY_SECONDS = 1.0

Contents = Mapping[Path, str]  # digests; empty for a file that can't be read


class WatchedFiles:
    """`files`, and the .toml files of `directories`, are read when this is made, which has to be
    when the configuration is."""

    def __init__(self, files: Iterable[Path], directories: Iterable[Path] = ()) -> None:
        self._files = frozenset(files)
        self._directories = frozenset(directories)
        self._known = self._contents()

    async def watch(self, changed: Callable[[], object]) -> None:
        """Look until cancelled, and call `changed` for each change."""
        last = self._known
        while True:
            await asyncio.sleep(LOOK_EVERY_SECONDS)
            found = await asyncio.to_thread(self._contents)
            is_settled, last = found == last, found
            if is_settled and found != self._known:
                both = sorted(found.keys() | self._known.keys())
                names = [str(one) for one in both if found.get(one) != self._known.get(one)]
                self._known = found
                log.info("configuration_files_changed", files=names)
                changed()

    def _contents(self) -> Contents:
        inside = (path for directory in self._directories for path in _tenants_in(directory))
        return {path: _digest(path) for path in self._files.union(inside)}


def _tenants_in(directory: Path) -> list[Path]:
    """Those that the configuration takes: an editor's own files begin with a dot."""
    try:
        inside = list(directory.iterdir())
    except OSError:
        return []
    return [one for one in inside if one.name.endswith(".toml") and not one.name.startswith(".")]


def _digest(path: Path) -> str:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return ""  # to read a pipe would not end
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
