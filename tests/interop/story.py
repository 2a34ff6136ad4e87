"""One story for every OP: what a user does at a gateway in front of it, step by step.

The OP, the gateway, an API and the browser are real and speak over loopback, in real time. Access
tokens live for ten seconds. `STEPS` is the order; each step begins where the one before ended.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from tests.interop.ops.provider import ACCESS_TOKEN_SECONDS, CLIENT_SECRET, Provider
from tests.interop.ops.relay import Grant, Relay, relaying
from tests.parts.browser import Browser
from tests.parts.browser_pages import Page
from tests.parts.configuration import Ports
from tests.parts.configuration import gateway_toml as usual_toml
from tests.parts.servers import Server, free_port, serving
from tests.parts.stack import running_gateway
from tests.polling import until

# Only a hang takes so long.
PATIENCE_SECONDS = 60.0
PAUSE_SECONDS = 0.25
# A token counts as expired in the last second of its life, and clocks are read one after another.
ROUNDING_SECONDS = 2.0
TABS = 10
NOT_OFFERED = "not offered"


class Api:
    """Accepts a token that the OP calls active; `bearers` are those it saw, in order. Calls with
    the same token share a question that is under way: an OP may take long over each."""

    def __init__(self, op: Provider) -> None:
        self._op = op
        self._asked: dict[str, asyncio.Task[bool]] = {}
        self.bearers: list[str] = []

    async def whoami(self, request: web.Request) -> web.Response:
        scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
        self.bearers.append(bearer)
        if scheme == "Bearer" and await self._is_active(bearer):
            return web.json_response({"active": True})
        return web.json_response({"error": "invalid_token"}, status=401)

    async def _is_active(self, bearer: str) -> bool:
        question = self._asked.get(bearer)
        if question is None:
            question = self._asked[bearer] = asyncio.create_task(self._op.is_active(bearer))
            question.add_done_callback(lambda _: self._asked.pop(bearer))
        return await asyncio.shield(question)


@dataclass(slots=True)
class Story:
    """What is running, and the browser that goes from step to step."""

    op: Provider
    relay: Relay
    front: Server = field(repr=False)
    api: Api
    browser: Browser
    origin: str

    @property
    def newest(self) -> Grant:
        return self.relay.grants[-1]

    async def call(self) -> Page:
        return await self.browser.fetch("GET", "/api/whoami")

    async def user_status(self) -> int:
        return (await self.browser.fetch("GET", "/bff/user")).status

    async def log_in(self, return_url: str = "/") -> Page:
        """Through the OP's forms, as far as it shows any."""
        await self.browser.navigate(f"{self.origin}/")
        page = await self.browser.click(f"/bff/login?returnUrl={return_url}")
        return (
            page if page.url.startswith(self.origin) else await self.op.log_in(self.browser, page)
        )

    async def have_a_fresh_token(self) -> None:
        """One that is not due for a while, so that no refresh is under way."""
        if time.time() > self.newest.expires_at - ACCESS_TOKEN_SECONDS / 2:
            await self.until_expired()
            assert (await self.call()).status == 200

    async def until_expired(self) -> None:
        """The rhythm of the story: return when the newest access token is no good any more."""
        await asyncio.sleep(max(0.0, self.newest.expires_at + 0.5 - time.time()))


async def logs_in(story: Story) -> None:
    landed = await story.log_in("/notes%3Fa=b")
    assert (landed.status, landed.url) == (200, f"{story.origin}/notes?a=b"), landed.text
    assert [grant.grant_type for grant in story.relay.grants] == ["authorization_code"]
    assert story.newest.refresh_token
    for page in (*landed.hops, landed):
        received = f"{page.text}{page.headers}"
        assert story.newest.access_token not in received
        assert story.newest.refresh_token not in received


async def sees_the_user(story: Story) -> None:
    answer = await story.browser.fetch("GET", "/bff/user")
    assert answer.status == 200
    assert {name: answer.json().get(name) for name in story.op.user} == story.op.user


async def calls_the_api(story: Story) -> None:
    answer = await story.call()
    assert (answer.status, answer.json()) == (200, {"active": True})
    assert story.api.bearers[-1] in {grant.access_token for grant in story.relay.grants}


async def is_refreshed(story: Story) -> None:
    """RFC 9700 section 4.14.2: the new token comes before the old one expires, and replaces it."""
    before = story.newest

    async def a_new_token_is_used() -> bool:
        assert (await story.call()).status == 200
        return story.newest is not before and story.api.bearers[-1] == story.newest.access_token

    await until(a_new_token_is_used, seconds=PATIENCE_SECONDS, every=PAUSE_SECONDS)
    assert story.newest.spent == before.refresh_token
    assert story.newest.refresh_token != before.refresh_token


