"""What the cases have found, in files, so that they can be run one by one and shown together."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import machine
from bench.processes import ROOT
from bench.sampling import Found

FOLDER = ROOT / "build" / "bench"

Kept = dict[str, Any]
"""`found`, when, where, at which scale, and how much of the machine others used meanwhile."""


def keep(name: str, found: Found, *, scale: str, where: str, others: float) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    kept = {
        "found": found,
        "scale": scale,
        "day": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": where,
        "others": others,
        "versions": machine.versions(),
    }
    _path(name, scale).write_text(json.dumps(kept, indent=1))


def kept(name: str, scale: str) -> Kept | None:
    """The last of that case at that scale."""
    path = _path(name, scale)
    if not path.exists():
        return None
    found: Kept = json.loads(path.read_text())
    return found


def _path(name: str, scale: str) -> Path:
    return FOLDER / f"{name}.{scale}.json"
