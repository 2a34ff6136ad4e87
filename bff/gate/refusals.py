"""How a request that failed is answered: the one place that logs, counts and words it.

A navigation gets a page, every other request problem+json.
"""

from collections.abc import Callable, Iterable

import structlog

from bff.audit.audit import OFF, Audit
from bff.audit.event import Actor, Event, EventName, Origin
from bff.errors import BffError, CsrfRefused, InternalError, NavigationRequired
from bff.gate.fetch_metadata import accepts_page, is_navigation
from bff.gate.head import Field, scan
from bff.gate.problem import OwnResponses, Problem, problem_for
from bff.observability.logs import frontend_in_logs
from bff.observability.metrics import Metrics

log = structlog.get_logger("bff.gate")

ErrorPage = Callable[[BffError, str], Problem]


def unforeseen(error: BaseException, request_id: str = "") -> InternalError:
    """Log an exception that no rule foresees, with its traceback; what to answer then."""
    log.error("unhandled", error=type(error).__name__, request_id=request_id, exc_info=error)
    return InternalError()


class Refusals:
    """`clear_cookie` is the Set-Cookie value that deletes the session cookie. `frontend` is the
    application whose requests are refused; empty for those that have come for none."""

    def __init__(
        self,
        error_page: ErrorPage,
        own: OwnResponses,
        metrics: Metrics,
        audit: Audit = OFF,
        *,
        login_url: str,
        clear_cookie: str,
        frontend: str,
    ) -> None:
        self._error_page = error_page
        self._own = own
        self._metrics = metrics
        self._audit = audit
        self._login_url = login_url
        self._clear_cookie = clear_cookie
        self._frontend = frontend

    def problem(
        self,
        error: BffError,
        fields: Iterable[Field],
        request_id: str,
        *,
        method: str,
        route: str,
        address: str = "",
        clear: bool = False,
    ) -> Problem:
        """The whole answer to a request with these fields. `clear`: take away a dead cookie.
        `route` and `address`, the client's, are empty where none is known."""
        log.log(
            error.log_level,
            "refused",
            code=error.code,
            status=error.status,
            source=error.source.value,
            detail=error.log_detail,
            method=method,
            route=route or None,
            request_id=request_id,
            **frontend_in_logs(self._frontend),
        )
        self._metrics.answered("refused", error.status, error.code, frontend=self._frontend)
        if isinstance(error, CsrfRefused):
            fields = tuple(fields)
            self._tell_csrf(error, Origin(request_id, address, _user_agent(fields)))
        scanned = scan(fields)
        # A navigation that a service worker has passed on may look like a fetch, but for Accept.
        is_for_a_person = is_navigation(scanned) or (
            isinstance(error, NavigationRequired) and accepts_page(scanned)
        )
        if is_for_a_person:
            found = self._error_page(error, request_id)
        else:
            found = problem_for(error, request_id=request_id, login_url=self._login_url)
        headers = self._own.headers() | dict(found.headers)
        if clear:
            headers["Set-Cookie"] = self._clear_cookie
        return Problem(found.status, headers, found.body)

    def _tell_csrf(self, error: CsrfRefused, origin: Origin) -> None:
        event = EventName.CSRF_REFUSED
        self._audit.report(Event(event, Actor.USER, error.code, origin, frontend=self._frontend))


def _user_agent(fields: Iterable[Field]) -> str:
    return next((v.decode("latin-1") for n, v in fields if n.lower() == b"user-agent"), "")
