"""Holding a lease for as long as a refresh takes, and waiting while another process holds it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator

import structlog

from bff.errors import StoreUnavailable
from bff.model import public_id
from bff.sessions.store import Lease, LeaseStore
from bff.tasks import BackgroundTask

log = structlog.get_logger("bff.tokens")

RENEWALS_IN_A_LIFE = 10


def renewal_seconds(ttl_seconds: float) -> float:
    """Between two renewals of a lease, and between two looks at that of another process."""
    return ttl_seconds / RENEWALS_IN_A_LIFE


@contextlib.asynccontextmanager
async def held(
    leases: LeaseStore, lease: Lease, ttl_seconds: float, on_doubt: Callable[[], object]
) -> AsyncIterator[None]:
    """Renew `lease` while the body runs, then give it back. `on_doubt` is called whenever it may
    lapse, or has, while the body goes on.

    A lease that is lost all the same does not stop the body: what it is about to learn from the
    OP exists nowhere else, and the version check of the write decides which process wins.
    """
    renewing = BackgroundTask(lambda: _renew(leases, lease, ttl_seconds, on_doubt))
    renewing.start()
    try:
        yield
    finally:
        await renewing.close()
        with contextlib.suppress(StoreUnavailable):  # it lapses by itself
            await leases.release_lease(lease)


async def _renew(
    leases: LeaseStore, lease: Lease, ttl_seconds: float, on_doubt: Callable[[], object]
) -> None:
    is_held = True
    while is_held:
        await asyncio.sleep(renewal_seconds(ttl_seconds))
        try:
            is_held = await leases.renew_lease(lease, ttl_seconds=ttl_seconds)
        except StoreUnavailable:
            on_doubt()
        except Exception:  # the next renewal may well succeed
            log.exception("refresh_lease_not_renewed", session=public_id(lease.name))
            on_doubt()
    log.warning("refresh_lease_lost")
    on_doubt()


class Waiter:
    """One refresh that waits."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def wake(self) -> None:
        self._event.set()

    async def wait(self, seconds: float) -> None:
        """Return when woken, or after `seconds`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._event.wait()


class ChangeWaiters:
    """Refreshes that wait for news of a session. Armed before asking, so that no news is missed."""

    def __init__(self) -> None:
        self._armed: dict[str, set[Waiter]] = {}

    @contextlib.contextmanager
    def armed(self, key: str) -> Iterator[Waiter]:
        waiter = Waiter()
        waiting = self._armed.setdefault(key, set())
        waiting.add(waiter)
        try:
            yield waiter
        finally:
            waiting.discard(waiter)
            if not waiting:
                self._armed.pop(key, None)

    def __len__(self) -> int:
        """For how many sessions there are waiters."""
        return len(self._armed)

    def wake(self, key: str) -> None:
        for waiter in self._armed.get(key, ()):
            waiter.wake()

    def wake_all(self) -> None:
        for key in tuple(self._armed):
            self.wake(key)
