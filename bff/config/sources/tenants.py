"""Tenants, from the files of a directory: each becomes a frontend, and a provider where it has one
of its own, as if they stood in the main file, and the same rules hold for them.

A tenant is what the operator has a file for: nothing is made of the name that a request comes with.
"""

import re
import stat
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bff.config.problems import KeyPath, Place, Problem, suggestion, syntax_problem
from bff.config.sections.tenants import (
    INHERITED,
    OF_A_FRONTEND,
    OF_A_PROVIDER,
    OF_A_TENANT,
    PLACEHOLDER,
    is_template,
    require_host_template,
)
from bff.config.sources.toml_lines import read_toml
from bff.config.values.files import in_directory, read_text
from bff.oidc.settings import require_provider_name

_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")  # RFC 1035 section 2.3.1, RFC 1123
_PLACEHOLDERS = re.compile(r"\{[^{}]*\}?|\}")
_OF_THE_OP: Mapping[KeyPath, str] = {("issuer",): "{tenantid}"}  # it stands there itself
_ENDING = ".toml"
_MISPLACED = (
    f"must not hold {PLACEHOLDER}, which may stand in addresses, client_id and names of files"
)


PlaceOf = Callable[[KeyPath], Place]


@dataclass(frozen=True, slots=True)
class Expanded:
    """`places` are those of the keys that have come from tenants. A key that one of the `problems`
    is about is missing from the tables, and is in `left_out`. Where a file can't be used at all
    (`is_whole` is false), the rest can't be judged."""

    problems: tuple[Problem, ...] = ()
    places: Mapping[KeyPath, Place] = field(default_factory=dict)
    left_out: frozenset[KeyPath] = frozenset()
    is_whole: bool = True


