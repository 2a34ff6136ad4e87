"""How rules between keys are declared and judged.

A rule names the keys that it reads. It is judged once all of them are valid by themselves, whatever
is wrong with others, so that every problem is reported at once. It is given nothing but these keys:
reading another one is an AttributeError, also where that key is valid, and naming one that does not
exist is a LookupError at import. So no misspelt key can switch a rule off.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from bff.config.problems import Fault, KeyPath
from bff.config.sections import Section, SectionT, partial
from bff.config.sections.providers import ProviderSettings
from bff.config.sections.routes import RouteSettings
from bff.config.settings import Settings, keys_at

ItemT = TypeVar("ItemT", bound=Section)
# Tables of one kind by their place, such as `("routes", 0)` or `("providers", "corp")`.
Items = Mapping[KeyPath, ItemT]
Routes = Items[RouteSettings]
Providers = Items[ProviderSettings]
Judge = Callable[[Settings], Iterator[Fault]]
ItemsJudge = Callable[[Settings, Items[ItemT]], Iterator[Fault]]


@dataclass(frozen=True, slots=True)
class Rule:
    """`keys` are such as `server.listen`; `item_keys` are those of each of the tables that the name
    `items` stands for."""

    judge: Callable[[Settings, Items[Any]], Iterator[Fault]]
    keys: tuple[str, ...]
    items: str = ""
    item_keys: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for key in (*self.keys, *(f"{self.items}.{key}" for key in self.item_keys)):
            table, _, name = key.partition(".")
            if name not in keys_at((table,)):
                raise LookupError(f"a rule reads {key}, which is no key of the configuration")

    def faults(self, settings: Settings) -> Iterator[Fault]:
        """Nothing where a key of a table is not valid; an item with one that is not is left out."""
        wanted: dict[str, set[str]] = {}
        for key in self.keys:
            table, _, name = key.partition(".")
            wanted.setdefault(table, set()).add(name)
        given = vars(settings)
        known = {table: only_keys(given.get(table), names) for table, names in wanted.items()}
        if None not in known.values():
            items = ((path, only_keys(item, self.item_keys)) for path, item in self._items(given))
            yield from self.judge(
                partial(Settings, known), {path: item for path, item in items if item is not None}
            )

    def _items(self, given: Mapping[str, Any]) -> Iterator[tuple[KeyPath, Section]]:
        if self.items == "routes":
            for index, route in enumerate(given.get("routes", ())):
                yield ("routes", index), route
        elif self.items == "providers":
            if given.get("oidc") is not None:
                yield ("oidc",), given["oidc"]
            for name, provider in given.get("providers", {}).items():
                if provider is not given.get("oidc"):
                    yield ("providers", name), provider


def only_keys(section: SectionT | None, names: Collection[str]) -> SectionT | None:
    """The section with these keys alone; None when one of them is missing."""
    given = {} if section is None else vars(section)
    if section is None or not given.keys() >= set(names):
        return None
    return partial(type(section), {name: given[name] for name in names})


RULES: list[Rule] = []


def rule(*keys: str, among: list[Rule] = RULES) -> Callable[[Judge], Judge]:
    """Make a function a rule between keys of tables."""

    def added(judge: Judge) -> Judge:
        among.append(Rule(lambda settings, _: judge(settings), keys))
        return judge

    return added


def route_rule(
    *route_keys: str, beside: tuple[str, ...] = (), among: list[Rule] = RULES
) -> Callable[[ItemsJudge[RouteSettings]], ItemsJudge[RouteSettings]]:
    """Make a function a rule about keys of the routes, and keys of tables beside them."""

    def added(judge: ItemsJudge[RouteSettings]) -> ItemsJudge[RouteSettings]:
        among.append(Rule(judge, beside, "routes", route_keys))
        return judge

    return added


def provider_rule(
    *provider_keys: str, beside: tuple[str, ...] = (), among: list[Rule] = RULES
) -> Callable[[ItemsJudge[ProviderSettings]], ItemsJudge[ProviderSettings]]:
    """Make a function a rule about keys of the providers, `[oidc]` among them, and keys of tables
    beside them."""

    def added(judge: ItemsJudge[ProviderSettings]) -> ItemsJudge[ProviderSettings]:
        among.append(Rule(judge, beside, "providers", provider_keys))
        return judge

    return added


def refused(path: KeyPath, require: Callable[[Any], object], value: Any) -> Iterator[Fault]:
    """The fault of a value that a rule of the domain raises a ValueError for."""
    try:
        require(value)
    except ValueError as error:
        yield Fault(path, str(error))
