"""`POST /reload`: an administrator has the gateway take over its changed configuration, and is told
what has changed, or every problem.
"""

from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Any, Self

import structlog
from aiohttp import web

from bff.admin.browsers import require_no_browser, require_own_host
from bff.admin.sessions import actor_of
from bff.errors import ReloadRefused

log = structlog.get_logger("bff.admin")


@dataclass(frozen=True, slots=True)
class ReloadOutcome:
    """`changed` are keys, without values. With `problems`, none of which repeats a value, the old
    configuration goes on."""

    changed: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Self:
        return cls(tuple(document["changed"]), tuple(document["problems"]))


Reload = Callable[[], Awaitable[ReloadOutcome]]


class AdminReloads:
    """`reload` returns when the new configuration serves, or was refused; `own_name` is the host
    part of the admin listener's configured address."""

    def __init__(self, reload: Reload, own_name: str) -> None:
        self._reload = reload
        self._own_name = own_name

    async def __call__(self, request: web.BaseRequest) -> web.Response:
        """The keys that have changed.

        Raises:
            ReloadRefused: with every problem.
        """
        require_no_browser(list(request.headers))
        require_own_host(request.headers.getall("Host", []), self._own_name)
        log.info("reload_asked_for", actor=actor_of(request))
        outcome = await self._reload()
        if outcome.problems:
            raise ReloadRefused(outcome.problems)
        return web.json_response({"changed": outcome.changed})
