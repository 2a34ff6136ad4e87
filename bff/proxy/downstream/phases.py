"""What a browser's connection does, and what is being read on it: the phases of both, and which
follows which.

The names are bound here as well: to look a member of an enumeration up takes longer than all else
in a step.
"""

from enum import IntEnum

from bff.proxy.phases import PhaseTable, row


class Phase(IntEnum):
    """What a connection does."""

    NEW = 0  # nothing has been read on it
    IDLE = 1  # waits for the next request
    HEAD_DUE = 2  # waits for the rest of a head; nothing is being served
    BEGINNING = 3  # a request is handed to its exchange, which may be over at once
    RECEIVING = 4  # a request is being served whose body is still to come
    HELD = 5  # one is being served; no more of its body is wanted for now, so nothing is read
    SERVING = 6  # one is being served that is complete
    QUEUED = 7  # other connections have their turn before the next request is begun
    BLOCKED = 8  # the next request is not begun before the browser takes the answers it has
    LINGERING = 9  # all was written; what still comes is drained (RFC 9112 section 9.6)
    CLOSING = 10  # all was written, and is closed when the browser has taken it
    CLOSED = 11


(
    NEW, IDLE, HEAD_DUE, BEGINNING, RECEIVING, HELD, SERVING, QUEUED, BLOCKED, LINGERING,
    CLOSING, CLOSED,
) = Phase  # fmt: skip

ENDS = (LINGERING, CLOSING, CLOSED)
_NEXT = (IDLE, HEAD_DUE, BEGINNING, BLOCKED, *ENDS)  # what may come after an exchange
CONNECTION = PhaseTable(  # the limits are those of `ProxyLimits`
    {
        NEW: row(IDLE, HEAD_DUE, BEGINNING, *ENDS, limit="head_seconds"),
        IDLE: row(*_NEXT, limit="keepalive_seconds"),
        HEAD_DUE: row(BEGINNING, BLOCKED, *ENDS, limit="head_seconds"),
        BEGINNING: row(RECEIVING, HELD, SERVING, QUEUED, *_NEXT),
        RECEIVING: row(RECEIVING, HELD, SERVING, *_NEXT, limit="body_seconds"),
        HELD: row(RECEIVING, SERVING, *_NEXT),
        SERVING: row(HELD, *_NEXT),
        QUEUED: row(BEGINNING, BLOCKED, QUEUED, *ENDS),
        BLOCKED: row(BEGINNING, BLOCKED, *ENDS, limit="body_seconds"),
        LINGERING: row(CLOSED, limit="linger_seconds"),
        CLOSING: row(CLOSED),
        CLOSED: row(),
    }
)


class Reading(IntEnum):
    """What is being read."""

    BETWEEN = 0  # nothing of a request yet
    HEAD = 1
    BODY = 2  # of a request whose head has been told; it may be empty
    AGAIN = 3  # the same head as before, by a parser that is to read the body
    SWITCHED = 4  # what comes is of another protocol (RFC 9110 section 7.8)
    OVER = 5  # what comes is no request, or not to be read as one


BETWEEN, HEAD, BODY, AGAIN, SWITCHED, OVER = Reading

READING = PhaseTable(
    {
        BETWEEN: row(HEAD, SWITCHED, OVER),
        HEAD: row(BODY, OVER),
        BODY: row(BETWEEN, AGAIN, OVER),
        AGAIN: row(BODY, OVER),
        SWITCHED: row(OVER),
        OVER: row(),
    }
)
