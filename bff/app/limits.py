"""The limits of a gateway, all on the buckets of its own client."""

from dataclasses import dataclass
from typing import Self

from bff.audit.audit import Audit
from bff.clock import Clock
from bff.config.settings import Settings
from bff.limits.calls import CallLimit
from bff.limits.limiter import Limiter, Rate
from bff.observability.metrics import Metrics
from bff.sessions.sealing.keyring import RecordOwner
from bff.sessions.store import SessionStore


class OwnBuckets:
    """The buckets of one client: gateways of others on the same store count by themselves. The
    store sees a digest of each name, not the address or session that is in it."""

    def __init__(self, store: SessionStore, owner: RecordOwner) -> None:
        self._store = store
        self._owner = owner

    async def fill(
        self, key: str, *, seconds: float, size_seconds: float, to_the_brim: bool = False
    ) -> float:
        return await self._store.fill(
            self._owner.name_for_client("bucket", key),
            seconds=seconds,
            size_seconds=size_seconds,
            to_the_brim=to_the_brim,
        )


@dataclass(frozen=True, slots=True)
class Limits:
    """The first three count by client address, the others by session. `calls` None: no limit."""

    logins: Limiter
    failed_callbacks: Limiter
    failed_logout_tokens: Limiter
    refreshes: Limiter
    calls: CallLimit | None

    @classmethod
    def build(
        cls,
        settings: Settings,
        store: SessionStore,
        owner: RecordOwner,
        clock: Clock,
        metrics: Metrics,
        audit: Audit,
    ) -> Self:
        """Nothing is opened: they work on the store's connections."""
        limits = settings.limits
        buckets = OwnBuckets(store, owner)
        strict = limits.when_store_down == "refuse"

        def limiter(kind: str, rate: Rate | None, *, by_session: bool = False) -> Limiter:
            return Limiter(
                kind,
                rate,
                buckets,
                clock,
                metrics,
                audit,
                strict=strict,
                by_session=by_session,
            )

        return cls(
            logins=limiter("login", limits.logins),
            failed_callbacks=limiter("failed_callback", limits.failed_callbacks),
            failed_logout_tokens=limiter("failed_logout_token", limits.failed_logout_tokens),
            refreshes=limiter("refresh", limits.refreshes, by_session=True),
            calls=(
                CallLimit(limits.api_calls, buckets, clock, metrics, audit)
                if limits.api_calls is not None
                else None
            ),
        )

    def start(self) -> None:
        if self.calls is not None:
            self.calls.start()

    async def close(self) -> None:
        if self.calls is not None:
            await self.calls.close()
