"""The rules of the gateway itself: listeners, cookie, sessions, user document, pages, audit log."""

from collections.abc import Iterator
from dataclasses import dataclass

from bff.audit.destinations import StreamDestination, WebhookDestination
from bff.config.problems import Fault, dotted
from bff.config.rules.rulebook import rule
from bff.config.settings import LISTENERS, Settings
from bff.config.values.paths import is_within


@rule("session.store", "server.workers")
def memory_has_one_worker(settings: Settings) -> Iterator[Fault]:
    if settings.session.is_in_memory and settings.server.workers > 1:
        yield Fault(
            ("server", "workers"),
            "must be 1 with session.store = memory://, which keeps sessions inside one process; "
            "for more set a redis:// store",
        )


@rule("session.store", "server.reload_on_change")
def reloads_keep_sessions(settings: Settings) -> Iterator[Fault]:
    if settings.session.is_in_memory and settings.server.reload_on_change:
        yield Fault(
            ("server", "reload_on_change"),
            "needs a redis:// session.store: a reload would lose sessions that are in memory",
        )


@dataclass(frozen=True, slots=True)
class SeparateListener:
    """A rule: the address of the listener `name` must be none of those of `others`; `why` ends the
    sentence."""

    name: str
    others: tuple[str, ...]
    why: str = ""

    def __call__(self, settings: Settings) -> Iterator[Fault]:
        address = settings.listener_at(self.name)
        others = [settings.listener_at(other) for other in self.others]
        # With port 0 each listener gets a free port of its own.
        if address is not None and address in others and not address.endswith(":0"):
            *first, last = (dotted(LISTENERS[other]) for other in self.others)
            named = f"{', '.join(first)} and {last}" if first else last
            yield Fault(LISTENERS[self.name], f"must differ from {named}{self.why}")


for listener in (
    SeparateListener("admin", ("public",), ": never public"),
    SeparateListener("auth", ("public", "admin"), ": its answers hold tokens"),
    SeparateListener("health", ("public", "admin", "auth")),
    SeparateListener("metrics", ("public", "admin", "auth", "health")),
):
    rule(*(dotted(LISTENERS[name]) for name in (listener.name, *listener.others)))(listener)


@rule("server.auth_listen", "server.trusted_proxies")
def auth_listener_has_a_proxy(settings: Settings) -> Iterator[Fault]:
    auth = settings.server.auth_listen
    if auth is None or auth.startswith("unix:") or settings.server.trusted_proxies:
        return
    yield Fault(
        ("server", "trusted_proxies"),
        "must name the proxy that asks at server.auth_listen: nothing else gets an answer there",
    )


@rule("session.idle_timeout", "session.absolute_timeout")
def idle_within_absolute(settings: Settings) -> Iterator[Fault]:
    if settings.session.idle_timeout > settings.session.absolute_timeout:
        yield Fault(("session", "idle_timeout"), "must not be longer than session.absolute_timeout")


@rule("user.claims", "user.access_token_claims")
def a_claim_has_one_source(settings: Settings) -> Iterator[Fault]:
    for name in settings.user.access_token_claims:
        if name in settings.user.claims:
            yield Fault(
                ("user", "access_token_claims"),
                f"must not show {name}, which user.claims takes from the identity",
            )


@rule("session.logout_return_paths", "server.prefix")
def logout_ends_at_a_page(settings: Settings) -> Iterator[Fault]:
    for index, path in enumerate(settings.session.logout_return_paths):
        if is_within(path, settings.server.prefix):
            yield Fault(
                ("session", "logout_return_paths", index), "must not lie below server.prefix"
            )


@rule("session.cookie_name", "server.public_url")
def cookie_name_fits_scheme(settings: Settings) -> Iterator[Fault]:
    # RFC 6265bis section 4.1.3: a browser drops a prefixed cookie that is not Secure, and only
    # the prefix keeps a sibling domain from planting a cookie of that name.
    name = settings.session.cookie_name
    if name is None:
        return
    if settings.server.is_https and not name.startswith("__Host-"):
        yield Fault(("session", "cookie_name"), "must start with __Host- when public_url is https")
    if not settings.server.is_https and name.lower().startswith(("__host-", "__secure-")):
        yield Fault(("session", "cookie_name"), "a name with this prefix needs an https public_url")


@rule("spa.root", "spa.dev_server")
def one_source_of_pages(settings: Settings) -> Iterator[Fault]:
    if settings.spa.root is not None and settings.spa.dev_server is not None:
        yield Fault(("spa", "dev_server"), "must not be given together with spa.root")


@rule("audit.sinks", "session.store")
def stream_has_a_redis_store(settings: Settings) -> Iterator[Fault]:
    for index, sink in enumerate(settings.audit.sinks):
        if isinstance(sink, StreamDestination) and settings.session.is_in_memory:
            yield Fault(
                ("audit", "sinks", index),
                "a redis-stream: is written to the session store's Redis, and "
                "session.store is memory://",
            )


@rule("audit.sinks", "audit.webhook_token")
def webhook_token_has_a_webhook(settings: Settings) -> Iterator[Fault]:
    kinds = {type(sink) for sink in settings.audit.sinks}
    if settings.audit.webhook_token is not None and WebhookDestination not in kinds:
        yield Fault(("audit", "webhook_token"), "is for a webhook: none of audit.sinks is one")
