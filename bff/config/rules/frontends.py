"""What must hold for each frontend, and between them. Every rule between keys is judged for each as
for a gateway that serves it alone."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from bff.config.frontends import Frontend, frontends_of, paths_above
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
    shared = [
        *(_cookies(there, known, settings) for there in _by_host_name(known)),
        *(_paths(there, known) for there in _by_host(known)),
    ]
    # Frontends may share several hosts.
    yield from dict.fromkeys(chain.from_iterable(shared))


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


def _by_host_name(known: Iterable[Frontend]) -> list[list[int]]:
    """Those on each host name, by their place in the file."""
    return _groups(frontend.host_names for frontend in known)


def _by_host(known: Iterable[Frontend]) -> list[list[int]]:
    """Those on each host and port."""
    return _groups(frontend.settings.server.hosts for frontend in known)


def _groups(hosts_of: Iterable[frozenset[Any]]) -> list[list[int]]:
    there: dict[Any, list[int]] = {}
    for index, hosts in enumerate(hosts_of):
        for host in hosts:
            there.setdefault(host, []).append(index)
    return [indexes for indexes in there.values() if len(indexes) > 1]


def _cookies(
    there: Sequence[int], known: Sequence[Frontend], settings: Settings
) -> Iterator[Fault]:
    """A browser takes cookies of one name for one cookie, and sends those of a host to all of its
    ports; a session of one frontend must not reach an API of another."""
    first_of: dict[str, int] = {}
    for index in there:
        at = known[index]
        names = [name.lower() for name in (at.session_cookie, at.binder_cookie, at.logout_cookie)]
        others = {first_of[name] for name in names if name in first_of}
        for other in sorted(others)[:1]:
            if not _are_one_place(known[other], known[index]):
                yield Fault(
                    _at(index, "session", "cookie_name"),
                    f"is that of frontend {known[other].name} too, on the same host name",
                )
        for name in names:
            first_of.setdefault(name, index)
    for index in there:
        is_own = "routes" in settings.frontends[index].model_fields_set
        for place, route in enumerate(known[index].settings.routes):
            path: KeyPath = ("routes", place, "forward_cookies")
            for other in {first_of.get(name.lower(), index) for name in route.forward_cookies}:
                if other != index:
                    yield Fault(
                        _at(index, *path) if is_own else path,
                        f"must not name a cookie of frontend {known[other].name}",
                    )


def _are_one_place(first: Frontend, second: Frontend) -> bool:
    """Whether that is what is wrong with them."""
    hosts = first.settings.server.hosts & second.settings.server.hosts
    return bool(hosts) and first.base_path == second.base_path


def _paths(there: Sequence[int], known: Sequence[Frontend]) -> Iterator[Fault]:
    """One may lie below a path of the other, but must hide nothing of it."""
    by_path: dict[str, int] = {}
    for index in there:
        first = by_path.setdefault(known[index].base_path, index)
        if first != index:
            yield Fault(
                _at(index, "public_url"), f"has the host and path of frontend {known[first].name}"
            )
    for index in there:
        for base in paths_above(known[index].base_path):
            if base in by_path:
                outer = by_path[base]
                hidden = _hidden(known[outer], known[index])
                if hidden is not None:
                    yield Fault(_at(max(index, outer), "public_url"), hidden)


def _hidden(outer: Frontend, inner: Frontend) -> str | None:
    """What is wrong with `inner` below a path of `outer`."""
    if is_within(inner.base_path, outer.prefix):
        return f"puts {inner.name} among the own endpoints of frontend {outer.name}"
    routes = (outer.base_path + route.prefix for route in outer.settings.routes)
    for path in (outer.prefix, *routes):
        if path and is_within(path, inner.base_path):
            return f"lets {inner.name} hide {path}/ of frontend {outer.name}"
    return None


def _at(index: int, *path: str | int) -> KeyPath:
    return ("frontends", index, *path)
