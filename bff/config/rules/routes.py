"""The rules of routes."""

from collections.abc import Iterator

from bff.config.problems import Fault
from bff.config.rules.rulebook import Routes, route_rule
from bff.config.settings import Settings
from bff.config.values.paths import is_within
from bff.gate.routes import CsrfMode, TokenKind


@route_rule("path")
def routes_are_distinct(_settings: Settings, routes: Routes) -> Iterator[Fault]:
    seen: set[str] = set()
    for path, route in routes.items():
        if route.prefix in seen:
            yield Fault((*path, "path"), "another route has this path already")
        seen.add(route.prefix)


@route_rule("path", beside=("server.prefix",))
def routes_leave_own_paths(settings: Settings, routes: Routes) -> Iterator[Fault]:
    for path, route in routes.items():
        if is_within(route.path, settings.server.prefix):
            yield Fault((*path, "path"), "lies below server.prefix, where the gateway's are")


@route_rule("path", beside=("spa.root", "spa.dev_server"))
def routes_leave_the_app(settings: Settings, routes: Routes) -> Iterator[Fault]:
    if settings.spa.root is None and settings.spa.dev_server is None:
        return
    for path, route in routes.items():
        if route.prefix == "":
            yield Fault((*path, "path"), "would hide the app that [spa] serves")


@route_rule("token", "resource", "audience", "scope")
def what_a_token_is_for_needs_one(_settings: Settings, routes: Routes) -> Iterator[Fault]:
    for path, route in routes.items():
        for key in ("resource", "audience", "scope"):
            if getattr(route, key) and route.token is TokenKind.NONE:
                yield Fault((*path, key), 'is for a token, and token = "none" sends none')


@route_rule("token", "resource", "audience", "scope")
def an_exchange_says_what_for(_settings: Settings, routes: Routes) -> Iterator[Fault]:
    for path, route in routes.items():
        named = route.resource or route.audience or route.scope
        if route.token is TokenKind.EXCHANGE and not named:
            yield Fault((*path, "token"), "needs resource, audience or scope: what it is for")


@route_rule("token", "authorization_details")
def details_are_the_gateways_own(_settings: Settings, routes: Routes) -> Iterator[Fault]:
    # Those of a user's token are asked for at the login: a refresh can't add any.
    for path, route in routes.items():
        if route.authorization_details and route.token is not TokenKind.CLIENT:
            yield Fault(
                (*path, "authorization_details"),
                'is for token = "client" only; a login asks for those of its provider',
            )


@route_rule("token", "anonymous")
def anonymous_needs_client_token(_settings: Settings, routes: Routes) -> Iterator[Fault]:
    for path, route in routes.items():
        if route.anonymous and route.token is not TokenKind.CLIENT:
            yield Fault((*path, "anonymous"), 'is for token = "client" only')


@route_rule("require_acr", "max_auth_age", "token", "anonymous")
def step_up_needs_a_login(_settings: Settings, routes: Routes) -> Iterator[Fault]:
    for path, route in routes.items():
        if route.token is TokenKind.NONE or route.anonymous:
            for key in ("require_acr", "max_auth_age"):
                if getattr(route, key) is not None:
                    yield Fault(
                        (*path, key),
                        'needs a session: not with token = "none", nor with anonymous = true',
                    )


@route_rule("introspect", "token")
def introspection_is_of_a_users_token(_settings: Settings, routes: Routes) -> Iterator[Fault]:
    for path, route in routes.items():
        if route.introspect and route.token not in (TokenKind.USER, TokenKind.EXCHANGE):
            yield Fault((*path, "introspect"), 'is for token = "user" or "exchange" only')


@route_rule("csrf", "token", "forward_cookies")
def only_the_open_go_unguarded(_settings: Settings, routes: Routes) -> Iterator[Fault]:
    # Without the guard any site could act with what the browser or the gateway adds.
    for path, route in routes.items():
        is_open = route.token is TokenKind.NONE and not route.forward_cookies
        if route.csrf is CsrfMode.OFF and not is_open:
            yield Fault(
                (*path, "csrf"),
                'must not be "off" unless token = "none" and forward_cookies is empty: another '
                "site could act in the user's name",
            )


@route_rule("forward_cookies", beside=("session.cookie_name", "server.public_url"))
def own_cookie_stays(settings: Settings, routes: Routes) -> Iterator[Fault]:
    own = settings.cookie_name.lower()
    for path, route in routes.items():
        if any(name.lower().startswith(own) for name in route.forward_cookies):
            yield Fault((*path, "forward_cookies"), "must not name the gateway's cookies")
