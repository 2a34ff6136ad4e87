"""What the client tells of the session, in all tabs of a browser: docs/spa-contract.md.

Each test opens tabs in Node (spa_tabs.mjs): the client is the real one, the browser around it and
the clock are the test's. `news()` are the events a tab has heard since it was last asked.
"""

import pytest

from tests.unit.spa_node import in_tabs, needs_node

pytestmark = needs_node

ALICE = "gateway.user = alice();"
THREE_TABS = f"""
{ALICE}
const ask = (client) => client.user();
const tabs = [await openTab(ask), await openTab(ask), await openTab(ask)];
await settle();
const news = () => tabs.map((tab) => tab.news());
const first = news();
"""


# --- one stream for all tabs ----------------------------------------------------------------


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
    """Browsers put hidden tabs to sleep, locks and all. A hidden tab deposes nobody."""
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


def test_a_leader_is_told_by_nobody_how_its_stream_is() -> None:
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


# --- the end --------------------------------------------------------------------------------


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
    ids=["nobody-says-why", "the-stream-says-why"],
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
    """A connection may be dead without anybody having noticed."""
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
    """`onSessionEnded` is for those who do not listen; nobody is told twice."""
    work = f"""
      {ALICE}
      const {{ createClient }} = await import(SPA + 'bff-client.js');
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


# --- a login --------------------------------------------------------------------------------


def test_nobody_logged_in_means_no_stream_and_one_question() -> None:
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


# --- trouble --------------------------------------------------------------------------------


def test_a_gateway_that_is_away_is_no_end() -> None:
    """503 or no answer: back-off, never a tight loop, and on with the stream afterwards."""
    work = """
      await advance(30);
      gateway.isAway = true;
      gateway.asked = 0;
      streams[0].fail();
      await advance(300);
      const [away, asked, opened] = [news(), gateway.asked, streams.length];
      gateway.isAway = false;
      await advance(60);
      return [away, asked, opened, news(), openStreams().length];
    """
    away, asked, opened, back, streams = in_tabs(THREE_TABS + work)
    assert away == [["link away"]] * 3
    assert 4 <= asked <= 12
    assert opened == 1
    assert [set(one) for one in back] == [
        {"link stream", "session"},
        *[{"link tab", "session"}] * 2,
    ]
    assert streams == 1


def test_a_gateway_that_is_away_at_the_start_is_waited_for() -> None:
    """Nobody knows yet who is logged in; that is told when it can be."""
    work = f"""
      gateway.isAway = true;
      const tab = await openTab((client) => void client.user().catch(() => {{}}));
      await advance(60);
      const before = tab.news();
      {ALICE}
      gateway.isAway = false;
      await advance(60);
      return [before, tab.news()];
    """
    assert in_tabs(work) == [["link away"], ["link stream", "session"]]


def test_retry_after_is_kept() -> None:
    """The gateway says when it may be asked again."""
    work = """
      await advance(30);
      Object.assign(gateway, { isAway: true, retryAfter: 45, asked: 0 });
      streams[0].fail();
      await advance(44);
      const early = gateway.asked;
      await advance(3);
      return [early, gateway.asked];
    """
    assert in_tabs(THREE_TABS + work) == [1, 2]


def test_a_stream_that_is_lost_is_opened_again_after_a_moment() -> None:
    """A proxy cuts it, a gateway restarts: not all clients come back in the same instant."""
    work = """
      await advance(30);
      streams[0].fail();
      await settle();
      const atOnce = [gateway.asked, streams.length];
      await advance(2);
      return [atOnce, openStreams().length, news().flat().filter((one) => one.startsWith('ended'))];
    """
    assert in_tabs(THREE_TABS + work) == [[3, 1], 1, []]


def test_an_end_during_a_lost_stream_is_found_by_asking() -> None:
    """An EventSource does not tell a 401 from anything else."""
    work = """
      await advance(30);
      gateway.user = null;
      streams[0].fail();
      await advance(2);
      return [news(), streams.length];
    """
    assert in_tabs(THREE_TABS + work) == [[["link idle", "ended unknown"]] * 3, 1]


CUT_AT_ONCE = "for (const stream of openStreams()) stream.fail();"


@pytest.mark.parametrize(
    ("stream", "each_second"),
    [("refused", ""), ("silent", ""), ("open", CUT_AT_ONCE)],
    ids=["429-404-5xx", "held-back-by-a-proxy", "cut-at-once"],
)
def test_a_stream_refused_repeatedly_gives_way_to_polling(stream: str, each_second: str) -> None:
    """While the user document can be had: every 30 s, with a new try every few minutes."""
    work = f"""
      {ALICE}
      gateway.stream = '{stream}';
      const tab = await openTab((client) => client.user());
      const pass = async (seconds) => {{
        for (let past = 0; past < seconds; past += 1) {{
          {each_second}
          await advance(1);
        }}
      }};
      await pass(60);
      const [tried, said] = [streams.length, tab.news()];
      gateway.asked = 0;
      await pass(240);
      const [triedAgain, asked] = [streams.length, gateway.asked];
      await pass(120);
      return [tried, said, triedAgain, asked, streams.length];
    """
    tried, said, tried_again, asked, at_last = in_tabs(work)
    assert tried == tried_again == 3
    assert said[-1] == "session"
    assert [one for one in said if one.startswith("link")][-1] == "link polling"
    assert not [one for one in said if one.startswith("ended")]
    assert 7 <= asked <= 9
    assert 3 < at_last <= 5


def test_a_login_is_heard_of_while_polling() -> None:
    """Whoever had given up asking asks again."""
    work = f"""
      {ALICE}
      gateway.stream = 'refused';
      const tab = await openTab((client) => client.user());
      await advance(60);
      gateway.user = null;
      await advance(31);
      tab.news();
      {ALICE}
      const other = await openTab((client) => client.user());
      await advance(5);
      const told = [...new Set(tab.news())];
      gateway.user = null;
      await advance(31);
      return [told, tab.news()];
    """
    assert in_tabs(work) == [["logged_in", "session"], ["ended unknown"]]


def test_polling_ends_when_the_stream_works_again() -> None:
    """In every tab."""
    work = f"""
      {ALICE}
      gateway.stream = 'refused';
      const tabs = [await openTab((client) => client.user()), await openTab((c) => c.user())];
      await advance(60);
      gateway.stream = 'open';
      await advance(300);
      gateway.asked = 0;
      await advance(300);
      return [tabs.map((tab) => tab.news().at(-2)), gateway.asked, openStreams().length];
    """
    links, asked, streams = in_tabs(work)
    assert links == ["link stream", "link tab"]
    assert (asked, streams) == (0, 1)


@pytest.mark.parametrize("said", ["null", "'text'", "{}", "{session_expires_in: 'soon'}", "[1]"])
def test_what_is_not_of_the_contract_is_passed_over(said: str) -> None:
    """From the stream or from another tab: no figures, no event."""
    work = f"""
      const channel = new BroadcastChannel('bff-session /bff');
      for (const message of [{said}, {{ kind: 'event', event: {said} }},
          {{ kind: 'event', event: {{ type: 'session' }} }}, {{ kind: 'state', state: {said} }}]) {{
        channel.postMessage(message);
      }}
      streams[0].say('refreshed', {said});
      await settle();
      return news();
    """
    assert in_tabs(THREE_TABS + work) == [[], [], []]


# --- without a stream -----------------------------------------------------------------------

WITHOUT = {
    "EventSource": "delete globalThis.EventSource;",
    "locks": "Object.defineProperty(globalThis, 'navigator', { value: {} });",
    "BroadcastChannel": "delete globalThis.BroadcastChannel;",
    "locks-refused": "locks.request = async () => { throw new Error('no'); };",
}


@pytest.mark.parametrize("missing", WITHOUT.values(), ids=WITHOUT)
def test_a_browser_without_the_means_is_polled(missing: str) -> None:
    """Every 30 s, without that counting as activity, in visible tabs only."""
    work = f"""
      {missing} {ALICE}
      const network = globalThis.fetch, paths = new Set();
      globalThis.fetch = (request) => {{
        paths.add(request.url.replace('https://app.test', ''));
        return network(request);
      }};
      const tab = await openTab();
      await advance(61);
      const [told, shown] = [tab.news(), gateway.asked];
      await show(false);
      await advance(600);
      const hidden = gateway.asked - shown;
      await show(true);
      return [told, shown, hidden, gateway.asked - shown, streams.length, [...paths]];
    """
    told, shown, hidden, again, streams, paths = in_tabs(work)
    assert set(told) == {"link polling", "session"}
    assert shown in (3, 4)
    assert (hidden, again, streams) == (0, 1, 0)
    assert paths == ["/bff/user?slide=false"]


def test_polling_tells_the_coming_end_the_end_and_the_next_login() -> None:
    """The same events as the stream's, later."""
    work = f"""
      {WITHOUT["EventSource"]}
      gateway.user = alice({{ idle_expires_in: 80 }});
      const tab = await openTab((client) => client.user());
      gateway.user = alice({{ idle_expires_in: 50 }});
      await advance(30);
      gateway.user = alice({{ idle_expires_in: 20 }});
      await advance(30);
      gateway.user = null;
      await advance(30);
      const asked = gateway.asked;
      await advance(300);
      const idle = gateway.asked - asked;
      {ALICE}
      await show(true);
      return [tab.news().filter((one) => one !== 'link polling'), idle];
    """
    told = ["session", "expiring", "session", "ended unknown", "logged_in", "session"]
    assert in_tabs(work) == [told, 0]


