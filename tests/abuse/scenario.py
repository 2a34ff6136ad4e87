"""What a scenario is, and how one is run: look, do harm, look again, judge."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from tests.abuse.honest import HonestUser, Visits
from tests.abuse.measures import MIB, Course, Held, StoreWatch
from tests.abuse.site import Site
from tests.polling import until

SETTLE_SECONDS = 30.0
HONEST = 1  # connections that are no fault


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is done. `connections` stay below `max_connections`; `readers` are those of them for
    whom much is held."""

    connections: int
    readers: int
    max_connections: int
    logins: int
    repeats: int
    patience_seconds: int


SHORT = Scale(
    connections=150, readers=30, max_connections=200, logins=1_000, repeats=1, patience_seconds=5
)
LONG = Scale(
    connections=5_000,
    readers=500,
    max_connections=6_000,
    logins=100_000,
    repeats=10,
    patience_seconds=5,
)


@dataclass(slots=True)
class Outcome:
    """`sent` in words; `answers` by status or end; `broken` are the rules that were. `memory` where
    another gateway than the honest user's was abused."""

    sent: str
    answers: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    memory: Course | None = None

    def require(self, holds: object, rule: str) -> None:
        """Note a rule that does not hold."""
        if not holds:
            self.broken.append(rule)

    def require_only(self, *allowed: str) -> None:
        """No answers but these."""
        strange = {answer: count for answer, count in self.answers.items() if answer not in allowed}
        self.require(not strange, f"answered {strange}")


@dataclass(frozen=True, slots=True)
class Scenario:
    """`most_mib`: how much the gateway may grow at this scale. `fresh`: the honest user makes a new
    connection for each call."""

    name: str
    abuse: Callable[[Site, Scale], Awaitable[Outcome]]
    most_mib: Callable[[Scale], float]
    fresh: bool = True


@dataclass(frozen=True, slots=True)
class Row:
    """What one scenario has shown."""

    scenario: str
    outcome: Outcome
    memory: Course
    keys: Course
    store: Course
    visits: Visits

    @property
    def broken(self) -> list[str]:
        return self.outcome.broken


async def run(scenario: Scenario, site: Site, scale: Scale) -> Row:
    """The site is left as it was found, but for what the store keeps for a while."""
    process = site.process
    await rested(site)
    process.forget_peak()
    watch = StoreWatch(site.store)
    before, held = process.rss_bytes(), watch.most
    user = HonestUser(
        site.port,
        site.host,
        site.cookie,
        fresh=scenario.fresh,
        patience_seconds=scale.patience_seconds,
    )
    watching, visiting = site.aside.begin(watch.run()), site.aside.begin(user.run())
    try:
        await until(lambda: user.visits.answered > 0)
        outcome = await scenario.abuse(site, scale)
        await rested(site)
    except TimeoutError as error:
        outcome = Outcome("see what is broken", broken=[f"never ended: {error}"])
    finally:
        user.stop()
        visits = await asyncio.wrap_future(visiting)
        watching.cancel()
    memory = outcome.memory or Course(before, process.peak_bytes(), process.rss_bytes())
    return _judged(scenario, scale, outcome, memory, (held, watch.most, watch.look()), visits)


async def rested(site: Site, *, seconds: float = SETTLE_SECONDS) -> None:
    """Until the gateway holds no connection but the honest user's.

    Raises:
        TimeoutError: it holds on to some.
    """
    process = site.process
    try:
        await until(lambda: process.connections(site.port) <= HONEST, seconds=seconds, every=0.02)
    except TimeoutError:
        held = process.connections(site.port)
        raise TimeoutError(f"{held} connections are held for {seconds:g} s") from None


def _judged(
    scenario: Scenario,
    scale: Scale,
    outcome: Outcome,
    memory: Course,
    held: tuple[Held, Held, Held],
    visits: Visits,
) -> Row:
    most = scenario.most_mib(scale)
    grown = memory.grown / MIB
    outcome.require(grown <= most, f"grew by {grown:.1f} MiB, {most:.1f} are allowed")
    outcome.require(not visits.refused, f"an honest user was refused: {dict(visits.refused)}")
    outcome.require(visits.answered > visits.late, f"an honest user was late {visits.late} times")
    first, most_held, last = held
    return Row(
        scenario.name,
        outcome,
        memory,
        Course(first.keys, most_held.keys, last.keys),
        Course(first.used_bytes, most_held.used_bytes, last.used_bytes),
        visits,
    )


def per_connection(kib: float, spare_mib: float = 6.0) -> Callable[[Scale], float]:
    """A bound that grows with the connections."""
    return lambda scale: scale.connections * kib / 1024 + spare_mib


def per_reader(kib: float, spare_mib: float = 6.0) -> Callable[[Scale], float]:
    """One that grows with clients that take nothing."""
    return lambda scale: scale.readers * kib / 1024 + spare_mib


def at_most(mib: float) -> Callable[[Scale], float]:
    """A bound that does not grow with what is sent."""
    return lambda _: mib
