"""What every program under test has in common."""

from dataclasses import dataclass
from typing import Protocol

from bench.machine import find
from bench.processes import ROOT, Process
from bench.site import Site
from bench.waiting import wait_for_answer

API_PATH = "/api/entries"


class Program(Protocol):
    """How to start one. `authenticates`: its calls carry a session's cookie.

    `streams`: it is configured for /streams/, the upstream of uploads and open streams.
    """

    @property
    def name(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def authenticates(self) -> bool: ...
    @property
    def streams(self) -> bool: ...

    def missing(self) -> str:
        """What has to be installed first; empty when nothing has."""

    def spawn(self, site: Site) -> Process:
        """Start it, without waiting."""


@dataclass(slots=True)
class Running:
    """One that serves. `cookie` is that of a session, once a user has logged in."""

    program: Program
    process: Process
    port: int
    cookie: str = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{API_PATH}"


def start(program: Program, site: Site) -> Running:
    """Start it and wait until it answers anything."""
    port = site.ports[program.name]
    process = program.spawn(site)
    try:
        wait_for_answer(process, port)
    except BaseException:
        process.stop()
        raise
    return Running(program, process, port)


def missing_program(name: str) -> str:
    """For `missing`: the program, when it is not on the path."""
    return "" if find(name) else name


def missing_file(path: str) -> str:
    """For `missing`: a file of another package's, by its absolute path or ours."""
    return "" if (ROOT / path).exists() else path
