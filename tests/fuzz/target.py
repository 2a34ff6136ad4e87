"""What a target of the fuzzer is."""

from collections.abc import Callable, Mapping
from random import Random
from typing import Protocol


class Finding(Exception):
    """A rule does not hold for a case; the text says which."""


class Target(Protocol):
    """Makes cases and judges them. The subject, what is tested, was passed to it when it was made,
    so that a test can pass a broken one."""

    @property
    def name(self) -> str: ...

    def case(self, random: Random) -> bytes:
        """Another case. The same `random` gives the same."""

    def judge(self, case: bytes) -> bool:
        """Whether the subject accepts the case.

        Raises:
            Finding: it should not have, or not so. Any other exception is a finding as well.
        """

    def families(self) -> Mapping[str, Callable[[int], bytes]]:
        """Cases of any size in bytes, of the kinds that are dear to read if any are."""


def require(held: bool, what: str) -> None:
    """Raises: Finding."""
    if not held:
        raise Finding(what)
