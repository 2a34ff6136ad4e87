"""`POST /doctor`: what only the running process can say of itself, for `bff doctor`, with a ticket
for one request through the proxies in front (`endpoints.arrival`). No user data, no secret.
"""

import resource
from collections.abc import Callable

from aiohttp import web

from bff import __version__
from bff.admin.browsers import require_no_browser, require_own_host
from bff.admin.health import Health
from bff.clock import Clock


class AdminDoctor:
    """`open_files_wanted` is how many files a process with all its connections has open; `issue`
    makes a ticket; `own_name` is the host part of the admin listener's configured address."""

    def __init__(
        self,
        health: Health,
        issue: Callable[[], str],
        clock: Clock,
        open_files_wanted: int,
        own_name: str,
    ) -> None:
        self._health = health
        self._issue = issue
        self._clock = clock
        self._open_files_wanted = open_files_wanted
        self._own_name = own_name

    async def __call__(self, request: web.BaseRequest) -> web.Response:
        require_no_browser(list(request.headers))
        require_own_host(request.headers.getall("Host", []), self._own_name)
        allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        checks = await self._health.verdicts()
        return web.json_response(
            {
                "version": __version__,
                "checks": checks,
                "open_files": {
                    "allowed": None if allowed == resource.RLIM_INFINITY else allowed,
                    "wanted": self._open_files_wanted,
                },
                "ticket": self._issue(),
                "now": self._clock.now(),
            }
        )
