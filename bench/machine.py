"""The machine that is measured on: its description, and which core does what.

The program under test has a core of its own; everything that serves or loads it shares another, so
that neither takes time from the other.
"""

import os
import platform
import resource
import shutil
import subprocess
import sys
from pathlib import Path

PROGRAM_CORE = 0
LOAD_CORE = 1

VERSION_COMMANDS = {
    "nginx": ("nginx", "-v"),
    "Caddy": ("caddy", "version"),
    "Apache": ("apache2", "-v"),
    "Redis": ("redis-server", "--version"),
    "Node": ("node", "--version"),
    "oauth2-proxy": ("oauth2-proxy", "--version"),
}


def find(program: str) -> str | None:
    """Its path; also beside this Python, and where Debian keeps programs that only root used to
    run."""
    beside = str(Path(sys.executable).parent)
    path = os.pathsep.join([beside, os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
    return shutil.which(program, path=path)


def stay_on_load_core() -> None:
    """Keep this process, and what it starts from now on, off the program's core.

    Raises:
        SystemExit: there is no second core.
    """
    if (os.cpu_count() or 1) < 2:
        raise SystemExit("bench: two processors are needed, one for the program under test")
    os.sched_setaffinity(0, {LOAD_CORE})


def allow_many_files() -> None:
    """As many as the system lets us, for this process and what it starts: thousands of streams."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def describe() -> str:
    """Processor, cores, memory, system, Python."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    shared = " (two threads of one core)" if _are_siblings() else ""
    return (
        f"{_processor()}, {os.cpu_count()} processors{shared}, {memory:.0f} GiB of memory, "
        f"Linux {platform.release().partition('-')[0]}, Python {platform.python_version()}"
    )


def versions() -> dict[str, str]:
    """What the installed programs call themselves."""
    return {
        name: _first_version(command)
        for name, command in VERSION_COMMANDS.items()
        if find(command[0])
    }


def _first_version(command: tuple[str, ...]) -> str:
    program, *arguments = command
    ran = subprocess.run(
        [find(program) or program, *arguments], capture_output=True, text=True, check=False
    )
    words = (ran.stdout + ran.stderr).replace("/", " ").replace("v=", "v").split()
    numbers = (word.lstrip("v").rstrip(",") for word in words)
    return next((word for word in numbers if word[:1].isdigit() and "." in word), "unknown")


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = {line.partition(": ")[2] for line in lines if line.startswith("model name")}
    return ", ".join(sorted(names)) or platform.machine()


def _are_siblings() -> bool:
    siblings = Path(f"/sys/devices/system/cpu/cpu{PROGRAM_CORE}/topology/thread_siblings_list")
    try:
        text = siblings.read_text().strip()
    except OSError:
        return False
    return text in {f"{PROGRAM_CORE},{LOAD_CORE}", f"{PROGRAM_CORE}-{LOAD_CORE}"}
