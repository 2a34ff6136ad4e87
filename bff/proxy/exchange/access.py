"""What the access log says of one request: told as it goes by, written when it is over.

The status and the bytes are those that really went to the browser's connection, counted where they
are written. Never in a line: a query, a field, a token; a path only where it is asked for.
"""

import time

from bff.gate.head import RequestHead
from bff.gate.outcome import Decision, Forward, Local
from bff.model import public_id
from bff.observability.access_log import AccessLog, timestamp
from bff.observability.logs import frontend_in_logs
from bff.proxy.exchange.answer import Browser

SWITCHING_PROTOCOLS = 101
FIRST_FINAL_STATUS = 200
_STATUS = slice(9, 12)  # of `HTTP/1.1 200 OK`

COMPLETE = "complete"
CUT = "cut"  # by the gateway: the API failed in mid-answer, or the session ended
BROWSER_GONE = "browser_gone"  # it hung up, or took nothing for too long


class AccessRecord:
    """One request, from its head on. It is also the browser that the exchange writes to."""

    def __init__(self, log: AccessLog, browser: Browser, head: RequestHead, route: str) -> None:
        self._log = log
        self._browser = browser
        self._head = head
        self._route = route
        self._began_at = time.time()
        self._began = time.perf_counter()
        self._sent: float | None = None
        self._upstream_seconds: float | None = None
        self._status = 0
        self._bytes_out = 0
        self._is_over = False
        self._request_id = ""
        self._frontend = ""
        self._address = head.peer
        self._session: str | None = None
        self._code: str | None = None
        self._ending = COMPLETE
        self.bytes_in = 0

    # --- what the exchange tells

    def decided(self, decision: Decision) -> None:
        """What the gate has found out: the names of the request, the client and the session."""
        self._request_id = decision.identity.request_id
        self._address = decision.identity.client_address
        self._frontend = decision.identity.frontend
        if isinstance(decision, Forward | Local) and decision.session is not None:
            self._session = public_id(decision.session.key)

    def sent(self) -> None:
        """It is on its way."""
        self._sent = time.perf_counter()

    def answered(self) -> None:
        """The head of the answer has come."""
        if self._sent is not None:
            self._upstream_seconds = time.perf_counter() - self._sent

    def refused(self, code: str, request_id: str) -> None:
        """The gateway answers in its own name."""
        self._code, self._request_id = code, request_id

    def over(self, ending: str = COMPLETE) -> None:
        """Write the line, once."""
        if self._is_over:
            return
        self._is_over = True
        self._log.write(self._entry(ending if self._ending == COMPLETE else self._ending))

    # --- Browser

    @property
    def is_full(self) -> bool:
        return self._browser.is_full

    @property
    def is_draining(self) -> bool:
        return self._browser.is_draining

    def write(self, data: bytes) -> None:
        if self._status < FIRST_FINAL_STATUS and self._status != SWITCHING_PROTOCOLS:
            self._status = _status_in(data)
        self._bytes_out += len(data)
        self._browser.write(data)

    def hold(self, *, on: bool) -> None:
        self._browser.hold(on=on)

    def exchange_over(self, *, keep_alive: bool, unread: bool) -> None:
        self.over()
        self._browser.exchange_over(keep_alive=keep_alive, unread=unread)

    def abort(self) -> None:
        self._ending = CUT
        self._browser.abort()

    # ---

    def _entry(self, ending: str) -> dict[str, object]:
        entry: dict[str, object] = {
            "time": timestamp(self._began_at),
            "method": self._head.method if self._head.target else None,
            "route": self._route or None,
        }
        if self._log.with_path:
            entry["path"] = self._head.target.partition(b"?")[0].decode("latin-1")
        entry |= {
            "status": self._status or None,
            "code": self._code,
            "ending": ending,
            "seconds": round(time.perf_counter() - self._began, 6),
            "upstream_seconds": _rounded(self._upstream_seconds),
            "bytes_in": self.bytes_in,
            "bytes_out": self._bytes_out,
            "request_id": self._request_id or None,
            "session": self._session,
            "address": self._log.shown_address(self._address),
        }
        return entry | frontend_in_logs(self._frontend)


def _status_in(data: bytes) -> int:
    """Of the last answer whose head begins here, behind interim ones (RFC 9110 section 15.2)."""
    status = 0
    while data.startswith(b"HTTP/1."):
        status = int(data[_STATUS])
        if status >= FIRST_FINAL_STATUS or status == SWITCHING_PROTOCOLS:
            break
        data = data.partition(b"\r\n\r\n")[2]
    return status


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 6)
