"""The published form of heartbeats, which of our own have come back, and what they say."""

import hashlib
from collections.abc import AsyncIterator, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.clock import ManualClock
from bff.sessions.messages import LEAVING, Heartbeat, decode_heartbeat, encode_heartbeat
from bff.sessions.redis.client import RedisClient, RedisLimits
from bff.sessions.redis.heartbeats import Heartbeats, OwnHeartbeats
from bff.sessions.redis.url import parse_redis_url
from tests.contract.conftest import Heard
from tests.polling import until

NAME = "0123456789abcdef"


def test_the_form_on_the_channel() -> None:
    """Fixed: processes of two releases talk to each other."""
    heartbeat = Heartbeat(NAME, 7, 6, True, "ab12", 1, 3)
    assert encode_heartbeat(heartbeat) == "1 0123456789abcdef 7 6 1 1/3 ab12"
    assert decode_heartbeat(encode_heartbeat(heartbeat).encode()) == heartbeat


@pytest.mark.parametrize(
    "message",
    [None, 7, "1 0123456789abcdef 7 6 1 1/3 -", b"", b"2 0123456789abcdef 7 6 1 1/3 -",
     b"1 0123456789abcdeg 7 6 1 1/3 -", b"1 0123456789abcdef -7 6 1 1/3 -",
     b"1 0123456789abcdef 7 6 2 1/3 -", b"1 0123456789abcdef 7 6 1 1/3 a b"],
)  # fmt: skip
def test_anything_else_is_no_beat(message: object) -> None:
    assert decode_heartbeat(message) is None


@given(st.binary())
def test_garbage_is_no_beat_and_no_failure(message: bytes) -> None:
    assert decode_heartbeat(message) is None


def test_a_beat_is_back_when_all_of_its_parts_are() -> None:
    own = OwnHeartbeats()
    number = own.next(100.0)
    own.sending(2)
    assert own.came_back(Heartbeat(own.process, number, 0, True, "-", 1, 2)) is None
    assert own.came_back(Heartbeat(own.process, number, 0, True, "-", 1, 2)) is None, "the same one"
    assert own.heard == 0
    assert own.came_back(Heartbeat(own.process, number, 0, True, "-", 0, 2)) == 100.0
    assert own.heard == number


def test_an_earlier_beat_proves_nothing() -> None:
    """One that comes late, or from before the stream was taken up again."""
    own = OwnHeartbeats()
    early = own.next(100.0)
    own.sending(1)
    late = own.next(101.0)
    own.sending(1)
    assert own.came_back(Heartbeat(own.process, early, 0, True, "-")) is None
    own.heard = early
    own.begin_anew()
    assert own.heard == 0
    assert own.came_back(Heartbeat(own.process, late, 0, True, "-")) is None


# --- of a process, on a client that keeps what it sends


class KeepingClient(RedisClient):
    def __init__(self) -> None:
        super().__init__(parse_redis_url("redis://127.0.0.1:1"), RedisLimits())
        self.sent: list[bytes] = []
        self.nodes: str | None = None

    @property
    def configuration(self) -> str | None:
        return self.nodes

    async def publish(self, channel: str, messages: Callable[[int], list[str]]) -> None:
        assert channel == "bff:beats"
        self.sent += [message.encode() for message in messages(1)]


class Sender:
    """The heartbeats of a process that follows the stream."""

    def __init__(self, clock: ManualClock) -> None:
        self.client = KeepingClient()
        self.heard = Heard()
        self.heartbeats = Heartbeats(self.client, "bff:beats", clock, [self.heard])

    async def next(self, *, saved: bool = True) -> Heartbeat:
        """The first that is sent from now on; what is saved is told at once."""
        before = len(self.client.sent)
        self.heartbeats.say_saved(saved=saved)
        await until(lambda: len(self.client.sent) > before)
        return self.sent(before)

    def sent(self, place: int) -> Heartbeat:
        found = decode_heartbeat(self.client.sent[place])
        assert found is not None
        return found

    def hear_newest(self) -> Heartbeat:
        """What was sent last comes back."""
        self.heartbeats.hear(self.client.sent[-1])
        return self.sent(-1)

    def hear_from_another(self, *, configuration: str) -> Heartbeat:
        """What the listener is told of the heartbeat of another process which has saved all."""
        message = encode_heartbeat(Heartbeat(NAME, 1, 0, True, configuration))
        self.heartbeats.hear(message.encode())
        return self.heard.heartbeats[-1]


@pytest.fixture
async def sender(clock: ManualClock) -> AsyncIterator[Sender]:
    found = Sender(clock)
    found.heartbeats.start()
    found.heartbeats.gained()
    await until(lambda: bool(found.client.sent))
    yield found
    await found.heartbeats.close()
    await found.client.close()


def digest(nodes: str) -> str:
    return hashlib.sha256(nodes.encode()).hexdigest()[:16]


async def test_the_first_says_that_nothing_is_held(sender: Sender) -> None:
    first = sender.sent(0)
    assert (first.number, first.heard, first.saved, first.configuration) == (1, 0, True, "-")


async def test_the_next_says_which_came_back(sender: Sender, clock: ManualClock) -> None:
    sent_at = clock.now()
    clock.advance(5)
    for _ in range(2):  # the second time it proves nothing new
        first = sender.hear_newest()
        assert sender.heard.proven == [sent_at]
    second = await sender.next()
    assert (second.number, second.heard) == (first.number + 1, first.number)


async def test_none_has_come_back_once_the_stream_was_taken_up_again(sender: Sender) -> None:
    sender.hear_newest()
    sender.heartbeats.lost()
    sender.heartbeats.hear(encode_heartbeat(Heartbeat(NAME, 1, 1, True, "-")).encode())
    assert sender.heard.heartbeats == [], "what is heard while it is lost counts for nothing"
    sender.heartbeats.gained()
    assert (await sender.next()).heard == 0


async def test_what_it_holds_is_told_with_the_next(sender: Sender) -> None:
    assert not (await sender.next(saved=False)).saved
    assert (await sender.next()).saved


async def test_the_nodes_are_those_of_the_stream(sender: Sender) -> None:
    """The client may learn of a new configuration before the stream has moved there."""
    assert sender.hear_from_another(configuration="-").saved
    sender.client.nodes = "one"
    assert sender.hear_from_another(configuration=digest("one")).saved
    sender.client.nodes = "two"
    assert sender.hear_from_another(configuration=digest("one")).saved
    assert not sender.hear_from_another(configuration=digest("two")).saved
    sender.heartbeats.gained()
    assert (await sender.next()).configuration == digest("two")
    assert sender.hear_from_another(configuration=digest("two")).saved


async def test_leave_is_taken_by_a_last_one(clock: ManualClock) -> None:
    sender = Sender(clock)
    sender.heartbeats.start()
    sender.heartbeats.gained()
    await until(lambda: bool(sender.client.sent))
    await sender.heartbeats.close()
    assert sender.sent(-1).number == LEAVING
    await sender.client.close()
