"""After trouble with the store, processes that may hold newer tokens are waited for."""

from bff.sessions.messages import LEAVING, Heartbeat
from bff.tokens.lease import ChangeWaiters
from bff.tokens.refresh_hold import (
    LONGEST_SECONDS,
    NUMBERS_KEPT,
    PRESENT_SECONDS,
    SETTLE_SECONDS,
    RefreshHold,
)

ONE, OTHER = "a" * 16, "b" * 16
KEY, ANOTHER_KEY = "k", "another"


class Waiters(ChangeWaiters):
    """Counts how often each session's waiters are woken."""

    def __init__(self) -> None:
        super().__init__()
        self.woken: list[str] = []

    def wake(self, key: str) -> None:
        self.woken.append(key)

    def wake_all(self) -> None:
        self.woken.append("all")


class Scene:
    """A process that has followed the stream of changes for a while."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.waiters = Waiters()
        self.hold = RefreshHold(self.waiters, lambda: self.now)
        self.hold.on_watch(True)

    def heartbeat(self, process: str, number: int, heard: int = 0, *, saved: bool = True) -> None:
        self.hold.on_heartbeat(Heartbeat(process, number, heard, saved, "-"))

    def failover(self) -> None:
        self.hold.on_watch(False)
        self.now += 1
        self.hold.on_watch(True)

    @property
    def waits(self) -> bool:
        return self.hold.remaining_seconds(KEY) > 0


def test_nothing_is_held_back_at_the_start() -> None:
    """To follow the stream for the first time is no trouble."""
    assert not Scene().waits


def test_alone_it_waits_for_others_to_make_themselves_heard() -> None:
    scene = Scene()
    scene.failover()
    scene.now += SETTLE_SECONDS - 0.5
    assert scene.hold.remaining_seconds(KEY) == 0.5
    scene.now += 0.5
    assert not scene.waits
    scene.heartbeat(ONE, 1)
    assert not scene.waits, "over is over"


def test_a_process_that_was_there_is_waited_for() -> None:
    """Until it is heard to have heard what we heard it say, and to have saved what it held."""
    scene = Scene()
    scene.heartbeat(ONE, 41, 40)
    scene.failover()
    scene.now += SETTLE_SECONDS
    assert scene.waits
    scene.heartbeat(ONE, 43, 42)
    assert scene.waits, "it may still listen to the store that was"
    scene.heartbeat(ONE, 44, 42)
    assert scene.waits
    scene.heartbeat(ONE, 45, 44, saved=False)
    assert scene.waits
    assert not scene.waiters.woken
    scene.heartbeat(ONE, 46, 45)
    scene.heartbeat(ONE, 47, 46)
    assert not scene.waits
    assert scene.waiters.woken == ["all"]


def test_each_of_them_is_waited_for() -> None:
    """Also one that is heard for the first time now."""
    scene = Scene()
    scene.heartbeat(ONE, 41)
    scene.failover()
    scene.now += 0.1
    scene.heartbeat(OTHER, 8)
    scene.heartbeat(ONE, 42)
    scene.heartbeat(ONE, 43, 42)
    scene.now += SETTLE_SECONDS
    assert scene.waits
    assert not scene.waiters.woken
    scene.heartbeat(OTHER, 9, 8)
    assert not scene.waits


def test_what_is_heard_while_the_stream_is_not_followed_counts_for_nothing() -> None:
    """Both may still be told by the store that was."""
    scene = Scene()
    scene.heartbeat(ONE, 41)
    scene.hold.on_watch(False)
    scene.now += 0.5
    scene.heartbeat(ONE, 42)
    scene.heartbeat(ONE, 43, 42)
    scene.now += SETTLE_SECONDS
    assert scene.waits
    assert not scene.waiters.woken


def test_a_heartbeat_counts_from_when_its_first_part_was_heard() -> None:
    """Each node of a cluster passes one on. Trouble in between is not what it has heard of."""
    scene = Scene()
    scene.heartbeat(ONE, 41)
    scene.now += 0.5
    scene.hold.session_failed(KEY)
    scene.now += 0.5
    scene.heartbeat(ONE, 41)
    scene.heartbeat(ONE, 42, 41)
    scene.now += SETTLE_SECONDS
    assert scene.waits


def test_a_dead_process_is_not_waited_for_for_ever() -> None:
    scene = Scene()
    scene.heartbeat(ONE, 41)
    scene.failover()
    scene.now += LONGEST_SECONDS - 0.5
    assert scene.hold.remaining_seconds(KEY) == 0.5
    scene.now += 0.5
    assert not scene.waits
    scene.failover()
    scene.now += SETTLE_SECONDS
    assert not scene.waits, "it has been silent since before this trouble"


def test_a_process_that_was_silent_before_a_command_failed_is_not_waited_for() -> None:
    scene = Scene()
    scene.heartbeat(ONE, 41)
    scene.now += PRESENT_SECONDS + 0.5
    scene.hold.session_failed(KEY)
    scene.now += SETTLE_SECONDS
    assert not scene.waits
    scene.heartbeat(ONE, 42)
    assert not scene.waits, "over is over"


def test_a_process_that_is_waited_for_is_waited_for_after_more_trouble_too() -> None:
    """However silent it is: what it held then it may hold still."""
    scene = Scene()
    scene.heartbeat(ONE, 41)
    scene.failover()
    scene.now += PRESENT_SECONDS + 0.5
    scene.failover()
    scene.now += SETTLE_SECONDS
    assert scene.waits


def test_a_process_that_takes_leave_is_not_waited_for() -> None:
    scene = Scene()
    scene.heartbeat(ONE, 41)
    scene.failover()
    scene.now += SETTLE_SECONDS
    scene.heartbeat(OTHER, LEAVING)
    scene.heartbeat(ONE, LEAVING)
    assert scene.waiters.woken == ["all"]
    assert not scene.waits
    scene.failover()
    scene.now += SETTLE_SECONDS
    assert not scene.waits


def test_a_process_that_was_heard_of_again_and_again_is_waited_for() -> None:
    scene = Scene()
    for number in range(9):
        scene.heartbeat(ONE, number)
        scene.now += PRESENT_SECONDS - 1
    scene.hold.session_failed(KEY)
    scene.now += SETTLE_SECONDS
    assert scene.waits


def test_trouble_long_ago_keeps_no_silent_process() -> None:
    """Nor does trouble after which it has saved what it held."""
    scene = Scene()
    scene.heartbeat(ONE, 41)
    scene.heartbeat(OTHER, 8)
    scene.failover()
    scene.now += 0.5
    for number in (42, 43):
        scene.heartbeat(ONE, number, number - 1)
    scene.now += PRESENT_SECONDS + 0.5
    scene.failover()
    scene.heartbeat(OTHER, LEAVING)
    scene.now += SETTLE_SECONDS
    assert not scene.waits
    scene = Scene()
    scene.heartbeat(ONE, 41)
    scene.failover()
    scene.now += LONGEST_SECONDS + 0.5
    scene.failover()
    scene.now += SETTLE_SECONDS
    assert not scene.waits


def test_trouble_in_trouble_begins_anew() -> None:
    """A second failover, or a command that fails: what was said before counts no more."""
    scene = Scene()
    scene.heartbeat(ONE, 41)
    scene.failover()
    scene.heartbeat(ONE, 42)
    scene.hold.session_failed(KEY)
    scene.now += SETTLE_SECONDS
    scene.heartbeat(ONE, 43, 42)
    assert scene.waits
    scene.heartbeat(ONE, 44, 43)
    assert not scene.waits


def test_an_outage_longer_than_a_process_is_waited_for() -> None:
    """A process that was there before it is waited for after it."""
    scene = Scene()
    scene.heartbeat(ONE, 41)
    scene.hold.on_watch(False)
    scene.now += 5 * LONGEST_SECONDS
    assert not scene.waits, "the store refuses by itself"
    scene.hold.on_watch(True)
    scene.now += SETTLE_SECONDS
    assert scene.waits


def test_a_failed_command_holds_back_its_own_session() -> None:
    """Until the processes that were there have saved what they hold. The refreshes of the others go
    on once the stream of changes has been proven whole since."""
    scene = Scene()
    scene.hold.on_proven()
    scene.heartbeat(ONE, 41)
    scene.hold.session_failed(KEY)
    assert scene.hold.remaining_seconds(ANOTHER_KEY) > 0
    for _ in range(2):  # the second was sent after it
        assert not scene.waiters.woken
        scene.hold.on_proven()
    assert scene.waiters.woken == ["all"]
    assert scene.hold.remaining_seconds(ANOTHER_KEY) == 0
    scene.hold.on_proven()
    assert scene.hold.remaining_seconds(ANOTHER_KEY) == 0
    scene.heartbeat(OTHER, 8)
    scene.now += SETTLE_SECONDS
    assert scene.waits
    scene.heartbeat(ONE, 42, 41)
    assert scene.waits
    scene.heartbeat(ONE, 43, 42)
    assert scene.waits
    assert scene.waiters.woken == ["all"]
    scene.heartbeat(OTHER, LEAVING)
    scene.heartbeat(ONE, 44, 43)
    assert not scene.waits
    assert scene.waiters.woken == ["all", KEY]


def test_a_stream_that_is_not_proven_holds_back_all_sessions() -> None:
    """As in a failover, in which heartbeats do not come back; but not for ever."""
    scene = Scene()
    scene.hold.on_proven()
    scene.hold.session_failed(KEY)
    scene.now += LONGEST_SECONDS - 0.1
    assert scene.hold.remaining_seconds(ANOTHER_KEY) > 0
    scene.now += 0.2
    assert scene.hold.remaining_seconds(ANOTHER_KEY) == 0


def test_commands_that_go_on_to_fail_hold_back_the_others_once() -> None:
    """As at one shard of a cluster that is away, with a part of each heartbeat: the sessions of the
    other shards are held back for no longer than by one failure. Each failed one is, by its own."""
    scene = Scene()
    scene.hold.on_proven()
    for number in range(int(LONGEST_SECONDS)):
        scene.hold.session_failed(str(number))
        assert scene.hold.remaining_seconds(ANOTHER_KEY) == LONGEST_SECONDS - number
        scene.now += 1
    for number in range(100):
        scene.hold.session_failed(KEY)
        assert scene.hold.remaining_seconds(ANOTHER_KEY) == 0
        assert scene.waits
        scene.now += LONGEST_SECONDS - 0.1 if number % 2 else 0.1


def test_a_command_that_fails_later_holds_back_the_others_anew() -> None:
    """Once the stream has been proven whole, or after a time without failures."""
    scene = Scene()
    scene.hold.on_proven()
    for _ in range(3):
        scene.hold.session_failed(KEY)
        scene.now += 1
        scene.hold.session_failed(KEY)
        assert scene.hold.remaining_seconds(ANOTHER_KEY) == LONGEST_SECONDS - 1
        for _ in range(2):
            scene.hold.on_proven()
        assert scene.hold.remaining_seconds(ANOTHER_KEY) == 0
    for _ in range(3):
        scene.hold.session_failed(KEY)
        assert scene.hold.remaining_seconds(ANOTHER_KEY) == LONGEST_SECONDS
        scene.now += LONGEST_SECONDS


def test_a_command_that_failed_before_the_stream_was_followed() -> None:
    """To follow it then is to follow it again."""
    scene = Scene()
    scene.hold = RefreshHold(scene.waiters, lambda: scene.now)
    scene.hold.session_failed(KEY)
    scene.now += LONGEST_SECONDS
    scene.hold.on_watch(True)
    assert scene.hold.remaining_seconds(ANOTHER_KEY) > 0


def test_what_is_heard_before_the_stream_is_followed_counts_for_nothing() -> None:
    """The parts of it may come from different stores."""
    scene = Scene()
    scene.hold = RefreshHold(scene.waiters, lambda: scene.now)
    scene.heartbeat(ONE, 41)
    scene.hold.session_failed(KEY)
    scene.now += 0.5
    scene.heartbeat(ONE, 42)
    scene.heartbeat(ONE, 43, 42)
    scene.now += SETTLE_SECONDS
    assert scene.waits


def test_nothing_is_kept_of_what_is_over() -> None:
    """However many sessions meet trouble, and however many processes come and go."""
    scene = Scene()
    for number in range(100):
        scene.hold.session_failed(str(number))
        scene.heartbeat(f"{number:016x}", 1)
        scene.now += LONGEST_SECONDS
    assert len(scene.hold._session_failed_at) == 1
    assert len(scene.hold._peers) <= 3
    scene.heartbeat(ONE, 1)
    assert not scene.hold._session_failed_at
    for number in range(100):
        scene.heartbeat(ONE, number)
    assert len(scene.hold._peers[ONE].numbers) <= NUMBERS_KEPT


def test_sessions_that_fail_one_after_the_other_are_forgotten_one_after_the_other() -> None:
    """Also without other processes; each is held back for its own time."""
    scene = Scene()
    for number in range(100):
        scene.hold.session_failed(str(number))
        scene.now += LONGEST_SECONDS / 8
    scene.hold.session_failed("97")
    assert list(scene.hold._session_failed_at) == ["93", "94", "95", "96", "98", "99", "97"]
