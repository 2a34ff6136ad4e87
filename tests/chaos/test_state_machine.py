"""Refresh x logout x back-channel x touch x expiry x restart x trouble at the OP, in any order, on
two processes: no session comes back, no rotation is lost, nothing is read that is known to be
stale.

Time is a clock that only the rules move; the OP ends a grant of which a token is used twice.
"""

import asyncio
import dataclasses
import uuid
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from bff.clock import ManualClock
from bff.errors import OpError, SessionEnded
from bff.model import Session
from bff.sessions.memory import MemoryStore
from bff.sessions.redis.store import RedisStore
from bff.sessions.store import SessionStore, StoredRecord
from tests.parts.redis_server import RedisServer
from tests.parts.refreshing import POLICY, Process, a_process
from tests.parts.rotating_op import RotatingOp
from tests.parts.scripted_op import Answer
from tests.polling import until

pytestmark = pytest.mark.chaos

OpenStore = Callable[[ManualClock], SessionStore]
PROCESSES = st.integers(0, 1)
# Each with its process, and the steps of the event loop after which it comes.
STEPS = st.integers(0, 40)
CALLERS = st.lists(st.tuples(st.just(0), STEPS), min_size=1, max_size=3) | st.lists(
    st.tuples(PROCESSES, STEPS), min_size=1, max_size=6
)
LIFETIME_SECONDS = POLICY.absolute_seconds
# After a failure the OP is left alone for no longer than this.
LONGEST_BACKOFF_SECONDS = 60
ERROR = Answer({"error": "server_error"}, status=500)


@dataclasses.dataclass
class Known:
    """What the model knows of a session. `is_lost`: the OP dropped an answer after rotating."""

    name: str
    session: Session
    has_ended: bool = False
    is_lost: bool = False


