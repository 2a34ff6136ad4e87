"""The audit log of a process: its sinks, as `audit.sinks` names them."""

from collections.abc import Iterator

from bff.admin.reloads import ReloadOutcome
from bff.audit.audit import Audit, KeptOfRequests
from bff.audit.destinations import (
    FileDestination,
    StdoutDestination,
    StreamDestination,
    SyslogDestination,
)
from bff.audit.event import Actor, Event, EventName
from bff.audit.sinks import Sink
from bff.audit.sinks.files import FileSink
from bff.audit.sinks.redis_stream import RedisStreamSink
from bff.audit.sinks.syslog import SyslogSink
from bff.audit.sinks.webhook import WebhookSink
from bff.clock import Clock
from bff.config.sections.operations import AuditSettings
from bff.config.settings import Settings
from bff.errors import ReloadRefused
from bff.observability.metrics import Metrics
from bff.sessions.redis.store import RedisStore
from bff.sessions.store import SessionStore

MOST_KEYS = 100  # in one record: it has to fit a datagram to a syslog server


def audit_of(settings: Settings, store: SessionStore, clock: Clock, metrics: Metrics) -> Audit:
    """Nothing is opened yet. A Redis stream is written over the connections of `store`."""
    kept = KeptOfRequests(settings.audit.address, settings.audit.user_agent)
    return Audit(list(_sinks(settings.audit, store)), metrics, clock, kept)


def _sinks(settings: AuditSettings, store: SessionStore) -> Iterator[Sink]:
    for one in settings.sinks:
        if isinstance(one, StdoutDestination):
            yield FileSink(None)
        elif isinstance(one, FileDestination):
            yield FileSink(one.path)
        elif isinstance(one, SyslogDestination):
            yield SyslogSink(path=one.path, host=one.host, port=one.port)
        elif isinstance(one, StreamDestination):
            if not isinstance(store, RedisStore):
                raise AssertionError("the configuration's rules want a Redis store for it")
            yield RedisStreamSink(store.append, one.name)
        else:
            token = settings.webhook_token
            yield WebhookSink(one.url, "" if token is None else token.get_secret_value())


def reload_event(outcome: ReloadOutcome) -> Event:
    """What the audit log is told of a reload: the keys that have changed, or that there are
    problems, which the log names."""
    if outcome.problems:
        return Event(EventName.SETTINGS_REFUSED, Actor.ADMIN, ReloadRefused.code, frontend="")
    changed = outcome.changed
    more = len(changed) - MOST_KEYS
    if more > 0:
        changed = (*changed[:MOST_KEYS], f"{more} more")
    return Event(EventName.SETTINGS_RELOADED, Actor.ADMIN, frontend="", settings=changed)
