"""Which sessions an administrator means: one selector, read strictly. Pure.

A misspelt or doubled selector must never widen what is ended, so whatever is not understood is
refused.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

from bff.errors import BadRequest


class By(StrEnum):
    """What sessions are selected by. The values are the names of the parameters."""

    SUB = "sub"
    SID = "sid"
    ID = "id"
    ALL = "all"


TO_LIST = frozenset({By.SUB, By.SID, By.ID})
TO_END = frozenset(By)


@dataclass(frozen=True, slots=True)
class Selection:
    """`issuers` belong to `sub` and `sid`, which are the OP's."""

    by: By
    value: str
    issuers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """Some of all sessions, by their ids: at most `limit`, those that come after `after`."""

    limit: int
    after: str


ON_A_PAGE = 100
MOST_ON_A_PAGE = 1000


def parse_page(parameters: Collection[tuple[str, str]]) -> Page | None:
    """The page that decoded query parameters name, if they select no sessions otherwise.

    Raises:
        BadRequest: a parameter is doubled or empty, or the limit none from 1 to 1000.
    """
    given = dict(parameters)
    if given.keys() - {"limit", "after"}:
        return None
    if len(given) != len(parameters) or not all(given.values()):
        raise BadRequest("a parameter is given twice or empty")
    limit = given.get("limit", str(ON_A_PAGE))
    is_short = len(limit) <= len(str(MOST_ON_A_PAGE))
    if not (
        is_short and limit.isascii() and limit.isdecimal() and 1 <= int(limit) <= MOST_ON_A_PAGE
    ):
        raise BadRequest(f"limit must be from 1 to {MOST_ON_A_PAGE}")
    return Page(int(limit), given.get("after", ""))


def parse_selection(
    parameters: Collection[tuple[str, str]],
    *,
    allowed: Collection[By],
    default_issuers: tuple[str, ...],
) -> Selection:
    """The selection that decoded query parameters name.

    Raises:
        BadRequest: not exactly one selector, or a parameter that is unknown, doubled or empty.
    """
    given = dict(parameters)
    if len(given) != len(parameters) or not all(given.values()):
        raise BadRequest("a parameter is given twice or empty")
    issuer = given.pop("issuer", None)
    by, value = _only(given)
    if by not in allowed:
        raise BadRequest(f"{by} is not for this method")
    if by is By.ALL and value != "true":
        raise BadRequest("all must be true")
    if issuer is not None and by not in {By.SUB, By.SID}:
        raise BadRequest("issuer goes with sub or sid")
    return Selection(by, value, (issuer,) if issuer is not None else default_issuers)


def _only(given: Mapping[str, str]) -> tuple[By, str]:
    if len(given) != 1:
        raise BadRequest("exactly one selector is needed")
    [(name, value)] = given.items()
    try:
        return By(name), value
    except ValueError:
        raise BadRequest("a parameter is unknown") from None
