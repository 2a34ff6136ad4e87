"""What a reload changes, key by key and without values, what it must leave as it is, and the files
whose changes may be a reason for one."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bff.config.load import Loaded
from bff.config.problems import Fault, KeyPath, Problem, dotted
from bff.config.sections import Section
from bff.config.settings import LISTENERS, Settings
from bff.config.sources.layers import SUFFIX

_ABSENT = object()


def changed_keys(before: Settings, after: Settings) -> tuple[str, ...]:
    """The keys whose values differ, those read from files among them. A frontend or provider that
    has come or gone is one entry, which says so."""
    # With frontends it is not given, and stands for that of the first of them.
    derived = "server.public_url" if before.frontends and after.frontends else None
    return tuple(key for key in _changes((), before, after) if key != derived)


def reload_problems(running: Settings, loaded: Loaded) -> tuple[Problem, ...]:
    """Why a valid configuration can't take the place of the running one."""
    return tuple(map(loaded.origins.locate, _reload_faults(running, loaded.settings)))


def files_named_in(settings: object) -> frozenset[Path]:
    """Those that keys in `_file` and lists of files name, at any depth: secrets, keys and
    certificates, not the app's own pages."""
    if isinstance(settings, Mapping | tuple):
        items = tuple(settings.values() if isinstance(settings, Mapping) else settings)
        listed = {item for item in items if isinstance(item, Path)}
        return frozenset[Path](listed).union(*map(files_named_in, items))
    if not isinstance(settings, Section):
        return frozenset()
    files = {
        value
        for name, value in vars(settings).items()
        if name.endswith(SUFFIX) and isinstance(value, Path)
    }
    return frozenset(files).union(*map(files_named_in, vars(settings).values()))


def _reload_faults(running: Settings, new: Settings) -> Iterator[Fault]:
    for name, served in running.listeners.items():
        if new.listener_at(name) != served:
            yield Fault(
                LISTENERS[name],
                "a reload must not close or move a listener that is served: "
                "a restart (SIGUSR2) may",
            )
    if new.session.is_in_memory:
        yield Fault(
            ("session", "store"),
            "a reload must not lose the sessions of the running gateway: it needs a Redis store",
        )


def _changes(path: KeyPath, before: Any, after: Any) -> Iterator[str]:
    if isinstance(before, Section) and type(before) is type(after):
        for name in type(before).model_fields:
            if name == "providers" and _is_short_form(before) and _is_short_form(after):
                continue  # what [oidc] says stands there as well
            values = (getattr(one, name, _ABSENT) for one in (before, after))
            yield from _changes((*path, name), *values)
        return
    named = _by_name(before), _by_name(after)
    if named[0] is not None and named[1] is not None:
        yield from _named_changes(path, named[0], named[1])
    elif _are_alike(before, after):
        for index, pair in enumerate(zip(before, after, strict=True)):
            yield from _changes((*path, index), *pair)
    elif before != after:
        yield dotted(path)


def _named_changes(
    path: KeyPath, before: Mapping[str, Any], after: Mapping[str, Any]
) -> Iterator[str]:
    for name in dict.fromkeys((*before, *after)):
        if name not in before:
            yield f"{dotted((*path, name))} (added)"
        elif name not in after:
            yield f"{dotted((*path, name))} (removed)"
        else:
            yield from _changes((*path, name), before[name], after[name])
    if [name for name in before if name in after] != [name for name in after if name in before]:
        yield f"{dotted(path)} (order)"


def _is_short_form(section: Section) -> bool:
    return getattr(section, "oidc", None) is not None


def _by_name(value: Any) -> Mapping[str, Any] | None:
    """A table of named ones, or an array of tables that have names."""
    if isinstance(value, dict):
        return value
    if _is_array_of_tables(value) and all("name" in type(one).model_fields for one in value):
        return {one.name: one for one in value}
    return None


def _is_array_of_tables(value: Any) -> bool:
    return isinstance(value, tuple) and all(isinstance(one, Section) for one in value)


def _are_alike(before: Any, after: Any) -> bool:
    """Two arrays of as many tables."""
    both = _is_array_of_tables(before) and _is_array_of_tables(after)
    return both and len(before) == len(after)
