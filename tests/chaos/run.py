"""Running one scenario: log in, load, break, mend, look again, count."""

import asyncio
import time
from collections.abc import Sequence

from tests.chaos.installation import Installation
from tests.chaos.load import Load, User
from tests.chaos.report import Row, row
from tests.chaos.scenarios import Scale, Scenario, strike_repeatedly

RECOVERY_SECONDS = 45.0


async def run(installation: Installation, scenario: Scenario, scale: Scale) -> Row:
    """The installation is left mended, with its users logged in or out."""
    users = await installation.log_in()
    began = time.time()
    kills_before = len(installation.kills)
    _, reuse_before = await installation.op_ledger(began)
    clients = installation.clients()
    load = Load(users, clients, parallel=scale.parallel, pause_seconds=scale.pause_seconds)
    load.start()
    try:
        faults = await strike_repeatedly(installation, scenario, scale)
        await _recovered(load, users)
        if scenario.strike is None:
            await _refreshed(installation, users, began)
    finally:
        await load.stop()
    seconds = time.time() - began
    refreshes, reuse = await installation.op_ledger(began - 1)
    for client in clients:
        client.close()
    return row(
        scenario.name,
        seconds=seconds,
        faults=faults,
        tally=load.tally,
        users=users,
        refreshes=refreshes,
        reuse=reuse - reuse_before,
        kills=installation.kills[kills_before:],
    )


async def _recovered(load: Load, users: Sequence[User]) -> None:
    """Until every user gets answers again; users that have been logged out do not count."""
    waiting = {user.sub: user for user in users}
    deadline = time.monotonic() + RECOVERY_SECONDS
    while waiting:
        live = [user for user in waiting.values() if user.logged_out_at is None]
        answers = await asyncio.gather(*(load.call(user) for user in live))
        waiting = {
            user.sub: user
            for user, answer in zip(live, answers, strict=True)
            if answer.status != 200 and user.logged_out_at is None
        }
        if waiting and time.monotonic() > deadline:
            raise TimeoutError(f"{len(waiting)} users are not served again")
        await asyncio.sleep(0.1)


async def _refreshed(installation: Installation, users: Sequence[User], since: float) -> None:
    """Until the OP has refreshed each user's tokens: how soon they are due, only it decides."""
    waiting = {user.sub for user in users}
    deadline = time.monotonic() + RECOVERY_SECONDS
    while waiting:
        refreshes, _ = await installation.op_ledger(since)
        waiting -= {refresh.sub for refresh in refreshes}
        if waiting and time.monotonic() > deadline:
            raise TimeoutError(f"{len(waiting)} users' tokens are not refreshed")
        await asyncio.sleep(0.1)
