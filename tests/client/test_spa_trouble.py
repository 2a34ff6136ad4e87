"""The client's session events while the gateway is away, the stream is refused, or the browser
lacks the means: never an end, never a tight loop. Tabs run in Node (spa_tabs.mjs).
"""

import pytest

from tests.client.spa_node import ALICE, THREE_TABS, in_tabs, needs_node

pytestmark = needs_node


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
    """It is not known yet who is logged in; that is told when it can be."""
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


TOO_MANY = "gateway.away = { status: 429, code: 'rate_limited' };"
AWAY = pytest.mark.parametrize("away", ["", TOO_MANY], ids=["503", "429"])


@AWAY
def test_retry_after_is_kept(away: str) -> None:
    """The gateway says when it may be asked again."""
    work = f"""
      {away}
      await advance(30);
      Object.assign(gateway, {{ isAway: true, retryAfter: 45, asked: 0 }});
      streams[0].fail();
      await advance(44);
      const early = gateway.asked;
      await advance(3);
      return [early, gateway.asked];
    """
    assert in_tabs(THREE_TABS + work) == [1, 2]


def test_too_many_requests_are_no_end_and_no_reason_for_more() -> None:
    """429 without any Retry-After for ten minutes: a question now and then, each tab's session
    stays known, and goes on when the gateway answers again."""
    work = f"""
      {TOO_MANY}
      await advance(30);
      Object.assign(gateway, {{ isAway: true, retryAfter: 0, asked: 0 }});
      streams[0].fail();
      await advance(600);
      const asked = gateway.asked, meanwhile = news().flat();
      gateway.isAway = false;
      await advance(61);
      return [asked, meanwhile.filter((one) => one.startsWith('ended')), openStreams().length];
    """
    asked, ended, streams = in_tabs(THREE_TABS + work)
    assert 5 <= asked <= 20
    assert (ended, streams) == ([], 1)


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
    """A tab that had given up asking asks again."""
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
    """Another user has logged in, in another tab: ask for the user."""
    work = f"""
      {WITHOUT["locks"]} {ALICE}
      const tab = await openTab((client) => client.user());
      tab.news();
      gateway.user = {{ ...alice(), sub: 'bob' }};
      await advance(31);
      return tab.news();
    """
    assert in_tabs(work) == ["logged_in", "session"]


@AWAY
def test_polling_waits_while_the_gateway_is_away(away: str) -> None:
    """That is no end either."""
    work = f"""
      {away}
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
