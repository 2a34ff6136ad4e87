"""What must hold between keys. One rule a function; each yields the faults it finds.

A rule is also run on settings in which other keys are invalid and therefore missing; it then ends
where it first reads one of those (AttributeError), so that every problem is told at once.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress

from bff.config.canonical import is_within
from bff.config.guessable import guessable_secrets, is_for_this_machine
from bff.config.problems import Fault
from bff.config.routes import RouteSettings
from bff.config.settings import Settings
from bff.gate.routes import CsrfMode, TokenKind
from bff.sessions.redis_url import parse_redis_url


def memory_has_one_worker(settings: Settings) -> Iterator[Fault]:
    if settings.session.is_in_memory and settings.server.workers > 1:
        yield Fault(
            ("server", "workers"),
            "must be 1 with session.store = memory://, which keeps sessions inside one process; "
            "for more set a redis:// store",
        )


def listeners_differ(settings: Settings) -> Iterator[Fault]:
    listen = settings.server.listen
    if listen == settings.server.admin_listen and not listen.endswith(":0"):
        yield Fault(("server", "admin_listen"), "must differ from server.listen: never public")


def health_listener_is_apart(settings: Settings) -> Iterator[Fault]:
    server = settings.server
    health = server.health_listen
    others = (server.listen, server.admin_listen, server.auth_listen)
    if health is not None and health in others and not health.endswith(":0"):
        yield Fault(
            ("server", "health_listen"),
            "must differ from server.listen, server.admin_listen and server.auth_listen",
        )


def auth_listener_is_apart(settings: Settings) -> Iterator[Fault]:
    server = settings.server
    auth = server.auth_listen
    if auth is None:
        return
    if auth in (server.listen, server.admin_listen) and not auth.endswith(":0"):
        yield Fault(
            ("server", "auth_listen"),
            "must differ from server.listen and server.admin_listen: its answers hold tokens",
        )
    if not auth.startswith("unix:") and not server.trusted_proxies:
        yield Fault(
            ("server", "trusted_proxies"),
            "must name the proxy that asks at server.auth_listen: nobody else gets an answer there",
        )


def idle_within_absolute(settings: Settings) -> Iterator[Fault]:
    if settings.session.idle_timeout > settings.session.absolute_timeout:
        yield Fault(("session", "idle_timeout"), "must not be longer than session.absolute_timeout")


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


def each_secret_has_one_purpose(settings: Settings) -> Iterator[Fault]:
    # Whoever learns the OP's or the store's copy must not be able to open and sign sessions.
    sealing = {secret.get_secret_value() for secret in settings.session.secrets}
    with suppress(AttributeError):
        if settings.oidc.client_secret.get_secret_value() in sealing:
            yield Fault(("oidc", "client_secret"), "must not be one of session.secrets as well")
    with suppress(AttributeError):
        url = settings.session.store.get_secret_value()
        if not settings.session.is_in_memory and sealing & {*parse_redis_url(url).passwords}:
            yield Fault(("session", "store"), "has one of session.secrets as its password")


def no_secret_is_guessable(settings: Settings) -> Iterator[Fault]:
    is_local = False
    with suppress(AttributeError):
        is_local = is_for_this_machine(settings)
    if not is_local:  # there, `bff check` and each start warn of it
        yield from guessable_secrets(settings)


def logout_returns_to_a_page(settings: Settings) -> Iterator[Fault]:
    if is_within(settings.oidc.post_logout_path, settings.server.prefix):
        yield Fault(("oidc", "post_logout_path"), "must not lie below server.prefix")


def one_source_of_pages(settings: Settings) -> Iterator[Fault]:
    if settings.spa.root is not None and settings.spa.dev_server is not None:
        yield Fault(("spa", "dev_server"), "must not be given together with spa.root")


def routes_are_distinct(settings: Settings) -> Iterator[Fault]:
    seen: set[str] = set()
    for index, route in enumerate(settings.routes):
        with suppress(AttributeError):
            if route.prefix in seen:
                yield Fault(("routes", index, "path"), "another route has this path already")
            seen.add(route.prefix)


def routes_leave_own_paths(settings: Settings) -> Iterator[Fault]:
    own = settings.server.prefix
    for index, route in enumerate(settings.routes):
        with suppress(AttributeError):
            if is_within(route.path, own):
                yield Fault(
                    ("routes", index, "path"), "lies below server.prefix, where the gateway's are"
                )


def routes_leave_the_app(settings: Settings) -> Iterator[Fault]:
    if settings.spa.root is None and settings.spa.dev_server is None:
        return
    for index, route in enumerate(settings.routes):
        with suppress(AttributeError):
            if route.prefix == "":
                yield Fault(("routes", index, "path"), "would hide the app that [spa] serves")


def client_keys_need_client_token(settings: Settings) -> Iterator[Fault]:
    for index, route in enumerate(settings.routes):
        with suppress(AttributeError):
            if route.token is not TokenKind.CLIENT:
                yield from _client_keys(index, route)


def _client_keys(index: int, route: RouteSettings) -> Iterator[Fault]:
    message = 'is for token = "client" only'
    with suppress(AttributeError):
        if route.scope:
            yield Fault(("routes", index, "scope"), message)
    with suppress(AttributeError):
        if route.anonymous:
            yield Fault(("routes", index, "anonymous"), message)


def only_the_open_go_unguarded(settings: Settings) -> Iterator[Fault]:
    # Without the guard any site could act with what the browser or the gateway adds.
    for index, route in enumerate(settings.routes):
        with suppress(AttributeError):
            if route.csrf is CsrfMode.OFF and (
                route.token is not TokenKind.NONE or route.forward_cookies
            ):
                yield Fault(
                    ("routes", index, "csrf"),
                    'must not be "off" unless token = "none" and forward_cookies is empty: another '
                    "site could act in the user's name",
                )


def own_cookie_stays(settings: Settings) -> Iterator[Fault]:
    own = settings.cookie_name
    for index, route in enumerate(settings.routes):
        with suppress(AttributeError):
            if any(name.lower().startswith(own.lower()) for name in route.forward_cookies):
                yield Fault(
                    ("routes", index, "forward_cookies"), "must not name the gateway's cookies"
                )


def front_channel_is_offered(settings: Settings) -> Iterator[Fault]:
    oidc = settings.oidc
    if oidc.allow_frontchannel_logout_without_iss and not oidc.frontchannel_logout:
        yield Fault(
            ("oidc", "allow_frontchannel_logout_without_iss"),
            "needs oidc.frontchannel_logout = true",
        )


RULES: tuple[Callable[[Settings], Iterator[Fault]], ...] = (
    memory_has_one_worker,
    listeners_differ,
    health_listener_is_apart,
    auth_listener_is_apart,
    idle_within_absolute,
    cookie_name_fits_scheme,
    each_secret_has_one_purpose,
    no_secret_is_guessable,
    logout_returns_to_a_page,
    one_source_of_pages,
    routes_are_distinct,
    routes_leave_own_paths,
    routes_leave_the_app,
    client_keys_need_client_token,
    only_the_open_go_unguarded,
    own_cookie_stays,
    front_channel_is_offered,
)


def broken_rules(settings: Settings) -> Iterator[Fault]:
    """The faults of every rule that can be judged."""
    for rule in RULES:
        with suppress(AttributeError):
            yield from rule(settings)
