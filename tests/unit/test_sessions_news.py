"""An observer hears of each change once, and of no more than memory allows."""

from bff.sessions.news import TOLD_ENTRIES, Observer, SessionNews


def test_an_end_is_told_once() -> None:
    """The writer's own word and its echo from the store are one event, with the first reason."""
    observers, heard = SessionNews(), list[tuple[str, str]]()
    observers.add(Observer(None, lambda key, reason: heard.append((key, reason)), None, None))
    observers.ended("k", "logout")
    observers.ended("k", "admin")
    assert heard == [("k", "logout")]
    assert observers.end_reason("k") == "logout"
    assert observers.end_reason("other") is None


def test_who_stopped_hears_nothing_and_may_stop_again() -> None:
    observers, heard = SessionNews(), list[str]()
    stop = observers.add(Observer(heard.append, None, None, None))
    observers.changed("a")
    stop()
    stop()
    observers.changed("b")
    assert heard == ["a"]


def test_who_stops_while_it_is_told_keeps_no_other_from_hearing() -> None:
    """As a stream does that ends with its session."""
    observers, heard = SessionNews(), list[str]()

    def once(key: str) -> None:
        heard.append(f"once {key}")
        stop()

    stop = observers.add(Observer(once, None, None, None))
    observers.add(Observer(heard.append, None, None, None))
    observers.changed("a")
    observers.changed("b")
    assert heard == ["once a", "a", "b"]


def test_ends_are_remembered_within_bounds() -> None:
    observers = SessionNews()
    for number in range(TOLD_ENTRIES + 1):
        observers.ended(str(number), "logout")
    assert observers.end_reason("0") is None
    assert observers.end_reason("1") == "logout"
    assert observers.end_reason(str(TOLD_ENTRIES)) == "logout"
