"""How the tabs of a browser share one event stream, and what a listener may rely on.

Tabs run in Node (spa_tabs.mjs): the client is the real one, the browser around it and the clock are
the test's.
"""

import pytest

from tests.client.spa_node import ALICE, THREE_TABS, in_tabs, needs_node

pytestmark = needs_node


def test_one_stream_serves_all_tabs() -> None:
    """The leader's tab opens it; what it says reaches every tab."""
    work = """
      streams[0].say('refreshed', gateway.figures);
      await settle();
      return [first.map((heard) => heard.filter((one) => one.startsWith('link'))), news(),
        streams.map(({ url, isOpen }) => [url, isOpen])];
    """
    links, told, streams = in_tabs(THREE_TABS + work)
    assert links == [["link stream"], ["link tab"], ["link tab"]]
    assert told == [["refreshed"]] * 3
    assert streams == [["/bff/events", True]]


def test_every_tab_starts_with_the_session() -> None:
    """The leader from its stream, the others by asking once; a page's own question is shared."""
    work = "return [first.map((heard) => heard.includes('session')), gateway.asked];"
    assert in_tabs(THREE_TABS + work) == [[True] * 3, 3]


def test_when_the_leader_s_tab_closes_another_takes_over() -> None:
    """Its stream is closed, exactly one other is opened, and nothing else is told."""
    work = """
      tabs[0].close();
      await settle();
      streams.at(-1).say('refreshed', gateway.figures);
      await settle();
      return [news(), streams.map(({ isOpen }) => isOpen)];
    """
    told, streams = in_tabs(THREE_TABS + work)
    assert told == [[], ["link stream", "session", "refreshed"], ["session", "refreshed"]]
    assert streams == [False, True]


def test_a_leader_that_sleeps_is_replaced_by_a_tab_that_is_looked_at() -> None:
    """Browsers put hidden tabs to sleep, locks and all. A hidden tab deposes no other."""
    work = f"""
      {ALICE}
      void locks.request('bff-session /bff', {{}}, () => new Promise(() => {{}})).catch(() => {{}});
      await settle();
      document.hidden = true;
      const tab = await openTab((client) => client.user());
      await advance(60);
      const before = streams.length;
      await show(true);
      await advance(2);
      const meanwhile = streams.length;
      await advance(2);
      return [before, meanwhile, openStreams().length, tab.news().at(-2), locks.queue.length];
    """
    assert in_tabs(work) == [0, 0, 1, "link stream", 0]


def test_a_leader_that_answers_is_not_replaced() -> None:
    """However often other tabs are shown."""
    work = """
      for (const isShown of [false, true, false, true]) {
        await show(isShown);
        await advance(10);
      }
      return [streams.length, news().flat().filter((one) => one.startsWith('link'))];
    """
    assert in_tabs(THREE_TABS + work) == [1, []]


def test_a_deposed_leader_closes_its_stream_and_gets_in_line_again() -> None:
    """When it wakes up there are never two streams; when the new leader goes, it leads again."""
    work = f"""
      {ALICE}
      const tab = await openTab((client) => client.user());
      let release;
      void locks.request('bff-session /bff', {{ steal: true }}, () => new Promise((done) => {{
        release = done;
      }}));
      await settle();
      const deposed = openStreams().length;
      release();
      await settle();
      return [deposed, openStreams().length];
    """
    assert in_tabs(work) == [0, 1]


def test_a_leader_is_not_told_how_its_stream_is() -> None:
    """The last words of a leader that was deposed."""
    work = f"""
      {ALICE}
      const tab = await openTab((client) => client.user());
      tab.news();
      new BroadcastChannel('bff-session /bff').postMessage({{ kind: 'state', state: 'polling' }});
      await advance(60);
      return [tab.news(), gateway.asked];
    """
    assert in_tabs(work) == [[], 1]


def test_a_page_kept_for_the_back_button_holds_no_stream() -> None:
    """It leaves the line when it is left, and is back in it when it is shown again."""
    work = f"""
      {ALICE}
      const tab = await openTab((client) => client.user());
      await turnPage('pagehide');
      const left = [openStreams().length, locks.holder];
      await turnPage('pageshow');
      return [left, openStreams().length];
    """
    assert in_tabs(work) == [[0, None], 1]


