"""What must hold for each frontend, and between them. Every rule between keys is judged for each as
for a gateway that serves it alone."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import combinations

from bff.config.frontends import Frontend, frontends_of
from bff.config.problems import Fault, KeyPath, dotted, suggestion
from bff.config.rules import broken_rules
from bff.config.sections.frontends import FrontendSettings
from bff.config.settings import Settings
from bff.config.values.paths import is_within

COOKIE_NAME = ("session", "cookie_name")


def misplaced_keys(raw: Mapping[str, object]) -> Iterator[Fault]:
    """Keys of [server] that each frontend has for itself, where there are any."""
    server = raw.get("server")
    if raw.get("frontends") and isinstance(server, Mapping):
        for key, instead in (("public_url", "public_url"), ("additional_hosts", "hosts")):
            if key in server:
                yield Fault(
                    ("server", key),
                    f"must not be given together with [[frontends]], each of which has {instead}",
                )


def broken_frontends(settings: Settings) -> Iterator[Fault]:
    """The faults of the frontends. Every key is valid by itself, and the top level as a whole."""
    unknown = list(_unknown_providers(settings))
    yield from unknown
    if unknown or not settings.frontends:
        return
    known = frontends_of(settings)
    yield from _unused_providers(known, settings)
    yield from _names(known)
    for index, (frontend, own) in enumerate(zip(known, settings.frontends, strict=True)):
        yield from _own_faults(index, frontend, own)
    for first, second in _on_one_host_name(known):
        yield from _cookies(first, second, known, settings)
        if known[first].settings.server.hosts & known[second].settings.server.hosts:
            yield from _paths(known[first], known[second], second)


def _unknown_providers(settings: Settings) -> Iterator[Fault]:
    for index, own in enumerate(settings.frontends):
        for place, name in enumerate(own.providers):
            if name not in settings.providers:
                close = suggestion(name, settings.providers)
                yield Fault(_at(index, "providers", place), f"is no provider{close}")
        there = own.providers or tuple(settings.providers)
        for domain, name in own.email_domains.items():
            if name not in there:
                yield Fault(
                    _at(index, "email_domains", domain),
                    f"must be a provider of this frontend{suggestion(name, there)}",
                )


def _unused_providers(known: Iterable[Frontend], settings: Settings) -> Iterator[Fault]:
    used = {name for frontend in known for name in frontend.settings.providers}
    for name in settings.providers:
        if name not in used:
            yield Fault(("providers", name), "is used by no frontend")


def _names(known: Iterable[Frontend]) -> Iterator[Fault]:
    seen: set[str] = set()
    for index, frontend in enumerate(known):
        if frontend.name in seen:
            yield Fault(_at(index, "name"), "another frontend has this name already")
        seen.add(frontend.name)


def _own_faults(index: int, frontend: Frontend, own: FrontendSettings) -> Iterator[Fault]:
    name = frontend.settings.session.cookie_name
    is_below = bool(frontend.base_path)
    is_prefixed = name is None or name.startswith("__Secure-")
    if is_below and frontend.settings.server.is_https and not is_prefixed:
        yield Fault(
            _at(index, "session", "cookie_name"),
            "must start with __Secure- where public_url has a path: __Host- is for whole hosts",
        )
    for fault in broken_rules(frontend.settings):
        if is_below and frontend.settings.server.is_https and fault.path == COOKIE_NAME:
            continue  # the rule of whole hosts
        if fault.path[0] in own.model_fields_set:
            yield Fault(_at(index, *fault.path), fault.message)
        else:
            yield Fault(_at(index), f"inherits {dotted(fault.path)}, which {fault.message}")


def _on_one_host_name(known: Iterable[Frontend]) -> list[tuple[int, int]]:
    """Pairs of frontends, by their place in the file, each pair once."""
    there: dict[str, list[int]] = {}
    for index, frontend in enumerate(known):
        for host in frontend.host_names:
            there.setdefault(host, []).append(index)
    return sorted({pair for indexes in there.values() for pair in combinations(indexes, 2)})


def _cookies(
    first: int, second: int, known: tuple[Frontend, ...], settings: Settings
) -> Iterator[Fault]:
    """A browser takes cookies of one name for one cookie, and sends those of a host to all of its
    ports; a session of one frontend must not reach an API of another."""
    names = [{one.session_cookie.lower(), one.binder_cookie.lower()} for one in known]
    if names[first] & names[second]:
        yield Fault(
            _at(second, "session", "cookie_name"),
            f"is that of frontend {known[first].name} too, on the same host name",
        )
    for index, other in ((first, second), (second, first)):
        for place, route in enumerate(known[index].settings.routes):
            if names[other] & {name.lower() for name in route.forward_cookies}:
                is_own = "routes" in settings.frontends[index].model_fields_set
                path: KeyPath = ("routes", place, "forward_cookies")
                yield Fault(
                    _at(index, *path) if is_own else path,
                    f"must not name a cookie of frontend {known[other].name}",
                )


def _paths(first: Frontend, second: Frontend, index: int) -> Iterator[Fault]:
    """One may lie below a path of the other, but must hide nothing of it. `index` is the second's
    place in the file."""
    at = _at(index, "public_url")
    if first.base_path == second.base_path:
        yield Fault(at, f"has the host and path of frontend {first.name}")
        return
    outer, inner = sorted((first, second), key=lambda one: len(one.base_path))
    if outer.base_path and not is_within(inner.base_path, outer.base_path):
        return
    if is_within(inner.base_path, outer.prefix):
        yield Fault(at, f"puts {inner.name} among the own endpoints of frontend {outer.name}")
        return
    routes = (outer.base_path + route.prefix for route in outer.settings.routes)
    for path in (outer.prefix, *routes):
        if path and is_within(path, inner.base_path):
            yield Fault(at, f"lets {inner.name} hide {path}/ of frontend {outer.name}")


def _at(index: int, *path: str | int) -> KeyPath:
    return ("frontends", index, *path)
