"""docs/chaos.md, from what a run of the long form has shown."""

from collections.abc import Sequence
from datetime import date

from tests.chaos.installation import GATEWAYS
from tests.chaos.report import Row, table
from tests.chaos.scenarios import Scale
from tests.parts.program import ROOT

DOCUMENT = ROOT / "docs" / "chaos.md"

TEXT = """\
# What happens when things break

Written by `make chaos`: {gateways} gateway processes behind a client that never sticks to one of
them, an OpenID provider that rotates refresh tokens and ends the grant when one is used twice, an
API that says whose token arrived, and a Redis with an append-only file (or three Sentinels with a
primary and two replicas, or a Cluster of three primaries with a replica each). {users} users are
logged in and make rounds of {parallel} parallel calls, {pause_seconds:g} s apart on average,
through gateways chosen at random; access tokens live {access_token_seconds} s, so that refreshes
never stop. The load lasts {seconds:g} s a scenario.

A refusal (503 with `Retry-After`) is allowed while something is down. A logout is not: a session
may end only where its rotated refresh token exists nowhere any more, because the provider kept its
answer to itself, or because a gateway was killed with it before the first write. The provider's
ledger and the ports of each killed process say which of the ended sessions these are.

{table}

- **calls**, **200**, **503**, **other**: answers to the users. *other* counts answers with another
  status, and answers that came for another user's token; calls that met a killed gateway were
  **retried** at another one.
- **OP asked**, **rotated**, **reuse**: refreshes that reached the provider, those it granted, and
  refresh tokens it saw twice.
- **logouts**, **unavoidable**: sessions that ended, and those of them that could not be kept.
- **slowest s**: the longest time that an answer took, of whatever kind.
- **recovery s**: from the end of the fault to the last answer that was not a 200 within 2 s. The
  fault of a failover ends when another primary has been named.

Where logins can be lost: an OP that drops the answer to a rotation, or a gateway that dies between
that answer and its first write, loses the new token. An OP that accepts the old token
again for some seconds ("the same, with grace") takes that case away, too.

Measured on {day:%Y-%m-%d}: {machine}. All processes share the machine: read the times as an upper
bound, the counts as they are.
"""


def document(rows: Sequence[Row], scale: Scale, machine: str, day: date) -> str:
    """The whole text."""
    return TEXT.format(
        gateways=GATEWAYS,
        users=scale.users,
        parallel=scale.parallel,
        pause_seconds=scale.pause_seconds,
        access_token_seconds=scale.access_token_seconds,
        seconds=scale.seconds,
        table=table(rows),
        machine=machine,
        day=day,
    )
