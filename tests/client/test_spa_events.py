"""What the client tells of a session's end and of the next login, in every tab and once: the
contract of docs/spa-contract.md. Tabs run in Node (spa_tabs.mjs).
"""

import pytest

from tests.client.spa_node import ALICE, THREE_TABS, in_tabs, needs_node

pytestmark = needs_node


@pytest.mark.parametrize("reason", ["logout", "ended_by_user", "backchannel_logout", "admin"])
def test_an_end_is_told_once_in_every_tab_with_its_reason(reason: str) -> None:
    """And the stream is not opened again."""
    work = f"await end('{reason}'); await advance(600); return [news(), streams.length];"
    told, streams = in_tabs(THREE_TABS + work)
    assert told == [["link idle", f"ended {reason}"]] * 3
    assert streams == 1


@pytest.mark.parametrize("by", [0, 1])
def test_an_own_logout_is_told_to_the_other_tabs_only(by: int) -> None:
    """Also when the leader's tab is left before its stream can say why."""
    work = f"""
      await tabs[{by}].client.logout();
      gateway.user = null;
      if ({by} === 0) tabs[0].close();
      else for (const stream of openStreams()) stream.say('ended', {{ reason: 'logout' }});
      await advance(5);
      return news().map((heard) => heard.filter((one) => one.startsWith('ended')));
    """
    expected = [["ended logout"]] * 3
    expected[by] = []
    assert in_tabs(THREE_TABS + work) == expected


@pytest.mark.parametrize(
    ("said", "expected"),
    [("", "ended unknown"), ("await end('admin');", "ended admin")],
    ids=["no-reason-is-known", "the-stream-says-why"],
)
@pytest.mark.parametrize("tab", [0, 1])
def test_an_end_that_a_request_finds_is_told_once_with_the_best_reason(
    said: str, expected: str, tab: int
) -> None:
    """A 401 says that the session is over; if the stream can say why, that is what is told."""
    work = f"""
      gateway.user = null;
      await tabs[{tab}].client.fetch('/api/x').catch(() => {{}});
      {said}
      await advance(3);
      return news().map((heard) => heard.filter((one) => one.startsWith('ended')));
    """
    assert in_tabs(THREE_TABS + work) == [[expected]] * 3


def test_a_request_that_came_too_early_ends_nothing() -> None:
    """Its cookie was of the session before: the stream is the better witness."""
    work = f"""
      gateway.user = null;
      await tabs[1].client.fetch('/api/x').catch(() => {{}});
      {ALICE}
      streams[0].say('refreshed', gateway.figures);
      await advance(3);
      return news();
    """
    assert in_tabs(THREE_TABS + work) == [["refreshed"]] * 3


def test_an_end_that_was_slept_through_is_found_when_a_tab_is_shown() -> None:
    """A connection may be dead without its ends having noticed."""
    work = """
      await show(false);
      gateway.user = null;
      await advance(60);
      const before = news();
      await show(true);
      await advance(1);
      return [before, news().map((heard) => heard.filter((one) => one.startsWith('ended')))];
    """
    assert in_tabs(THREE_TABS + work) == [[[], [], []], [["ended unknown"]] * 3]


def test_an_end_known_by_the_stream_is_not_reported_again_by_a_request() -> None:
    """`onSessionEnded` is for those who do not listen; no page is told twice."""
    work = f"""
      {ALICE}
      const {{ createClient }} = await import(CLIENT + 'bff-client.js');
      const ended = [];
      const client = createClient({{ onSessionEnded: (error) => ended.push(error.code) }});
      client.onSession((event) => event.type === 'ended' && ended.push(event.reason));
      await client.user();
      await settle();
      await end('admin');
      await client.user();
      await advance(5);
      return ended;
    """
    assert in_tabs(work) == ["admin"]


