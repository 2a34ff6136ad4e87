"""What every case is."""

from typing import Protocol

from bench.sampling import Bench, Found


class Case(Protocol):
    """A module of this package, as `all.py` lists them."""

    @property
    def NAME(self) -> str: ...  # noqa: N802 - a constant of a module

    @property
    def TITLE(self) -> str: ...  # noqa: N802

    def run(self, bench: Bench) -> Found: ...

    def section(self, found: Found) -> str: ...
