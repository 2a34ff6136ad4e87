"""What becomes of a request: the phases of an exchange, and which follows which.

The names are bound here as well: to look a member of an enumeration up takes longer than all else
in a step.
"""

from enum import IntEnum

from bff.proxy.phases import PhaseTable, Row, row


class Phase(IntEnum):
    """What becomes of a request."""

    WAITING = 0  # those before it are answered first
    DECIDING = 1  # the gate is asked, which may have to wait for what it needs
    CONNECTING = 2  # where it goes is decided; there is no connection to there yet
    SENT = 3  # it is on its way; nothing of an answer has gone to the browser
    RENEWING = 4  # the answer, a 401, is held back: there may be a better token
    ANSWERING = 5  # some of the answer has gone to the browser, so that there can be no other
    TUNNEL = 6  # it was a WebSocket handshake, and is answered
    OVER = 7


WAITING, DECIDING, CONNECTING, SENT, RENEWING, ANSWERING, TUNNEL, OVER = Phase


def _timed(*following: Phase) -> Row[Phase]:
    """With the time limit of the route, which begins with the decision."""
    return row(*following, limit="total_seconds", runs_on=True)


EXCHANGE = PhaseTable(
    {
        WAITING: row(DECIDING, OVER),
        DECIDING: row(CONNECTING, SENT, OVER),
        CONNECTING: _timed(SENT, OVER),
        SENT: _timed(CONNECTING, RENEWING, ANSWERING, TUNNEL, OVER),
        RENEWING: _timed(CONNECTING, SENT, OVER),
        ANSWERING: _timed(OVER),
        TUNNEL: row(OVER),
        OVER: row(),
    }
)
