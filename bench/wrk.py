"""wrk as the load at saturation: as many requests as the program answers."""

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bench.browser_request import FIELDS, cookie_field
from bench.machine import LOAD_CORE

SCRIPT = Path(__file__).with_name("browser.lua")
RESULT = re.compile(r"^RESULT (\d+) (\d+) (\d+) (\d+) (\d+)$", re.MULTILINE)
CONNECTIONS = 32
GRACE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What wrk counted. `failed`: connections and reads that failed, answers other than 2xx/3xx."""

    requests: int
    seconds: float
    failed: int

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds


def write_cookies(path: Path, cookies: list[str]) -> Path:
    """The file that the script rotates through."""
    path.write_text("".join(f"{cookie_field(cookie)}\n" for cookie in cookies))
    return path


def run(
    url: str,
    cookies: Path,
    *,
    seconds: float,
    connections: int = CONNECTIONS,
    cores: str = str(LOAD_CORE),
) -> Outcome:
    """Load one program.

    Raises:
        RuntimeError: an answer was missing or an error; nothing that fails is worth a figure.
    """
    fields = cookies.with_name("fields.txt")
    fields.write_text("".join(f"{name}: {value}\n" for name, value in FIELDS.items()))
    ran = subprocess.run(
        [
            *("taskset", "--cpu-list", cores, "wrk", "--threads", "1"),
            *("--connections", str(connections), "--duration", f"{max(1, round(seconds))}s"),
            *("--script", str(SCRIPT), url),
        ],
        env={**os.environ, "COOKIES": str(cookies), "FIELDS": str(fields)},
        capture_output=True,
        text=True,
        timeout=seconds + GRACE_SECONDS,
        check=False,
    )
    found = RESULT.search(ran.stdout)
    if ran.returncode != 0 or found is None:
        raise RuntimeError(f"wrk failed: {ran.stdout}{ran.stderr}")
    requests, microseconds, broken, refused, _ = map(int, found.groups())
    outcome = Outcome(requests, microseconds / 1e6, broken + refused)
    if outcome.failed:
        raise RuntimeError(f"{outcome.failed} of {requests} requests failed at {url}")
    return outcome