class Lives(RuleBasedStateMachine):
    """Two processes on one store."""

    known: Bundle[Known] = Bundle("known")

    def __init__(self, open_store: Callable[[], OpenStore]) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._clock = ManualClock()
        self._open_store = open_store()
        self._op = RotatingOp(self._clock)
        self._processes: list[Process] = []
        self._stacks: list[AsyncExitStack] = []
        self._store: SessionStore | None = None
        self._all: list[Known] = []
        self._trouble_until = 0.0

    @initialize()
    def start(self) -> None:
        self._runner.run(self._op.start())
        for _ in range(2):
            process, stack = self._runner.run(self._open())
            self._processes.append(process)
            self._stacks.append(stack)

    def teardown(self) -> None:
        for stack in self._stacks:
            self._runner.run(stack.aclose())
        self._runner.run(self._op.close())
        self._runner.close()

    # --- what may happen

    @rule(target=known, process=PROCESSES)
    def log_in(self, process: int) -> Known:
        name = f"g{len(self._all)}"
        session = self._runner.run(self._processes[process].log_in(self._op, name))
        self._all.append(Known(name, session))
        return self._all[-1]

    @rule(known=known)
    def read(self, known: Known) -> None:
        """As a request does that needs no refresh: from the cache, or into it."""
        self._runner.run(self._read_everywhere(known))

    @rule(known=known, process=PROCESSES)
    def refresh_what_all_hold(self, known: Known, process: int) -> None:
        """The others have it in their caches and must be told."""
        self._runner.run(self._read_everywhere(known))
        self._clock.advance(61)
        self._runner.run(self._refresh_all(known, [(process, 0)]))

    @rule(known=known, callers=CALLERS)
    def refresh(self, known: Known, callers: list[tuple[int, int]]) -> None:
        self._runner.run(self._refresh_all(known, callers))

    @rule(known=consumes(known), process=PROCESSES)
    def log_out(self, known: Known, process: int) -> None:
        self._runner.run(self._processes[process].ender.end(known.session.key, "logout"))
        known.has_ended = True
        self._runner.run(self._write_late(known, 1 - process))

    @rule(known=known, process=PROCESSES)
    def write_late(self, known: Known, process: int) -> None:
        """By a caller that has read the session right after the login, and took long."""
        self._runner.run(self._write_late(known, process))

    @rule(known=consumes(known), process=PROCESSES, by_sid=st.booleans())
    def log_out_by_the_op(self, known: Known, process: int, *, by_sid: bool) -> None:
        """As a logout token does: by `sid` it ends this one, by `sub` all of them."""
        self._runner.run(self._end_found(self._processes[process], known, by_sid=by_sid))
        for other in self._all if not by_sid else [known]:
            other.has_ended = True

    @rule(known=consumes(known), refresher=PROCESSES, ender=PROCESSES, steps=st.integers(0, 12))
    def race(self, known: Known, refresher: int, ender: int, steps: int) -> None:
        """A refresh, and a logout some steps of the event loop later."""
        self._runner.run(self._race(known, refresher, ender, steps))
        known.has_ended = True

    @rule(known=known, process=PROCESSES)
    def touch(self, known: Known, process: int) -> None:
        self._runner.run(self._touch(known, process))

    @rule(seconds=st.sampled_from([1, 45, 61, 61, 61, 700]))
    def pass_time(self, seconds: int) -> None:
        self._clock.advance(seconds)

    @rule(process=PROCESSES)
    def restart(self, process: int) -> None:
        self._runner.run(self._stacks[process].aclose())
        opened = self._runner.run(self._open())
        self._processes[process], self._stacks[process] = opened

    @rule(kind=st.sampled_from(["well", "well", "error", "drop"]))
    def change_op(self, kind: str) -> None:
        self._op.refuse = ERROR if kind == "error" else None
        self._op.fault = (lambda _: Answer(drop=True)) if kind == "drop" else None

    # --- what must hold

    @invariant()
    def nothing_stale_is_read(self) -> None:
        """Once the news has arrived, which takes a moment between processes."""
        self._runner.run(until(self._are_caches_right))

    @invariant()
    def the_store_has_what_the_op_has(self) -> None:
        for known in self._all:
            found = self._runner.run(self._in_store(known))
            if known.has_ended:
                raw = self._runner.run(self._raw(known))
                assert raw is None, "a record came back"
            if not self._is_live(known):
                assert found is None, "a session came back"
            elif not known.is_lost:
                assert found is not None, "a session was lost"
                assert found.tokens.refresh_token == self._op.current[known.name]

    @invariant()
    def no_token_is_spent_twice(self) -> None:
        lost = {known.name for known in self._all if known.is_lost}
        assert {token.split(".")[1] for token in self._op.reused} <= lost

    # --- how it is done

    async def _open(self) -> tuple[Process, AsyncExitStack]:
        stack = AsyncExitStack()
        store = self._store = self._open_store(self._clock)
        return await stack.enter_async_context(a_process(store, self._op, self._clock)), stack

    def _is_live(self, known: Known) -> bool:
        age = self._clock.now() - known.session.created_at
        return not known.has_ended and age < LIFETIME_SECONDS

    def _are_caches_right(self) -> bool:
        return all(
            self._is_right(known, process.sessions.cached(known.session.key))
            for known in self._all
            for process in self._processes
        )

    def _is_right(self, known: Known, cached: Session | None) -> bool:
        if cached is None or known.is_lost:
            return True
        is_newest = cached.tokens.refresh_token == self._op.current[known.name]
        return self._is_live(known) and is_newest

    async def _in_store(self, known: Known) -> Session | None:
        """Past the caches."""
        session = known.session
        found = await self._processes[0].sessions.of_sid(session.issuer, session.sid or "")
        return found[0] if found else None

    async def _read_everywhere(self, known: Known) -> None:
        for process in self._processes:
            found = await process.sessions.load(known.session.key)
            assert known.is_lost or (found is not None) == self._is_live(known)

    async def _raw(self, known: Known) -> StoredRecord | None:
        """Past everything: also a record that no index names, or that a reader would refuse."""
        assert self._store is not None
        return await self._store.load(known.session.key)

    async def _write_late(self, known: Known, process: int) -> None:
        before = await self._raw(known)
        written = await self._processes[process].sessions.replace(known.session)
        if before is None or before.version != known.session.version:
            assert written is None, "a late write was not refused"

    async def _refresh_all(self, known: Known, callers: list[tuple[int, int]]) -> None:
        before = self._op.rotations(known.name)
        await asyncio.gather(*(self._refresh(known, *caller) for caller in callers))
        assert self._op.rotations(known.name) <= before + 1, "refreshed more than once"

    async def _refresh(self, known: Known, number: int, steps: int) -> None:
        """As the gate does: only when it is due."""
        process = self._processes[number]
        for _ in range(steps):
            await asyncio.sleep(0)
        session = await process.sessions.load(known.session.key)
        if session is None or self._clock.now() < session.tokens.expires_at:
            return
        if self._op.refuse is not None or self._op.fault is not None:
            self._trouble_until = self._clock.now() + LONGEST_BACKOFF_SECONDS
        if self._op.fault is not None and self._is_live(known):
            known.is_lost = True
        try:
            found = await process.coordinator.refreshed(session)
        except SessionEnded:
            assert known.is_lost or not self._is_live(known), "ended without need"
            known.has_ended = True
        except OpError:
            assert self._clock.now() < self._trouble_until, "an OP that is well was not asked"
        else:
            assert found.tokens.access_token.split(".")[1] == known.name

    async def _race(self, known: Known, refresher: int, ender: int, steps: int) -> None:
        process = self._processes[refresher]
        refreshing = asyncio.create_task(process.coordinator.refreshed(known.session))
        for _ in range(steps):
            await asyncio.sleep(0)
        await self._processes[ender].ender.end(known.session.key, "logout")
        with suppress(SessionEnded, OpError):
            await refreshing

    async def _end_found(self, process: Process, known: Known, *, by_sid: bool) -> None:
        sessions, session = process.sessions, known.session
        if by_sid:
            found = await sessions.of_sid(session.issuer, session.sid or "")
        else:
            found = await sessions.of_subject(session.issuer, session.sub)
        for one in found:
            await process.ender.end(one, "backchannel_logout")

    async def _touch(self, known: Known, process: int) -> None:
        sessions = self._processes[process].sessions
        session = await sessions.load(known.session.key)
        if session is not None:
            sessions.touch(session)


def explore(open_store: Callable[[], OpenStore], *, examples: int) -> None:
    """`open_store()` is called once an example, and its result once a process."""
    run_state_machine_as_test(
        lambda: Lives(open_store),  # type: ignore[arg-type]  # any way of making one will do
        settings=settings(
            max_examples=examples,
            stateful_step_count=25,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.rule("TK-07")
def test_lives_of_sessions_in_memory() -> None:
    def one_store_for_all() -> OpenStore:
        made: list[MemoryStore] = []

        def open_store(clock: ManualClock) -> SessionStore:
            made.append(made[0] if made else MemoryStore(clock))
            return made[0]

        return open_store

    explore(one_store_for_all, examples=25)


@pytest.mark.rule("TK-07")
def test_lives_of_sessions_in_redis(redis_server: RedisServer) -> None:
    def one_namespace_for_all() -> OpenStore:
        namespace = uuid.uuid4().hex
        return lambda clock: RedisStore(redis_server.url, clock, namespace=namespace)

    explore(one_namespace_for_all, examples=25)
