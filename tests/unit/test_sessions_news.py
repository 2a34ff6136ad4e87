"""An observer hears of each change once, and of no more than memory allows."""

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


def test_who_stopped_hears_nothing_and_may_stop_again() -> None:
    news, heard = SessionNews(), list[str]()
    stop = news.add(Observer(on_changed=heard.append))
    news.changed("a")
    stop()
    stop()
    news.changed("b")
    assert heard == ["a"]


def test_who_stops_while_it_is_told_keeps_no_other_from_hearing() -> None:
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
