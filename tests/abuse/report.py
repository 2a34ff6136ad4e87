"""The rows as a table, and the page it goes into."""

from collections.abc import Sequence
from datetime import date

from tests.abuse.scenario import Row, Scale
from tests.parts.program import ROOT

DOCUMENT = ROOT / "docs" / "abuse.md"
COLUMNS = (
    "scenario",
    "sent",
    "answered or ended",
    "gateway MiB",
    "store keys",
    "store MiB",
    "calls of an honest user",
    "worst wait ms",
)

TEXT = """\
# What abuse costs

Written by `make abuse`: one gateway process with a Redis, an OpenID provider that can do harm, and
two APIs, one of which can. Each scenario has a gateway of its own. Meanwhile an honest user, who is
logged in, calls the other API without a pause. A run fails when one of these calls is refused, when
a client is answered or cut off in another way than the limits say, or when the gateway grows by
more than the scenario allows.

{table}

- **gateway MiB**: resident memory of the process before, at its peak (as the kernel keeps it), and
  after the last of the connections was gone. What the allocator keeps for the next time is in it.
- **store keys**, **store MiB**: what Redis held before, at most (of ten looks a second), and after.
- **worst wait**: of the honest user, who shares the machine with all the others. In the
  connection flood the user kept a connection; everywhere else each call made a new one.
  The longest waits are those of a call amid thousands of requests sent in the same instant (slow
  bodies, own event streams: 5000 are one to two seconds of one process's time), or amid hundreds of
  bodies that come as fast as memory is copied (endless bodies): the process is busy, not blocked.

How much memory to plan for: [operations](operations.md#memory-under-abuse).

`server.head_timeout`, `body_timeout` and the `timeout` of the routes were {patience_seconds} s,
`server.max_connections` was {max_connections}, `oidc.timeout` 2 s; everything else as it comes.
Measured on {day}: {machine}
"""


def table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table."""
    lines = [COLUMNS, tuple("---" for _ in COLUMNS), *(_cells(row) for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def document(rows: Sequence[Row], scale: Scale, machine: str, day: date) -> str:
    """docs/abuse.md."""
    return TEXT.format(
        table=table(rows),
        max_connections=scale.max_connections,
        patience_seconds=scale.patience_seconds,
        day=day,
        machine=machine,
    )


def _cells(row: Row) -> tuple[str, ...]:
    answers = row.outcome.answers
    return (
        row.scenario,
        row.outcome.sent,
        ", ".join(f"{answer}: {count}" for answer, count in sorted(answers.items())) or "-",
        row.memory.in_mib(),
        str(row.keys),
        row.store.in_mib(),
        str(row.visits.answered),
        f"{row.visits.worst_seconds * 1000:.0f}",
    )