async def calls_in_many_tabs(story: Story) -> None:
    """RFC 9700 section 4.14.2: calls that find an expired token share one refresh. (On a machine
    that stands still for long, the new token may have become due as well.)"""
    before, number = story.newest, len(story.relay.grants)
    await story.until_expired()
    answers = await asyncio.gather(*(story.call() for _ in range(TABS)))
    assert [answer.status for answer in answers] == [200] * TABS
    first, *later = story.relay.grants[number:]
    assert first.spent == before.refresh_token
    assert [
        one for one in later if one.asked_at < first.answered_at + ACCESS_TOKEN_SECONDS / 2
    ] == []
    assert story.relay.refused == []


async def outlives_an_outage(story: Story) -> None:
    """The OP is away: calls go on as long as the token is good, then 503, and the session stays."""
    await story.have_a_fresh_token()
    cookie, expires_at = story.browser.cookies.get("bff"), story.newest.expires_at
    await story.front.stop()
    refused: list[Page] = []

    async def is_refused() -> bool:
        answer = await story.call()
        assert answer.status in {200, 503}
        refused.extend([answer] * (answer.status == 503))
        return refused != []

    await until(is_refused, seconds=PATIENCE_SECONDS, every=PAUSE_SECONDS)
    assert time.time() > expires_at - ROUNDING_SECONDS
    assert int(refused[0].headers["Retry-After"]) > 0
    assert await story.user_status() == 200

    await story.front.start()

    async def works_again() -> bool:
        answer = await story.call()
        assert answer.status in {200, 503}
        return answer.status == 200

    await until(works_again, seconds=PATIENCE_SECONDS, every=PAUSE_SECONDS)
    assert story.browser.cookies.get("bff") == cookie
    assert story.relay.refused == []


async def logs_out(story: Story) -> None:
    """RP-Initiated Logout 1.0: here, then there, with the refresh token revoked (RFC 7009); the
    browser returns, and the next login asks for the user."""
    await story.have_a_fresh_token()
    last = story.newest
    user = await story.browser.fetch("GET", "/bff/user")
    page = await story.browser.click(user.json()["bff"]["logout_url"])
    if not page.url.startswith(story.origin):
        page = await story.op.confirm_logout(story.browser, page)
    assert (page.status, page.url.split("?")[0]) == (200, f"{story.origin}/")
    assert await story.user_status() == 401

    if "revocation_endpoint" in await story.op.metadata():
        await until(lambda: last.refresh_token in story.relay.revoked, seconds=PATIENCE_SECONDS)
    assert await story.op.refuses(last.refresh_token)
    page = await story.browser.click("/bff/login")
    assert page.url.startswith(story.op.place.public), "the OP still knows the user"


async def is_signed_out_at_the_op(story: Story) -> str | None:
    """Back-Channel Logout 1.0: the session ends here without a call, as soon as the OP says so."""
    if not story.op.tells_of_logouts:
        assert not (await story.op.metadata()).get("backchannel_logout_supported")
        return NOT_OFFERED
    await story.log_in()
    assert await story.user_status() == 200
    await story.op.sign_out(story.browser)
    await story.browser.navigate(f"{story.origin}/")

    async def is_gone() -> bool:
        return await story.user_status() == 401

    await until(is_gone, seconds=PATIENCE_SECONDS, every=PAUSE_SECONDS)
    return None


async def loses_its_grant(story: Story) -> None:
    """RFC 6749 section 5.2: revoked at the OP, found out at the next refresh, and final."""
    await story.log_in()
    assert (await story.call()).status == 200
    await story.op.revoke(story.newest.refresh_token)
    await story.until_expired()
    refused: list[Page] = []

    async def is_over() -> bool:
        refused.append(await story.call())
        return refused[-1].status == 401

    await until(is_over, seconds=PATIENCE_SECONDS, every=PAUSE_SECONDS)
    assert refused[-1].json()["code"] == "session_ended"
    assert await story.user_status() == 401


STEPS: dict[str, Callable[[Story], Awaitable[str | None]]] = {
    "login": logs_in,
    "user": sees_the_user,
    "API call": calls_the_api,
    "refresh, rotated": is_refreshed,
    "ten calls, one refresh": calls_in_many_tabs,
    "OP away and back": outlives_an_outage,
    "logout here": logs_out,
    "logout at the OP": is_signed_out_at_the_op,
    "grant revoked": loses_its_grant,
}


@asynccontextmanager
async def running_story(op: Provider) -> AsyncIterator[Story]:
    """A gateway registered at that OP, and a browser in front of it."""
    api, port = Api(op), free_port()
    application = web.Application()
    application.router.add_get("/whoami", api.whoami)
    async with (
        relaying(op.place.public_port, op.place.direct) as (relay, front),
        serving(application, port),
        running_gateway(gateway_toml(op, port)),
        Browser() as browser,
    ):
        yield Story(op, relay, front, api, browser, op.place.gateway)


def gateway_toml(op: Provider, api_port: int) -> str:
    port = int(op.place.gateway.rpartition(":")[2])
    oidc = f"""
issuer = "{op.issuer}"
client_id = "{op.client_id}"
client_secret = "{CLIENT_SECRET}"
scope = "{op.scope}"
{op.further_toml}
"""
    return usual_toml(Ports(port, free_port(), op=op.place.public_port, api=api_port), oidc=oidc)
