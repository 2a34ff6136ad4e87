"""One row per scenario, and the table of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.chaos.ledger import Kill, Refresh, is_unavoidable, lost_answers, shortest_interval
from tests.chaos.load import Tally, User

COLUMNS = (
    "scenario",
    "faults",
    "calls",
    "200",
    "503",
    "other",
    "retried",
    "OP asked",
    "rotated",
    "reuse",
    "logouts",
    "unavoidable",
    "slowest s",
    "recovery s",
)


@dataclass(frozen=True, slots=True)
class Row:
    """What one scenario showed. `logouts` are sessions that ended; `unavoidable` those of them
    whose rotated token no gateway could have kept, by the OP's ledger and the list of kills."""

    scenario: str
    seconds: float
    faults: int
    tally: Tally = field(repr=False)
    users: int
    shortest_interval_seconds: float
    reuse: int
    logouts: int
    unavoidable: int
    recovery_seconds: float
    faults_at: Sequence[tuple[float, float]]
    ledger: Sequence[Refresh] = field(repr=False)

    @property
    def avoidable(self) -> int:
        """Sessions that ended without need. The product promises zero."""
        return self.logouts - self.unavoidable

    @property
    def troubles(self) -> list[tuple[float, float, str]]:
        return self.tally.troubles

    @property
    def rotated(self) -> int:
        return sum(refresh.rotated for refresh in self.ledger)

    @property
    def unavailable(self) -> int:
        statuses = self.tally.statuses
        return sum(count for kind, count in statuses.items() if kind.startswith("503"))

    @property
    def other(self) -> dict[str, int]:
        """Answers that were neither 200 nor 503 nor the one that told of an ended session."""
        statuses = self.tally.statuses
        return {
            kind: count
            for kind, count in statuses.items()
            if kind != "200" and not kind.startswith("503") and kind not in ENDED
        }

    def cells(self) -> tuple[str, ...]:
        statuses = self.tally.statuses
        return (
            self.scenario,
            str(self.faults),
            str(self.tally.requests),
            str(statuses["200"]),
            str(self.unavailable),
            str(sum(self.other.values()) + self.tally.foreign),
            str(self.tally.retried),
            str(len(self.ledger)),
            str(self.rotated),
            str(self.reuse),
            str(self.logouts),
            str(self.unavoidable),
            f"{self.tally.slowest_seconds:.1f}",
            f"{self.recovery_seconds:.1f}" if self.faults else "-",
        )


ENDED = frozenset({"401 session_ended", "401 not_authenticated"})


def row(
    scenario: str,
    *,
    seconds: float,
    faults: Sequence[tuple[float, float]],
    tally: Tally,
    users: Sequence[User],
    refreshes: Sequence[Refresh],
    reuse: int,
    kills: Sequence[Kill],
) -> Row:
    """Draw the conclusions. `faults`: start and end of each."""
    logged_out = {user.sub for user in users if user.logged_out_at is not None}
    lost = lost_answers(refreshes)
    unavoidable = {sub for sub in logged_out if sub in lost and is_unavoidable(lost[sub], kills)}
    begins = [began for began, _ in faults[1:]] + [float("inf")]
    recoveries = [
        tally.recovery_seconds(ended, before)
        for (_, ended), before in zip(faults, begins, strict=False)
    ]
    return Row(
        scenario=scenario,
        seconds=seconds,
        faults=len(faults),
        tally=tally,
        users=len(users),
        shortest_interval_seconds=shortest_interval(refreshes),
        reuse=reuse,
        logouts=len(logged_out),
        unavoidable=len(unavoidable),
        recovery_seconds=max(recoveries, default=0.0),
        faults_at=faults,
        ledger=refreshes,
    )


def table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table."""
    lines = [COLUMNS, tuple("---" for _ in COLUMNS), *(found.cells() for found in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
