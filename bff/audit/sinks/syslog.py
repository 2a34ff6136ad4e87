"""Records as datagrams to a syslog server: RFC 5424, over a Unix socket or UDP (RFC 5426).

A Unix socket tells when no server is there. UDP tells nothing: what gets lost on the way is found
by the chain's numbers only.
"""

import os
import socket
from collections.abc import Sequence

from bff.audit.chain import Stamped
from bff.audit.event import OUTCOMES, Outcome
from bff.audit.sinks import SinkFailed, in_thread
from bff.observability.reasons import reason_of

AUTHPRIV = 10  # RFC 5424 section 6.2.1: security and authorization messages
NOTICE, WARNING = 5, 4
TIMEOUT_SECONDS = 5.0
NAME = "bff"
MESSAGE_ID = "audit"


class SyslogSink:
    """`path` is that of a Unix socket; without it `host` and `port` are those of UDP."""

    name = "syslog"

    def __init__(self, *, path: str = "", host: str = "", port: int = 0) -> None:
        self._path = path
        self._host = host
        self._port = port
        self._socket: socket.socket | None = None

    async def open(self) -> None:
        """A server that is not there yet is no reason not to start."""

    async def write(self, records: Sequence[Stamped]) -> None:
        messages = [message_of(record) for record in records]
        try:
            await in_thread(lambda: self._send(messages))
        except OSError as error:
            raise SinkFailed(reason_of(error)) from None

    async def close(self) -> None:
        connected, self._socket = self._socket, None
        if connected is not None:
            connected.close()

    def _send(self, messages: Sequence[bytes]) -> None:
        connected = self._socket or self._connected()
        self._socket = None  # after a failure, as when the server was started anew, another one
        try:
            for message in messages:
                connected.send(message)
        except OSError:
            connected.close()
            raise
        self._socket = connected

    def _connected(self) -> socket.socket:
        if self._path:
            return _connected(socket.AF_UNIX, self._path)
        found = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_DGRAM)
        family, _, _, _, address = found[0]
        return _connected(family, address)


def _connected(family: int, address: object) -> socket.socket:
    connected = socket.socket(family, socket.SOCK_DGRAM)
    try:
        connected.settimeout(TIMEOUT_SECONDS)
        connected.connect(address)  # type: ignore[arg-type]
    except OSError:
        connected.close()
        raise
    return connected


def message_of(record: Stamped) -> bytes:
    """RFC 5424 section 6, without structured data: the record is the message."""
    severity = NOTICE if OUTCOMES[record.event.name] is Outcome.SUCCESS else WARNING
    priority = AUTHPRIV * 8 + severity
    host = socket.gethostname() or "-"
    header = f"<{priority}>1 {record.time} {host} {NAME} {os.getpid()} {MESSAGE_ID} -"
    return f"{header} {record.line}".encode("ascii", "replace")