def test_a_page_left_by_its_own_logout_is_told_of_it_when_it_is_shown_again() -> None:
    """At once, before anything can be asked: the browser shows it with all that was on it. Once,
    and the page learns of a session that is alive nevertheless."""
    work = f"""
      {ALICE}
      const tab = await openTab((client) => client.user());
      tab.news();
      await tab.client.logout();
      await turnPage('pagehide');
      const left = tab.news();
      gateway.isAway = true;
      await turnPage('pageshow');
      const shown = tab.news().filter((one) => one.startsWith('ended'));
      gateway.isAway = false;
      await advance(60);
      return [left, shown, tab.news().includes('logged_in')];
    """
    assert in_tabs(work) == [[], ["ended logout"], True]


@pytest.mark.parametrize(
    "trouble",
    ["", "gateway.isAway = true;", "gateway.stream = 'refused';", "gateway.user = null;"],
    ids=["live", "away", "refused", "logged-out"],
)
def test_after_stop_no_listener_is_called_and_nothing_is_asked(trouble: str) -> None:
    """Whatever was under way: a question, a timer, a stream, a message of another tab."""
    work = f"""
      {ALICE} {trouble}
      const ask = (client) => void client.user().catch(() => {{}});
      const [leader, tab] = [await openTab(ask), await openTab(ask)];
      ask(tab.client);
      for (const one of [tab, tab]) one.close();
      const inLine = locks.queue.length;
      leader.close();
      leader.news();
      tab.news();
      await settle();
      gateway.asked = 0;
      await advance(3600);
      await show(true);
      await turnPage('pageshow');
      return [tab.news(), leader.news(), gateway.asked, openStreams().length, inLine];
    """
    assert in_tabs(work) == [[], [], 0, 0, 0]


@pytest.mark.parametrize(
    "answer",
    ["new TypeError('Failed to fetch')", "new Response(JSON.stringify(alice()))"],
    ids=["no-answer", "live"],
)
def test_an_answer_that_comes_after_stop_starts_nothing(answer: str) -> None:
    """The stream was lost, and how things are was being asked."""
    work = f"""
      {ALICE}
      const tab = await openTab((client) => client.user());
      await advance(30);
      let asked = 0, answer = () => {{}};
      globalThis.fetch = () => {{
        asked += 1;
        return new Promise((resolve, reject) => {{
          answer = (value) => (value instanceof Error ? reject(value) : resolve(value));
        }});
      }};
      streams[0].fail();
      await advance(2);
      tab.close();
      answer({answer});
      await advance(3600);
      return [asked, streams.length];
    """
    assert in_tabs(work) == [1, 1]


def test_a_listener_may_stop_another_while_an_event_is_told() -> None:
    """And itself."""
    work = f"""
      {ALICE}
      const {{ createClient }} = await import(CLIENT + 'bff-client.js');
      const client = createClient();
      const heard = [];
      const stopFirst = client.onSession((event) => {{
        heard.push('first');
        stopFirst();
        stopSecond();
      }});
      const stopSecond = client.onSession(() => heard.push('second'));
      client.onSession(() => heard.push('third'));
      await client.user();
      await settle();
      return heard.slice(0, 3);
    """
    assert in_tabs(work) == ["first", "third", "third"]


def test_a_listener_that_fails_keeps_no_news_from_others() -> None:
    """Its error is as loud as any uncaught one."""
    work = f"""
      {ALICE}
      const loud = [];
      process.on('uncaughtException', (error) => loud.push(error.message));
      const tab = await openTab();
      tab.news();
      tab.client.onSession(() => {{ throw new Error('broken'); }});
      const heard = [];
      tab.client.onSession((event) => heard.push(event.type));
      await end('admin');
      return [tab.news(), heard, [...new Set(loud)]];
    """
    assert in_tabs(work) == [["link idle", "ended admin"], ["link", "ended"], ["broken"]]
