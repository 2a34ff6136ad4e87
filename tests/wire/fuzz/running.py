"""Plays cases, many at a time, against a gateway and an upstream in this very process.

A case is named by its kind, a seed and its number: the same name is the same case.
"""

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from random import Random
from typing import Any

from tests.wire.fuzz import requests, responses
from tests.wire.fuzz.upstream import JudgingUpstream, judging_upstream
from tests.wire.users import Users, a_gateway_for_users

KINDS = ("requests", "responses")
USERS = 128
SERVER = 'max_body = "64KiB"'
MOST_SHOWN = 3000

Report = Callable[[str], None]


class AtOnce(ThreadPoolExecutor):
    """Runs what is submitted in the caller's thread: reading a file of the application takes no
    longer when the machine is busy than when it is not."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - for the one who waits
            done.set_exception(error)
        return done


def name_of(kind: str, seed: int, number: int) -> str:
    return f"{kind}:{seed}:{number}"


async def play(names: Iterable[str], report: Report, *, timeout_seconds: int = 1) -> int:
    """Play the cases of these names; what is wrong is reported. Returns how many there were.

    `timeout_seconds` is how long the gateway waits for an upstream that stops in the middle, and
    how long this very process may stand still without a finding that is none.
    """
    played = 0
    route = f'timeout = "{timeout_seconds}s"'
    waiting = iter(names)
    loop = asyncio.get_running_loop()
    loop.set_default_executor(AtOnce())
    loop.set_exception_handler(lambda _, context: report(f"crash: {context}"))

    async def work(users: Users, upstream: JudgingUpstream, user: str) -> None:
        nonlocal played
        ours = f"Host: {users.host}\r\n{await users.log_in(user)}"
        for name in waiting:
            played += 1
            for wrong in await _one(name, users, upstream, user, ours):
                report(f"{name}: {wrong[:MOST_SHOWN]}")

    async with (
        judging_upstream() as upstream,
        a_gateway_for_users(upstream.port, route=route, server=SERVER) as users,
        asyncio.TaskGroup() as tasks,
    ):
        for number in range(USERS):
            tasks.create_task(work(users, upstream, f"user{number}"))
    return played


async def _one(
    name: str, users: Users, upstream: JudgingUpstream, user: str, ours: str
) -> list[str]:
    random = Random(name)  # noqa: S311 - a case must come again from its name
    if name.startswith("requests:"):
        return await requests.run(random, users.port, upstream, user, ours, users.host)
    return await responses.run(random, users.port, upstream, user, ours, name)
