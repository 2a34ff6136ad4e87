"""Event streams and WebSockets through the gateway, in every engine."""

import pytest

from tests.e2e.engines.person import LOGIN, LOGOUT, Person
from tests.polling import until

pytestmark = pytest.mark.asyncio(loop_scope="package")

TWO_TICKS = """
  const source = new EventSource('/api/streams/stream'), subs = [];
  await new Promise((resolve, reject) => {
    source.addEventListener('tick', (event) => {
      if (subs.push(JSON.parse(event.data).sub) === 2) resolve();
    });
    source.onerror = () => reject(new Error('the stream broke'));
  });
  source.close();
  return subs;
"""
LISTEN = """
  window.heard = [];
  const source = new EventSource('/bff/events');
  for (const type of ['session', 'refreshed', 'ended', 'error']) {
    source.addEventListener(type, () => window.heard.push(type));
  }
"""
CONNECT = """
  const url = new URL('/api/test/socket', location.href);
  url.protocol = url.protocol.replace('http', 'ws');
  const socket = new WebSocket(url);
  socket.onclose = (event) => { window.closedWith = event.code; };
  return new Promise((resolve, reject) => {
    socket.onopen = () => socket.send('hello');
    socket.onmessage = (event) => resolve(event.data);
    socket.onerror = () => reject(new Error('the socket broke'));
  });
"""


async def test_an_event_stream_of_the_api(person: Person) -> None:
    """`EventSource` can send no header of ours: the route asks for the same origin instead."""
    await person.log_in("alice")
    client = await person.open_client()
    assert await client.run(TWO_TICKS) == ["alice", "alice"]


async def test_the_session_s_own_stream_lives_as_long_as_the_session(at_https: Person) -> None:
    """On a connection that was used before, through several refreshes, to the logout. It breaks
    once only: after the end."""
    page = await at_https.log_in("alice")
    client = await at_https.open_client()
    await client.run(LISTEN)

    async def has_heard(kind: str, times: int) -> bool:
        return bool((await client.run("return window.heard;")).count(kind) >= times)

    await until(lambda: has_heard("refreshed", 2), every=0.2)
    await page.click(LOGOUT)
    await page.expect_shown(LOGIN)
    await until(lambda: has_heard("ended", 1), every=0.1)
    heard = await client.run("return window.heard;")
    assert heard[0] == "session"
    assert "error" not in heard[: heard.index("ended")]


async def test_a_websocket_ends_with_the_session(person: Person) -> None:
    """RFC 6455: opened with the user's token, closed with 4401 at the logout."""
    page = await person.log_in("alice")
    client = await person.open_client()
    assert await client.run(CONNECT) == "echo hello"
    assert await client.run("return window.closedWith;") is None
    await page.click(LOGOUT)
    await page.expect_shown(LOGIN)

    async def is_closed() -> bool:
        return await client.run("return window.closedWith;") is not None

    await until(is_closed, every=0.1)
    assert await client.run("return window.closedWith;") == 4401
