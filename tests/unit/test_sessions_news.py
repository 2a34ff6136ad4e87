"""An observer hears of each change once, and of no more than memory allows."""

from structlog.testing import capture_logs

from bff.sessions.messages import Heartbeat
from bff.sessions.news import TOLD_ENTRIES, Observer, SessionNews


def test_an_end_is_told_once() -> None:
    """The writer's own word and its echo from the store are one event, with the first reason."""
    news, heard = SessionNews(), list[tuple[str, str]]()
    news.add(Observer(on_ended=lambda key, reason: heard.append((key, reason))))
    news.ended("k", "logout")
    news.ended("k", "admin")
    assert heard == [("k", "logout")]
    assert news.end_reason("k") == "logout"
    assert news.end_reason("other") is None


def test_an_observer_that_stopped_hears_nothing_and_may_stop_again() -> None:
    news, heard = SessionNews(), list[str]()
    stop = news.add(Observer(on_changed=heard.append))
    news.changed("a")
    stop()
    stop()
    news.changed("b")
    assert heard == ["a"]


def test_an_observer_that_stops_while_it_is_told_keeps_no_other_from_hearing() -> None:
    """As a stream does that ends with its session."""
    news, heard = SessionNews(), list[str]()

    def once(key: str) -> None:
        heard.append(f"once {key}")
        stop()

    stop = news.add(Observer(on_changed=once))
    news.add(Observer(on_changed=heard.append))
    news.changed("a")
    news.changed("b")
    assert heard == ["once a", "a", "b"]


def test_ends_are_remembered_within_bounds() -> None:
    news = SessionNews()
    for number in range(TOLD_ENTRIES + 1):
        news.ended(str(number), "logout")
    assert news.end_reason("0") is None
    assert news.end_reason("1") == "logout"
    assert news.end_reason(str(TOLD_ENTRIES)) == "logout"


def test_what_an_observer_does_not_ask_for_is_no_failure() -> None:
    news = SessionNews()
    news.add(Observer())
    with capture_logs() as entries:
        news.changed("k")
        news.ended("k", "logout")
        news.expired("other", "idle")
        news.watching(watching=True)
        news.proven()
    assert entries == []


def test_each_kind_of_news_is_told() -> None:
    news, heard = SessionNews(), list[object]()
    heartbeat = Heartbeat("a" * 16, 1, 0, True, "-")
    news.add(
        Observer(
            on_watch=heard.append, on_heartbeat=heard.append, on_proven=lambda: heard.append(1)
        )
    )
    news.watching(watching=True)
    news.heartbeat(heartbeat)
    news.proven()
    assert heard == [True, heartbeat, 1]


def test_an_observer_that_fails_keeps_no_other_from_hearing() -> None:
    news, heard = SessionNews(), list[str]()

    def fail(_key: str) -> None:
        raise ZeroDivisionError

    news.add(Observer(on_changed=fail))
    news.add(Observer(on_changed=heard.append))
    with capture_logs() as entries:
        news.changed("k")
    assert heard == ["k"]
    assert [entry["event"] for entry in entries] == ["observer_failed"]


def test_an_end_that_was_told_is_no_expiry_as_well() -> None:
    news, heard = SessionNews(), list[tuple[str, str]]()
    news.add(Observer(on_expired=lambda key, reason: heard.append((key, reason))))
    news.ended("k", "logout")
    news.expired("k", "idle")
    news.expired("other", "idle")
    assert heard == [("other", "idle")]
