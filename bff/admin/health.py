"""Health and readiness, with no user data in either: for probes of orchestrators and of proxies in
front."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from urllib.parse import parse_qs

from aiohttp import web

from bff.errors import BadRequest, BffError

OK = "ok"
TIMEOUT = "timeout"
CHECK_SECONDS = 3.0
SHOWN_SECONDS = 0.5  # for those that decide nothing, after all that decide have answered
LOOK_EVERY_SECONDS = 0.2

Check = Callable[[], Awaitable[object]]


class NotReady(Exception):
    """What a gateway depends on does not answer as needed. `missing` are the checks that failed,
    each with the code of its error."""

    def __init__(self, missing: Mapping[str, str]) -> None:
        super().__init__(", ".join(f"{name} {verdict}" for name, verdict in missing.items()))
        self.missing = missing


class Health:
    """`checks` are named probes of what the gateway depends on; each may raise a `BffError`. Those
    in `only_shown` decide nothing: an answer waits for them for `shown_seconds` at most."""

    def __init__(
        self,
        checks: Mapping[str, Check],
        *,
        only_shown: Mapping[str, Check] | None = None,
        shown_seconds: float = SHOWN_SECONDS,
    ) -> None:
        self._deciding = tuple(checks)
        self._checks = {**checks, **(only_shown or {})}
        self._shown_seconds = shown_seconds
        self._is_stopping = False

    async def until_ready(self, seconds: float) -> None:
        """Raises: NotReady, when one that decides does not say ok within that time."""
        missing = dict.fromkeys(self._deciding, TIMEOUT)
        try:
            async with asyncio.timeout(seconds):
                while missing := _failed(  # noqa: ASYNC110 - what other machines answer
                    await self._verdicts(self._deciding)
                ):
                    await asyncio.sleep(LOOK_EVERY_SECONDS)
        except TimeoutError:
            raise NotReady(missing) from None

    def stopping(self) -> None:
        """From now on the gateway is not ready: load balancers look elsewhere."""
        self._is_stopping = True

    async def alive(self, _request: web.BaseRequest) -> web.Response:
        """`/healthz`: nothing is asked."""
        return web.json_response({"status": "ok"})

    async def ready(self, request: web.BaseRequest) -> web.Response:
        """`/readyz`, without the checks that `exclude` names, each in a parameter of its own; `op`
        is the name of that of each OP as well.

        Raises:
            BadRequest: there is no such check, or another parameter.
        """
        verdicts = await self._verdicts(self._wanted(request.query_string))
        ready = not self._is_stopping and _failed(verdicts).keys().isdisjoint(self._deciding)
        if self._is_stopping:
            verdicts["stopping"] = "yes"
        return web.json_response(
            {"status": "ready" if ready else "not_ready", "checks": verdicts},
            status=200 if ready else 503,
        )

    def _wanted(self, query: str) -> list[str]:
        parameters = parse_qs(query, keep_blank_values=True)
        excluded = parameters.pop("exclude", [])
        if parameters or not self._checks.keys() >= set(excluded):
            raise BadRequest("an unknown check or parameter")
        return [
            name
            for name in self._checks
            if name not in excluded and name.partition(":")[0] not in excluded
        ]

    async def verdicts(self) -> dict[str, str]:
        """What each check says: ok, or the code of its error."""
        return await self._verdicts(tuple(self._checks))

    async def _verdicts(self, names: Sequence[str]) -> dict[str, str]:
        async with asyncio.TaskGroup() as group:
            checks = {name: group.create_task(self._run(self._checks[name])) for name in names}
            deciding = [one for name, one in checks.items() if name in self._deciding]
            only_shown = [one for name, one in checks.items() if name not in self._deciding]
            if deciding:
                await asyncio.wait(deciding)
            if only_shown:
                _, late = await asyncio.wait(only_shown, timeout=self._shown_seconds)
                for check in late:
                    check.cancel()
        return {
            name: TIMEOUT if check.cancelled() else check.result() for name, check in checks.items()
        }

    async def _run(self, check: Check) -> str:
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                await check()
        except BffError as error:
            return error.code
        except TimeoutError:
            return TIMEOUT
        return OK


def _failed(verdicts: Mapping[str, str]) -> dict[str, str]:
    return {name: verdict for name, verdict in verdicts.items() if verdict != OK}
