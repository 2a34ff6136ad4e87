"""Prometheus metrics. Labels come from closed sets: no user, path, host or id is ever one."""

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from bff.observability.request_figures import RequestFigures
from bff.observability.sampled_figures import SampledFigures

# The library reads it when it is imported: so it must be in the environment of a new process.
SHARED_DIRECTORY_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"

# For requests to an OP, which may take up to the `timeout` of its provider.
OP_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
# A user types a password meanwhile, or has a session there already.
LOGIN_BUCKETS = (0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600)
STORE_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)

NO_PROVIDER = "none"
SAME_PROCESS, OTHER_PROCESS = "same_process", "other_process"


class Metrics:
    """One registry per gateway process.

    `shared_directory` is where several workers keep their numbers, so that any of them can tell
    those of all; it is also named by `SHARED_DIRECTORY_VARIABLE`. A gauge must say by its
    `multiprocess_mode` how the values of workers that live become one.
    """

    def __init__(self, shared_directory: Path | None = None) -> None:
        self._shared_directory = shared_directory
        self._sample: Callable[[], None] = lambda: None
        self.registry = CollectorRegistry()
        self.requests = RequestFigures(self.registry)
        self.sampled = SampledFigures(self.registry)
        self._answers = Counter(
            "bff_answers_total",
            "Answers by kind (forward, local, auth, refused), status, problem code and frontend",
            ["kind", "status", "code", "frontend"],
            registry=self.registry,
        )
        self._answered: defaultdict[tuple[str, int, str, str], int] = defaultdict(int)
        self._logins_started = Counter(
            "bff_logins_started_total",
            "Logins that were sent to the OP, by frontend and provider",
            ["frontend", "provider"],
            registry=self.registry,
        )
        self._logins = Counter(
            "bff_logins_total",
            "Finished logins by outcome, frontend and provider",
            ["outcome", "frontend", "provider"],
            registry=self.registry,
        )
        self._login_seconds = Histogram(
            "bff_login_duration_seconds",
            "From the redirect to the OP to the session, of logins that went well",
            buckets=LOGIN_BUCKETS,
            registry=self.registry,
        )
        self._created = Counter(
            "bff_sessions_created_total",
            "Sessions by frontend and provider",
            ["frontend", "provider"],
            registry=self.registry,
        )
        self._op_requests = Counter(
            "bff_op_requests_total",
            "Requests to an OP by provider, endpoint and outcome (answered, or an error code)",
            ["provider", "endpoint", "outcome"],
            registry=self.registry,
        )
        self._op_request_seconds = Histogram(
            "bff_op_request_duration_seconds",
            "From a request to an OP to the end of its answer, or to the failure",
            ["endpoint"],
            buckets=OP_BUCKETS,
            registry=self.registry,
        )
        self._refreshes = Counter(
            "bff_refreshes_total",
            "Refreshes by outcome and provider",
            ["outcome", "provider"],
            registry=self.registry,
        )
        self._refresh_seconds = Histogram(
            "bff_refresh_duration_seconds",
            "From asking the OP to the stored answer",
            buckets=OP_BUCKETS,
            registry=self.registry,
        )
        self._refresh_wait_seconds = Histogram(
            "bff_refresh_wait_seconds",
            "How long refreshes waited that had to, for another process or after store trouble",
            buckets=OP_BUCKETS,
            registry=self.registry,
        )
        self._refreshes_avoided = Counter(
            "bff_refreshes_avoided_total",
            "Refreshes that were not sent, for another one served (of same_process, other_process)",
            ["by"],
            registry=self.registry,
        )
        self._ended = Counter(
            "bff_sessions_ended_total",
            "Ended sessions by reason",
            ["reason"],
            registry=self.registry,
        )
        self._revocations_failed = Counter(
            "bff_revocations_failed_total", "Tokens the OP did not revoke", registry=self.registry
        )
        self._op_logouts = Counter(
            "bff_op_logouts_total",
            "Logouts the OP told of, by channel and outcome (ended, no_session, or an error code)",
            ["channel", "outcome"],
            registry=self.registry,
        )
        self._rate_limited = Counter(
            "bff_rate_limited_total",
            "Requests refused because there were too many of their kind",
            ["kind"],
            registry=self.registry,
        )
        self._audit_lost = Counter(
            "bff_audit_events_lost_total",
            "Audit events that a sink's queue had no room for",
            ["sink"],
            registry=self.registry,
        )
        self._store_requests = Counter(
            "bff_store_requests_total",
            "Requests to the store by operation and outcome (answered, failed)",
            ["operation", "outcome"],
            registry=self.registry,
        )
        self._store_request_seconds = Histogram(
            "bff_store_request_duration_seconds",
            "From a request to the store, waiting for a connection included, to its answer or end",
            ["operation"],
            buckets=STORE_BUCKETS,
            registry=self.registry,
        )
        self._store_reconnects = Counter(
            "bff_store_reconnects_total",
            "How often the changes of other processes were followed again after a break",
            registry=self.registry,
        )
        self._was_watching = self._is_watching = False
        self._store_up = Gauge(
            "bff_store_watching",
            "1 while changes made by other processes are being followed, by every worker",
            multiprocess_mode="livemin",
            registry=self.registry,
        )
        self._worker_restarts = Counter(
            "bff_worker_restarts_total",
            "Workers started in place of one that died",
            registry=self.registry,
        )

    def answered(self, kind: str, status: int, code: str = "none", *, frontend: str) -> None:
        """`frontend` is empty for a request that has come for none."""
        self._answered[kind, status, code, frontend] += 1

    def login_started(self, frontend: str, provider: str) -> None:
        self._logins_started.labels(frontend, provider).inc()

    def login(
        self, outcome: str, frontend: str, provider: str, *, seconds: float | None = None
    ) -> None:
        """`provider` is one of the configuration's, or `NO_PROVIDER`: no text of a request."""
        self._logins.labels(outcome, frontend, provider).inc()
        if seconds is not None:
            self._login_seconds.observe(_passed(seconds))

    def session_created(self, frontend: str, provider: str) -> None:
        self._created.labels(frontend, provider).inc()

    def asked_op(self, provider: str, endpoint: str, outcome: str, seconds: float) -> None:
        """`outcome`: `answered`, or an error's code."""
        self._op_requests.labels(provider, endpoint, outcome).inc()
        self._op_request_seconds.labels(endpoint).observe(_passed(seconds))

    def refreshed(self, outcome: str, provider: str, *, seconds: float | None = None) -> None:
        self._refreshes.labels(outcome, provider).inc()
        if seconds is not None:
            self._refresh_seconds.observe(_passed(seconds))

    def refresh_waited(self, seconds: float) -> None:
        self._refresh_wait_seconds.observe(seconds)

    def refresh_avoided(self, by: str) -> None:
        """`by`: `SAME_PROCESS` or `OTHER_PROCESS`."""
        self._refreshes_avoided.labels(by).inc()

    def session_ended(self, reason: str) -> None:
        self._ended.labels(reason).inc()

    def revocation_failed(self) -> None:
        self._revocations_failed.inc()

    def op_logout(self, channel: str, outcome: str) -> None:
        self._op_logouts.labels(channel, outcome).inc()

    def rate_limited(self, kind: str) -> None:
        self._rate_limited.labels(kind).inc()

    def audit_lost(self, sink: str, count: int) -> None:
        self._audit_lost.labels(sink).inc(count)

    def asked_store(self, operation: str, is_answered: bool, seconds: float) -> None:
        outcome = "answered" if is_answered else "failed"
        self._store_requests.labels(operation, outcome).inc()
        self._store_request_seconds.labels(operation).observe(seconds)

    def store_watching(self, watching: bool) -> None:
        if watching and self._was_watching and not self._is_watching:
            self._store_reconnects.inc()
        self._is_watching = watching
        self._was_watching |= watching
        self._store_up.set(1 if watching else 0)

    def worker_restarted(self) -> None:
        self._worker_restarts.inc()

    def sample_with(self, sample: Callable[[], None]) -> None:
        """`sample` tells `sampled` what there is, whenever it is called."""
        self._sample = sample

    @property
    def is_shared(self) -> bool:
        """Whether other workers show the figures of this one, which must `refresh` them for that
        every now and then."""
        return self._shared_directory is not None

    def refresh(self) -> None:
        """Hand over what was added to plain numbers, and what there is now."""
        self._sample()
        self.sampled.read_process()
        self.requests.flush()
        answered, self._answered = self._answered, defaultdict(int)
        for (kind, status, code, frontend), count in answered.items():
            self._answers.labels(kind, str(status), code, frontend or "none").inc(count)

    def exposition(self) -> bytes:
        """The text format Prometheus scrapes: of this process, or of all workers."""
        self.refresh()
        if self._shared_directory is None:
            return generate_latest(self.registry)
        of_all = CollectorRegistry()
        MultiProcessCollector(of_all, str(self._shared_directory))  # type: ignore[no-untyped-call]
        return generate_latest(of_all)


def forget_worker(shared_directory: Path, pid: int) -> None:
    """Keep the counters of a worker that has ended, and drop its gauges."""
    mark_process_dead(pid, str(shared_directory))  # type: ignore[no-untyped-call]


def _passed(seconds: float) -> float:
    """A duration by a clock that may have been set back meanwhile."""
    return max(0.0, seconds)
