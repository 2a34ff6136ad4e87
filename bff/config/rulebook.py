"""How rules between keys are declared and judged.

A rule names the keys that it reads. It is judged once all of them are valid by themselves, whatever
is wrong with others, so that every problem is reported at once. It is given nothing but these keys:
reading another one is an AttributeError, also where that key is valid, and naming one that does not
exist is a LookupError at import. So no misspelt key can switch a rule off.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

from bff.config.problems import Fault
from bff.config.sections import SectionT, partial
from bff.config.sections.routes import RouteSettings
from bff.config.settings import Settings, keys_at

Routes = Mapping[int, RouteSettings]  # by their place in the file
Judge = Callable[[Settings], Iterator[Fault]]
RoutesJudge = Callable[[Settings, Routes], Iterator[Fault]]


@dataclass(frozen=True, slots=True)
class Rule:
    """`keys` are such as `server.listen`; `route_keys` are those of each route."""

    judge: RoutesJudge
    keys: tuple[str, ...]
    route_keys: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for key in (*self.keys, *(f"routes.{key}" for key in self.route_keys)):
            table, _, name = key.partition(".")
            if name not in keys_at((table,)):
                raise LookupError(f"a rule reads {key}, which is no key of the configuration")

    def faults(self, settings: Settings) -> Iterator[Fault]:
        """Nothing where a key of a table is not valid; a route with one that is not is left out."""
        wanted: dict[str, set[str]] = {}
        for key in self.keys:
            table, _, name = key.partition(".")
            wanted.setdefault(table, set()).add(name)
        given = vars(settings)
        known = {table: only_keys(given.get(table), names) for table, names in wanted.items()}
        if None not in known.values():
            yield from self.judge(partial(Settings, known), self._routes(settings))

    def _routes(self, settings: Settings) -> Routes:
        given = vars(settings).get("routes", ()) if self.route_keys else ()
        known = ((index, only_keys(route, self.route_keys)) for index, route in enumerate(given))
        return {index: route for index, route in known if route is not None}


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
) -> Callable[[RoutesJudge], RoutesJudge]:
    """Make a function a rule about keys of the routes, and keys of tables beside them."""

    def added(judge: RoutesJudge) -> RoutesJudge:
        among.append(Rule(judge, beside, route_keys))
        return judge

    return added