@dataclass(frozen=True, slots=True)
class _File:
    label: str
    source: str
    tables: Mapping[str, Any] = field(repr=False)
    lines: Mapping[KeyPath, int] = field(repr=False)

    def place_of(self, path: KeyPath) -> Place:
        """The nearest that is known."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.lines:
                return Place(self.source, self.lines[path[:length]], path)
        return Place(self.source, None, path)


def expand_tenants(tables: dict[str, Any], directory: Path | None, place_of: PlaceOf) -> Expanded:
    """Put the tenants' frontends and providers into the tables, and take from `[tenants]` what they
    inherit. `place_of` knows where the keys of the tables were given."""
    tenants = tables.get("tenants")
    if not isinstance(tenants, dict):
        return Expanded()
    inherited = {key: tenants.pop(key) for key in INHERITED if key in tenants}
    files, problems = _read_files(tenants, directory, place_of)
    if problems:
        return Expanded(tuple(problems), is_whole=False)
    expansion = _Expansion(tables, tenants, inherited, place_of)
    for file in files:
        expansion.add(file)
    expansion.complete()
    return Expanded(
        tuple(expansion.problems), expansion.places, frozenset(expansion.left_out), is_whole=True
    )


# --- the files --------------------------------------------------------------------------------


def _read_files(
    tenants: Mapping[str, Any], directory: Path | None, place_of: PlaceOf
) -> tuple[list[_File], list[Problem]]:
    at = place_of(("tenants", "directory"))
    if "directory" not in tenants:
        return [], []  # the table's own validation says so
    try:
        folder = in_directory(tenants["directory"], directory)
        if directory is not None and folder.resolve() == directory.resolve():
            return [], [
                at.problem("must not be that of the configuration file, which is no tenant")
            ]
        names = sorted(one.name for one in folder.iterdir())
    except ValueError as error:
        return [], [at.problem(str(error))]
    except OSError as error:
        return [], [at.problem(f"cannot be read: {error.strerror}")]
    files: list[_File] = []
    problems: list[Problem] = []
    for name in names:
        # A mounted ConfigMap and editors have files of their own there, which begin with a dot.
        if name.startswith(".") or not name.endswith(_ENDING):
            continue
        read = _read_file(folder / name)
        if isinstance(read, _File):
            files.append(read)
        else:
            problems.append(read)
    if not files and not problems:
        problems.append(at.problem("has no file of a tenant (NAME.toml)"))
    return files, problems


def _read_file(path: Path) -> _File | Problem:
    source, label = str(path), path.name.removesuffix(_ENDING)
    if not _LABEL.fullmatch(label):
        return Problem(
            "",
            "must be called as a label of the DNS is, in lower-case letters, digits and -, at most "
            f"63, with {_ENDING} behind it",
            source=source,
        )
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # to read a pipe would not end
            return Problem("", "is no file", source=source)
        text = read_text(path)
        return _File(label, source, *read_toml(text))
    except OSError as error:
        return Problem("", f"cannot be read: {error.strerror}", source=source)
    except tomllib.TOMLDecodeError as error:
        return syntax_problem(str(error), source)
    except ValueError as error:
        return Problem("", str(error), source=source)


# --- the tables -------------------------------------------------------------------------------


class _Expansion:
    def __init__(
        self,
        tables: dict[str, Any],
        tenants: Mapping[str, Any],
        inherited: Mapping[str, Any],
        place_of: PlaceOf,
    ) -> None:
        self.problems: list[Problem] = []
        self.places: dict[KeyPath, Place] = {}
        self.left_out: set[KeyPath] = set()
        self._tables = tables
        self._inherited = dict(inherited)
        self._hosts = tenants.get("hosts")
        self._place_of = place_of
        frontends, providers = tables.get("frontends", []), tables.get("providers", {})
        # Other types are refused by the validation of the whole.
        self._frontends = frontends if isinstance(frontends, list) else []
        self._providers = providers if isinstance(providers, dict) else {}
        self._shared = [*self._providers]
        self._has_own_providers = False
        self._require_own_addresses()

    def _require_own_addresses(self) -> None:
        """Where the table gives no address for each tenant, report that once: with a made-up one
        no tenant is reported to lack its own."""
        if self._hosts is not None and not _is_host_template(self._hosts):
            self._hosts = f"{PLACEHOLDER}.invalid"
        url = self._inherited.get("public_url")
        if isinstance(url, str) and PLACEHOLDER not in url:
            del self._inherited["public_url"]
            self._hosts = f"{PLACEHOLDER}.invalid"
            place = self._place_of(("tenants", "public_url"))
            self.problems.append(
                place.problem(f"must hold {PLACEHOLDER}: each tenant has an address of its own")
            )

    def add(self, file: _File) -> None:
        """The frontend of a tenant, and its own provider."""
        for key in file.tables:
            if key not in OF_A_TENANT:
                close = suggestion(key, OF_A_TENANT)
                self.problems.append(file.place_of((key,)).problem(f"unknown key{close}"))
        name = file.tables.get("name", file.label)
        frontend = ("frontends", len(self._frontends))
        self._frontends.append({"name": name})
        self.places[frontend] = Place(file.source, None, ())
        self.places[(*frontend, "name")] = file.place_of(("name",))
        self._tables["frontends"] = self._frontends
        self._address(file, frontend)
        for key in OF_A_FRONTEND:
            if key != "name":
                self._put(file, key, self._frontends[-1], frontend)
        own = [key for key in OF_A_PROVIDER if key in file.tables or key in self._inherited]
        if own and isinstance(name, str):
            self._own_provider(file, name, own)

    def _address(self, file: _File, frontend: KeyPath) -> None:
        """What follows from `tenants.hosts`; `public_url` replaces it."""
        if isinstance(self._hosts, str):
            host = self._hosts.replace(PLACEHOLDER, file.label)
            self._frontends[-1]["public_url"] = f"https://{host}"
            self.places[(*frontend, "public_url")] = self._place_of(("tenants", "hosts"))

    def _own_provider(self, file: _File, name: str, keys: list[str]) -> None:
        place = file.place_of(("name",))
        try:
            require_provider_name(name)
        except ValueError as error:
            self.problems.append(
                place.problem(f"{error}: the tenant's own provider is called so too")
            )
            return
        if name in self._providers:
            self.problems.append(self._named_twice(place, name))
            return
        self._has_own_providers = True
        own: dict[str, Any] = {"on_demand": True}
        self._providers[name] = own
        self._tables["providers"] = self._providers
        self.places["providers", name] = Place(file.source, None, ())
        for key in keys:
            self._put(file, key, own, ("providers", name))
        others = self._frontends[-1].get("providers", [])
        if isinstance(others, list) and name not in others:
            # The own one first: it is the default.
            self._frontends[-1]["providers"] = [name, *others]

    def _named_twice(self, place: Place, name: str) -> Problem:
        keys = self._providers[name]
        given = [self._place_of(("providers", name, key)) for key in keys] if keys else []
        if given and all(one.is_variable for one in given):
            return given[0].problem(
                f"no variable sets a key of a tenant's provider: put it into {place.source}, or a "
                "secret into the file that client_secret_file names there"
            )
        return place.problem("another provider has this name, which the tenant's own would have")

    def _put(self, file: _File, key: str, table: dict[str, Any], at: KeyPath) -> None:
        """A key of the tenant's file, or else what it inherits."""
        if key in file.tables:
            value, place_of = file.tables[key], file.place_of
        elif key in self._inherited and not self._is_given_otherwise(file, key):
            value, place_of = self._inherited[key], self._place_in_table
        else:
            return
        filled = _Filling(file.label, place_of)
        result = filled.fill((key,), value)
        self.problems.extend(filled.problems)
        self.left_out.update((*at, *path) for path in filled.left_out)
        table[key] = result
        self.places[(*at, key)] = place_of((key,))
        for path in filled.paths:
            self.places[(*at, *path)] = place_of(path)

    def _place_in_table(self, path: KeyPath) -> Place:
        return self._place_of(("tenants", *path))

    @staticmethod
    def _is_given_otherwise(file: _File, key: str) -> bool:
        """Whether the file has the secret itself where its file is inherited, or its file where
        the secret is."""
        other = key.removesuffix("_file") if key.endswith("_file") else f"{key}_file"
        return other in OF_A_TENANT and other in file.tables

    def complete(self) -> None:
        """Frontends that name no providers have those that are no tenant's own."""
        if not self._has_own_providers:
            return
        for index, frontend in enumerate(self._frontends):
            if not isinstance(frontend, dict) or frontend.get("providers"):
                continue
            if self._shared:
                frontend["providers"] = [*self._shared]
                continue
            at = ("frontends", index)
            place = self.places.get(at) or self._place_of(at)
            self.problems.append(place.problem("has no provider: all there are belong to tenants"))


