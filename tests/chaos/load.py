"""Users under load: each makes rounds of parallel calls through changing gateways, and every answer
is judged: by whom it is for, by its status, and by how long it took.
"""

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.chaos.wire import Answer, Client, Unreachable

PATH = "/api/whoami"
# An answer that took longer counts as trouble when recovery is measured.
SLOW_SECONDS = 2.0
TRIES = 20
RETRY_SECONDS = 0.1


@dataclass(slots=True)
class User:
    """A logged-in browser. `logged_out_at`: when an answer said that the session has ended."""

    sub: str
    cookie: str = field(repr=False)
    logged_out_at: float | None = None


@dataclass(slots=True)
class Tally:
    """What the users saw. `troubles`: start, end and status of each answer that was not a prompt
    200."""

    statuses: Counter[str] = field(default_factory=Counter)
    retried: int = 0
    foreign: int = 0
    slowest_seconds: float = 0.0
    troubles: list[tuple[float, float, str]] = field(default_factory=list)

    @property
    def requests(self) -> int:
        return self.statuses.total()

    def recovery_seconds(self, fault_ended_at: float, before: float = float("inf")) -> float:
        """From the end of a fault until the last trouble that ended before `before` was over."""
        ends = [end for _, end, _ in self.troubles if fault_ended_at < end < before]
        return max(ends, default=fault_ended_at) - fault_ended_at


class Load:
    """All users at once. `pause_seconds`: the mean time between a user's rounds."""

    def __init__(
        self,
        users: Sequence[User],
        clients: Sequence[Client],
        *,
        parallel: int,
        pause_seconds: float,
    ) -> None:
        self.tally = Tally()
        self.users = users
        self._clients = clients
        self._parallel = parallel
        self._pause_seconds = pause_seconds
        self._stopping = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._tasks = [asyncio.create_task(self._live(user)) for user in self.users]

    async def stop(self) -> None:
        """Let the rounds under way end."""
        self._stopping.set()
        await asyncio.gather(*self._tasks)

    async def call(self, user: User) -> Answer:
        """One call, through a gateway chosen at random; tried elsewhere when there is no answer."""
        began = time.time()
        for attempt in range(TRIES):
            try:
                answer = await random.choice(self._clients).get(PATH, user.cookie)  # noqa: S311
            except Unreachable:
                self.tally.retried += 1
                await asyncio.sleep(RETRY_SECONDS * min(attempt, 5))
                continue
            self._judge(user, answer, began)
            return answer
        self.tally.statuses["unreachable"] += 1
        self.tally.troubles.append((began, time.time(), "unreachable"))
        return Answer(0, b"")

    async def _live(self, user: User) -> None:
        while not self._stopping.is_set() and user.logged_out_at is None:
            await asyncio.gather(*(self.call(user) for _ in range(self._parallel)))
            pause = self._pause_seconds * random.uniform(0.2, 1.8)  # noqa: S311
            try:
                async with asyncio.timeout(pause):
                    await self._stopping.wait()
            except TimeoutError:
                continue

    def _judge(self, user: User, answer: Answer, began: float) -> None:
        now = time.time()
        tally = self.tally
        tally.slowest_seconds = max(tally.slowest_seconds, now - began)
        kind = str(answer.status)
        if answer.status == 200:
            tally.foreign += json.loads(answer.body)["sub"] != user.sub
        else:
            document = json.loads(answer.body)
            kind += f" {document.get('code') or document.get('error')}"
            if answer.status == 401 and "code" in document and user.logged_out_at is None:
                user.logged_out_at = now
        tally.statuses[kind] += 1
        if answer.status != 200 or now - began > SLOW_SECONDS:
            tally.troubles.append((began, now, kind))
