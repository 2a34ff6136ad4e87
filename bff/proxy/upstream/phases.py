"""What a connection to an upstream does, and what of an answer has been read on it: the phases of
both, and which follows which.

The names are bound here as well: to look a member of an enumeration up takes longer than all else
in a step.
"""

from enum import IntEnum

from bff.proxy.phases import PhaseTable, row


class Phase(IntEnum):
    """What a connection does."""

    CONNECTING = 0
    IDLE = 1  # lies in its pool
    ANSWERING = 2  # a request is on its way, or its answer is due
    TUNNEL = 3  # after 101: no HTTP any more
    CLOSED = 4


CONNECTING, IDLE, ANSWERING, TUNNEL, CLOSED = Phase

CONNECTION = PhaseTable(  # the limits are those of `UpstreamLimits`
    {
        CONNECTING: row(IDLE, CLOSED),
        IDLE: row(ANSWERING, CLOSED, limit="idle_seconds"),
        ANSWERING: row(IDLE, TUNNEL, CLOSED, limit="silence_seconds"),  # anew with every byte
        TUNNEL: row(CLOSED),
        CLOSED: row(),
    }
)


class Reading(IntEnum):
    """How much of an answer has come."""

    NOTHING = 0
    HEAD = 1  # but not the end of its head
    INTERIM = 2  # a head that another follows (RFC 9110 section 15.2)
    SWITCH = 3  # the head of 101: what follows is another protocol
    BODY = 4  # the head, which says where the body ends
    UNTIL_CLOSE = 5  # the head; the body ends with the connection
    WHOLE = 6
    SURPLUS = 7  # more than all of it


NOTHING, HEAD, INTERIM, SWITCH, BODY, UNTIL_CLOSE, WHOLE, SURPLUS = Reading

READING = PhaseTable(
    {
        NOTHING: row(HEAD),
        HEAD: row(INTERIM, SWITCH, BODY, UNTIL_CLOSE),
        INTERIM: row(HEAD),
        SWITCH: row(),
        BODY: row(WHOLE),
        UNTIL_CLOSE: row(WHOLE),
        WHOLE: row(SURPLUS, NOTHING),
        SURPLUS: row(NOTHING),
    }
)