def _is_host_template(value: object) -> bool:
    try:
        return isinstance(value, str) and bool(require_host_template(value))
    except ValueError:
        return False


class _Filling:
    """A value with the label in the place of `{tenant}`. Afterwards `problems` are about the keys
    that must hold no placeholder, which `left_out` names; `paths` are the keys inside it."""

    def __init__(self, label: str, place_of: PlaceOf) -> None:
        self.problems: list[Problem] = []
        self.left_out: list[KeyPath] = []
        self.paths: list[KeyPath] = []
        self._label = label
        self._place_of = place_of

    def fill(self, path: KeyPath, value: Any) -> Any:
        if isinstance(value, str):
            return self._text(path, value)
        if isinstance(value, Mapping):
            return {key: self._inner(path, key, item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._inner(path, index, item) for index, item in enumerate(value)]
        return value

    def _inner(self, path: KeyPath, part: str | int, value: Any) -> Any:
        self.paths.append((*path, part))
        return self.fill((*path, part), value)

    def _text(self, path: KeyPath, text: str) -> str:
        named = tuple(part for part in path if isinstance(part, str))
        if not is_template(named):
            if PLACEHOLDER in text:
                self._refuse(path, _MISPLACED)
            return text
        allowed = {PLACEHOLDER, _OF_THE_OP.get(named)}
        if not allowed.issuperset(_PLACEHOLDERS.findall(text)):
            self._refuse(path, f"must hold no braces but those of {PLACEHOLDER}")
        return text.replace(PLACEHOLDER, self._label)

    def _refuse(self, path: KeyPath, message: str) -> None:
        self.problems.append(self._place_of(path).problem(message))
        self.left_out.append(path)