def test_polling_notices_another_user() -> None:
    """Somebody else has logged in, in another tab: ask who."""
    work = f"""
      {WITHOUT["locks"]} {ALICE}
      const tab = await openTab((client) => client.user());
      tab.news();
      gateway.user = {{ ...alice(), sub: 'bob' }};
      await advance(31);
      return tab.news();
    """
    assert in_tabs(work) == ["logged_in", "session"]


def test_polling_waits_while_the_gateway_is_away() -> None:
    """That is no end either."""
    work = f"""
      {WITHOUT["locks"]} {ALICE}
      const tab = await openTab((client) => client.user());
      tab.news();
      Object.assign(gateway, {{ isAway: true, retryAfter: 100, asked: 0 }});
      await advance(129);
      const asked = gateway.asked;
      gateway.isAway = false;
      await advance(10);
      return [tab.news(), asked];
    """
    assert in_tabs(work) == [["link away", "link polling", "session"], 1]


# --- listeners ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "trouble",
    ["", "gateway.isAway = true;", "gateway.stream = 'refused';", "gateway.user = null;"],
    ids=["live", "away", "refused", "nobody"],
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
      const {{ createClient }} = await import(SPA + 'bff-client.js');
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


def test_a_listener_that_fails_keeps_the_news_from_nobody() -> None:
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