@pytest.mark.parametrize("tab", [0, 1])
def test_an_answer_given_before_the_end_brings_no_session_back(tab: int) -> None:
    """It was on its way for longer than the news of the end: the question is asked again."""
    work = f"""
      const network = globalThis.fetch;
      let deliver;
      globalThis.fetch = async (request) => {{
        const answer = await network(request);
        await new Promise((resolve) => {{ deliver = resolve; }});
        return answer;
      }};
      const late = tabs[{tab}].client.user();
      await settle();
      globalThis.fetch = network;
      await end('admin');
      deliver();
      const user = await late;
      await advance(600);
      return [user, news(), openStreams().length];
    """
    told = ["link idle", "ended admin"]
    assert in_tabs(THREE_TABS + work) == [None, [told] * 3, 0]


def test_another_login_in_this_browser_is_no_end() -> None:
    """The old session ends a moment before the new cookie arrives: wait, and ask."""
    work = """
      for (const stream of openStreams()) stream.say('ended', { reason: 'replaced' });
      await advance(5);
      return [news(), openStreams().length];
    """
    told, streams = in_tabs(THREE_TABS + work)
    assert [one[:2] for one in told] == [["logged_in", "session"]] * 3
    assert streams == 1


def test_a_replaced_session_without_a_new_one_has_ended() -> None:
    """The answer with the new cookie was lost."""
    work = "await end('replaced'); await advance(5); return news();"
    assert in_tabs(THREE_TABS + work) == [["link idle", "ended replaced"]] * 3


def test_a_logout_right_after_a_login_in_another_tab_is_a_logout() -> None:
    """The session that took this one's place is over before a tab could ask for it."""
    work = """
      for (const stream of openStreams()) stream.say('ended', { reason: 'replaced' });
      await tabs[1].client.logout();
      gateway.user = null;
      await advance(5);
      return news().map((heard) => heard.filter((one) => one.startsWith('ended')));
    """
    assert in_tabs(THREE_TABS + work) == [["ended logout"], [], ["ended logout"]]


def test_no_login_means_no_stream_and_one_question() -> None:
    """A visitor who only reads costs nothing more."""
    work = """
      const tab = await openTab((client) => client.user());
      await advance(3600);
      return [tab.news(), streams.length, gateway.asked];
    """
    assert in_tabs(work) == [[], 0, 1]


def test_a_login_in_one_tab_reaches_the_others() -> None:
    """Those that were logged out are told, once, and then how the session is."""
    work = f"""
      const others = [await openTab((client) => client.user()), await openTab((c) => c.user())];
      {ALICE}
      const tab = await openTab((client) => client.user());
      await advance(5);
      return [...others, tab].map(({{ news }}) => news().filter((one) => !one.startsWith('link')));
    """
    first, second, new = in_tabs(work)
    assert first == second
    assert (first[0], set(first[1:]), set(new)) == ("logged_in", {"session"}, {"session"})


def test_after_an_end_and_a_new_login_the_tabs_listen_again() -> None:
    """One stream, as before."""
    work = f"""
      await end('expired');
      {ALICE}
      const fourth = await openTab((client) => client.user());
      await advance(5);
      const told = news().map((heard) => heard.filter((one) => one === 'logged_in'));
      return [told, openStreams().length];
    """
    assert in_tabs(THREE_TABS + work) == [[["logged_in"]] * 3, 1]


def test_more_time_is_told_to_the_other_tabs() -> None:
    """`user()` in one tab counts as activity, and takes back the warnings in the others."""
    work = """
      await advance(60);
      streams[0].say('expiring', { ...gateway.figures, idle_expires_in: 40 });
      await settle();
      news();
      await tabs[2].client.user();
      await settle();
      const told = news();
      await tabs[2].client.user();
      await settle();
      return [told, news()];
    """
    assert in_tabs(THREE_TABS + work) == [[["session"], ["session"], []], [[], [], []]]


def test_listeners_that_ask_do_not_set_each_other_off() -> None:
    """A page may ask who is logged in whenever it hears of the session."""
    work = f"""
      {ALICE}
      const eager = async () => {{
        const tab = await openTab();
        tab.client.onSession(() => void tab.client.user());
        await settle();
      }};
      await eager();
      await eager();
      await advance(20);
      const before = gateway.asked;
      streams[0].say('refreshed', gateway.figures);
      await advance(20);
      return gateway.asked - before;
    """
    assert in_tabs(work) <= 4
