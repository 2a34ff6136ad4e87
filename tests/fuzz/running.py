"""Plays the cases of a target. A case is named by its target, a seed and its number: the same name
is the same case."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

from tests.fuzz.target import Finding, Target

MOST_KEPT = 20
ENOUGH_FINDINGS = 1000


@dataclass(frozen=True, slots=True)
class Found:
    """A case that shows something wrong."""

    case: bytes
    what: str


@dataclass(slots=True)
class Row:
    """What has become of the cases of one target. `kept` are the first findings."""

    name: str
    seed: int
    cases: int = 0
    accepted: int = 0
    findings: int = 0
    seconds: float = 0.0
    kept: list[Found] = field(default_factory=list)

    @property
    def refused(self) -> int:
        return self.cases - self.accepted - self.findings

    def add(self, found: Found) -> None:
        self.findings += 1
        if len(self.kept) < MOST_KEPT:
            self.kept.append(found)


def cases_of(target: Target, seed: int, cases: int) -> Iterator[bytes]:
    for number in range(cases):
        yield target.case(Random(f"{target.name}:{seed}:{number}"))  # noqa: S311 - it must come again


def fuzz(target: Target, seed: int, cases: int, *, enough: int = ENOUGH_FINDINGS) -> Row:
    """Play so many cases, or fewer once there are `enough` findings."""
    row = Row(target.name, seed)
    began = time.perf_counter()
    for case in cases_of(target, seed, cases):
        row.cases += 1
        verdict = judged(target, case)
        if isinstance(verdict, Found):
            row.add(verdict)
        else:
            row.accepted += verdict
        if row.findings >= enough:
            break
    row.seconds = time.perf_counter() - began
    return row


def judged(target: Target, case: bytes) -> bool | Found:
    """Whether one case is accepted, or what is wrong."""
    try:
        return target.judge(case)
    except Finding as finding:
        return Found(case, str(finding))
    except Exception as error:  # noqa: BLE001 - whatever escapes a subject is what is looked for
        return Found(case, f"{type(error).__name__} escapes: {error}"[:200])
