"""After trouble with the store, who held what is waited for."""

from bff.sessions.messages import LEAVING, Heartbeat
from bff.tokens.calm import LONGEST_SECONDS, SETTLE_SECONDS, Calm

ONE, OTHER = "a" * 16, "b" * 16


class Scene:
    """A process that has followed the stream of changes for a while."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.told = 0
        self.calm = Calm(self._tell, lambda: self.now)
        self.calm.on_watch(True)

    def _tell(self) -> None:
        self.told += 1

    def heartbeat(self, process: str, number: int, heard: int = 0, *, saved: bool = True) -> None:
        self.calm.on_heartbeat(Heartbeat(process, number, heard, saved, "-"))

    def failover(self) -> None:
        self.calm.on_watch(False)
        self.now += 1
        self.calm.on_watch(True)

    @property
    def waits(self) -> bool:
        return self.calm.remaining_seconds() > 0


def test_there_is_calm_at_the_start() -> None:
    """To follow the stream for the first time is no trouble."""
    assert not Scene().waits


def test_alone_it_waits_for_somebody_to_be_heard() -> None:
    scene = Scene()
    scene.failover()
    scene.now += SETTLE_SECONDS - 0.1
    assert scene.waits
    scene.now += 0.2
    assert not scene.waits


def test_whoever_was_there_is_waited_for() -> None:
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
    assert not scene.told
    scene.heartbeat(ONE, 46, 45)
    assert not scene.waits
    assert scene.told == 1


def test_each_of_them_is_waited_for() -> None:
    """Also one that is heard for the first time now."""
    scene = Scene()
    scene.heartbeat(ONE, 41)
    scene.failover()
    scene.heartbeat(OTHER, 8)
    scene.heartbeat(ONE, 42)
    scene.heartbeat(ONE, 43, 42)
    scene.now += SETTLE_SECONDS
    assert scene.waits
    scene.heartbeat(OTHER, 9, 8)
    assert not scene.waits


def test_the_dead_are_not_waited_for_for_ever() -> None:
    scene = Scene()
    scene.heartbeat(ONE, 41)
    scene.failover()
    scene.now += LONGEST_SECONDS - 0.1
    assert scene.waits
    scene.now += 0.2
    assert not scene.waits
    scene.failover()
    scene.now += SETTLE_SECONDS
    assert not scene.waits, "it has been silent since before this trouble"


def test_whoever_takes_leave_is_not_waited_for() -> None:
    scene = Scene()
    scene.heartbeat(ONE, 41)
    scene.failover()
    scene.now += SETTLE_SECONDS
    scene.heartbeat(ONE, LEAVING)
    assert not scene.waits
    assert scene.told == 1


def test_trouble_in_trouble_begins_anew() -> None:
    """A second failover, or a command that fails: what was said before counts no more."""
    scene = Scene()
    scene.heartbeat(ONE, 41)
    scene.failover()
    scene.heartbeat(ONE, 42)
    scene.calm.troubled()
    scene.now += SETTLE_SECONDS
    scene.heartbeat(ONE, 43, 42)
    assert scene.waits
    scene.heartbeat(ONE, 44, 43)
    assert not scene.waits


def test_an_outage_longer_than_anybody_is_waited_for() -> None:
    """Who was there before it is waited for after it."""
    scene = Scene()
    scene.heartbeat(ONE, 41)
    scene.calm.on_watch(False)
    scene.now += 5 * LONGEST_SECONDS
    assert not scene.waits, "the store refuses by itself"
    scene.calm.on_watch(True)
    scene.now += SETTLE_SECONDS
    assert scene.waits
