"""Sessions as the rest of the gateway sees them: opened, live, cached, ended exactly once.

Owns the rules between a cookie's key and a sealed record: what has expired by our clock is no
session, a write is compare-and-set and never brings back what a logout deleted, a touch never
writes tokens.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from bff.clock import Clock
from bff.model import DEFAULT_FRONTEND, DEFAULT_PROVIDER, NO_CLAIMS, Session, Tokens
from bff.sessions.cache import SessionCache, StaleSessions
from bff.sessions.expiry import ExpiryWatch, Touches
from bff.sessions.messages import Heartbeat
from bff.sessions.news import Observer, SessionNews
from bff.sessions.reader import Lookups, SessionReader
from bff.sessions.sealing.keyring import Keyring
from bff.sessions.sealing.records import SealedSessions
from bff.sessions.store import LeaseStore, NewRecord, SessionStore

TOUCH_EVERY_AT_MOST_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class SessionPolicy:
    """How long sessions live, and how many of them are kept in memory for how long.

    `stale_seconds`: while the store is down, a session read at most that long ago goes on.
    `of_frontends`: those whose sessions live for another time; what is kept in memory is one for
    all. Activity is written when it moves the idle expiry by at least `touch_every_seconds`.
    """

    idle_seconds: float
    absolute_seconds: float
    cache_entries: int = 10_000
    cache_seconds: float = 5.0
    stale_seconds: float = 0.0
    of_frontends: Mapping[str, "SessionPolicy"] = field(default_factory=dict)
    touch_every_seconds: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        every = min(TOUCH_EVERY_AT_MOST_SECONDS, self.idle_seconds / 20)
        object.__setattr__(self, "touch_every_seconds", every)  # the class is frozen

    def of(self, frontend: str) -> "SessionPolicy":
        """How long the sessions of a frontend live."""
        return self.of_frontends.get(frontend, self)


class Sessions:
    """One per process; opens and closes the store it is given."""

    def __init__(
        self, store: SessionStore, keyring: Keyring, clock: Clock, policy: SessionPolicy
    ) -> None:
        self._store = store
        self._clock = clock
        self._policy = policy
        self._records = SealedSessions(keyring)
        self._news = SessionNews()
        cache = SessionCache(entries=policy.cache_entries, seconds=policy.cache_seconds)
        stale = StaleSessions(clock, seconds=policy.stale_seconds, entries=policy.cache_entries)
        self._reader = SessionReader(store, self._records, clock, cache, self._news, stale)
        self._touches = Touches(store, clock, self._reader.forget)
        self._expiry = ExpiryWatch(store, clock, self._news.expired)
        self.observe(
            on_ended=lambda key, _: self._expiry.forget(key),
            on_watch=lambda watching: None if watching else self._expiry.forget_all(),
        )
        store.watch(self._reader)

    async def start(self) -> None:
        """Open the store. Does not fail when it is down."""
        self._touches.start()
        self._expiry.start()
        await self._store.start()

    async def close(self) -> None:
        await self._reader.close()
        await self._expiry.close()
        await self._touches.close()
        await self._store.close()

    async def ping(self) -> None:
        """Raises `StoreUnavailable` unless the store answers."""
        await self._store.ping()

    @property
    def leases(self) -> LeaseStore:
        """For refreshes, one at a time."""
        return self._store

    @property
    def watching(self) -> bool:
        """Changes made by other processes are being followed, so the cache is in use."""
        return self._reader.watching

    @property
    def lookups(self) -> Lookups:
        """How often sessions have been asked for."""
        return self._reader.lookups

    def observe(
        self,
        *,
        on_changed: Callable[[str], None] | None = None,
        on_ended: Callable[[str, str], None] | None = None,
        on_expired: Callable[[str, str], None] | None = None,
        on_watch: Callable[[bool], None] | None = None,
        on_heartbeat: Callable[[Heartbeat], None] | None = None,
        on_proven: Callable[[], None] | None = None,
    ) -> Callable[[], None]:
        """Hear of writes by any process; returns the way to stop. None of these may block.

        `on_changed(key)`: the record was written or its lease released. `on_ended(key, reason)`:
        once. `on_expired(key, reason)`: it has ended by itself; told by one of the processes only
        and a little late (see `ExpiryWatch`). `on_watch(watching)`: on True, what happened before
        may have been missed, so a part that keeps a stream open for a session should load it again.
        `on_heartbeat(heartbeat)`: of another process. `on_proven()`: a heartbeat of ours has come
        back, so that all changes made before it was sent have been told.
        """
        return self._news.add(
            Observer(on_changed, on_ended, on_expired, on_watch, on_heartbeat, on_proven)
        )

    def say_saved(self, *, saved: bool) -> None:
        """Tell the other processes whether we hold what the store may lack (`Heartbeat.saved`)."""
        self._store.say_saved(saved=saved)

    def end_reason(self, key: str) -> str | None:
        """Why a session has ended, if that was heard of lately; None for one that expired."""
        return self._news.end_reason(key)

    def last_seen_at(self, session: Session) -> float:
        """When a session was last used."""
        idle_seconds = self._policy.of(session.frontend).idle_seconds
        return session.last_seen_at(self._clock.now(), idle_seconds=idle_seconds)

    # --- reading

    def cached(self, key: str) -> Session | None:
        """A live session, if memory can vouch for it."""
        return self._reader.cached(key)

    async def load(self, key: str) -> Session | None:
        """A live session, from memory or the store; concurrent callers share one read.

        Raises:
            StoreUnavailable: nothing is known of the session.
        """
        return await self._reader.load(key)

    async def load_fresh(self, key: str) -> Session | None:
        """A live session as the store has it now.

        Raises:
            StoreUnavailable: nothing is known of the session.
        """
        return await self._reader.load_fresh(key)

    # Of one provider, or of all: at another client of the same OP the user is the same one.

    async def of_subject(
        self, issuer: str, sub: str, *, provider: str | None = None, frontend: str | None = None
    ) -> list[Session]:
        """The live sessions of a user, oldest first; those of one frontend, or of all. Raises
        `StoreUnavailable`."""
        found = await self._load_all(await self.keys_of_subject(issuer, sub, provider=provider))
        of_user = [s for s in found if (s.issuer, s.sub) == (issuer, sub)]
        return [s for s in of_user if frontend is None or s.frontend == frontend]

    async def of_sid(self, issuer: str, sid: str, *, provider: str | None = None) -> list[Session]:
        """The live sessions of one session at the OP, oldest first. Raises `StoreUnavailable`."""
        found = await self._load_all(await self.keys_of_sid(issuer, sid, provider=provider))
        return [s for s in found if (s.issuer, s.sid) == (issuer, sid)]

    async def keys_of_subject(
        self, issuer: str, sub: str, *, provider: str | None = None
    ) -> tuple[str, ...]:
        """Where to look for a user's sessions; some may be gone or foreign. Raises
        `StoreUnavailable`."""
        return await self._members(self._records.subject_indexes(issuer, sub, provider))

    async def keys_of_sid(
        self, issuer: str, sid: str, *, provider: str | None = None
    ) -> tuple[str, ...]:
        """Where to look for those of one session at the OP; some may be gone or foreign. Raises
        `StoreUnavailable`."""
        return await self._members(self._records.sid_indexes(issuer, sid, provider))

    async def foreign_among(self, keys: Iterable[str]) -> int:
        """How many of these are records of others: of another gateway, made for another client, or
        sealed with a secret that is not listed. Raises `StoreUnavailable`."""
        stored = [await self._store.load(key) for key in keys]
        return sum(record is not None and self._records.is_foreign(record) for record in stored)

    # --- writing

    async def create(
        self,
        key: str,
        *,
        issuer: str,
        sub: str,
        sid: str | None,
        tokens: Tokens,
        claims: Mapping[str, object] = NO_CLAIMS,
        acr: str | None = None,
        auth_time: int | None = None,
        client: str = "",
        address: str = "",
        organization: str | None = None,
        resources: tuple[str, ...] = (),
        asked_details: str = "",
        provider: str = DEFAULT_PROVIDER,
        frontend: str = DEFAULT_FRONTEND,
    ) -> Session:
        """Keep a new session under `key`, which must come from a newly issued cookie.

        Raises:
            StoreUnavailable: it may or may not exist; its cookie must not be sent.
        """
        now = self._clock.now()
        policy = self._policy.of(frontend)
        expires_at = _expires_at(now, tokens, policy)
        session = Session(
            key=key,
            version=1,
            issuer=issuer,
            sub=sub,
            sid=sid,
            created_at=now,
            expires_at=expires_at,
            idle_expires_at=min(now + policy.idle_seconds, expires_at),
            tokens=tokens,
            claims=MappingProxyType(dict(claims)),
            acr=acr,
            auth_time=auth_time,
            client=client,
            address=address,
            organization=organization,
            resources=resources,
            asked_details=asked_details,
            provider=provider,
            frontend=frontend,
        )
        record = self._new_record(session, policy)
        with self._reader.writing(key) as write:
            await self._store.create(key, record)
            write.outcome = session
        self._expect(session)
        return session

    def _new_record(self, session: Session, policy: SessionPolicy) -> NewRecord:
        return NewRecord(
            self._records.seal(session),
            idle_seconds=policy.idle_seconds,
            # The hard limit: `session.expires_at` may yet follow the refresh token's up to it.
            expires_at=session.created_at + policy.absolute_seconds,
            indexes=self._records.indexes_of(session),
        )

    async def replace(self, session: Session) -> Session | None:
        """Write `session` over the version it was read at; returned as it now is.

        None when a logout or another writer won. `expires_at` follows the refresh token's own,
        never past the absolute limit.

        Raises:
            StoreUnavailable: it may or may not have been written; load it to see.
        """
        policy = self._policy.of(session.frontend)
        written = replace(
            session,
            version=session.version + 1,
            expires_at=_expires_at(session.created_at, session.tokens, policy),
        )
        sealed = self._records.seal(written)
        with self._reader.writing(session.key) as write:
            if await self._store.replace(session.key, sealed, expected_version=session.version):
                write.outcome = written
                self._expect(written)
        if write.outcome is not None and not self.watching:
            self._news.changed(session.key)  # its echo from the store may never come
        return write.outcome

    def touch(self, session: Session) -> None:
        """Activity: moves the idle expiry in memory at once, in the store soon. Never raises."""
        now = self._clock.now()
        policy = self._policy.of(session.frontend)
        idle_expires_at = min(now + policy.idle_seconds, session.expires_at)
        if idle_expires_at - session.idle_expires_at >= policy.touch_every_seconds:
            self._reader.move_idle(session.key, idle_expires_at)
            self._touches.add(session.key, now + policy.idle_seconds)
            self._expiry.expect(
                session.key, idle_expires_at=idle_expires_at, expires_at=session.expires_at
            )

    async def end(
        self, session_or_key: Session | str, reason: str, *, only_version: int | None = None
    ) -> Session | None:
        """Delete a session. It is returned, as it last was, to exactly one of several callers. A
        record that is foreign is left alone.

        With `only_version` it is left alone, and None returned, when it has been written since.

        Raises:
            StoreUnavailable: it may still exist.
        """
        known: Session | None
        if isinstance(session_or_key, Session):
            key, known = session_or_key.key, session_or_key
        else:
            key = session_or_key
            stored = await self._store.load(key)
            if stored is not None and self._records.is_foreign(stored):
                return None
            known = self._records.open(key, stored)
        indexes = self._records.indexes_of(known) if known is not None else ()
        try:
            deleted = await self._store.delete(
                key, reason=reason, indexes=indexes, expected_version=only_version
            )
        finally:
            self._reader.forget(key)
        if deleted is None:
            return None
        self._news.ended(key, reason)
        return self._records.open(key, deleted)

    def _expect(self, session: Session) -> None:
        self._expiry.expect(
            session.key, idle_expires_at=session.idle_expires_at, expires_at=session.expires_at
        )

    async def _members(self, indexes: Iterable[str]) -> tuple[str, ...]:
        return tuple([key for index in indexes for key in await self._store.members(index)])

    async def _load_all(self, keys: Iterable[str]) -> list[Session]:
        loaded = [await self._reader.load_aside(key) for key in keys]
        return sorted((s for s in loaded if s is not None), key=lambda s: s.created_at)


def _expires_at(created_at: float, tokens: Tokens, policy: SessionPolicy) -> float:
    limit = created_at + policy.absolute_seconds
    return limit if tokens.refresh_expires_at is None else min(limit, tokens.refresh_expires_at)
