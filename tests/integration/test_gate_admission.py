"""What a decision waits for is found, and asked about again: with real sessions, refreshes and
tokens."""

import asyncio
import dataclasses
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from bff.clock import ManualClock
from bff.errors import StoreUnavailable
from bff.gate.admission import Admission
from bff.gate.csrf import CsrfGuard
from bff.gate.decision import Gate
from bff.gate.endpoints import EndpointTable
from bff.gate.forwarding import Forwarding
from bff.gate.frontend import Frontend, FrontendRules
from bff.gate.head import Field, RequestHead
from bff.gate.outcome import Answer, Forward, Local, Needs, Wait
from bff.gate.peers import TrustedProxies
from bff.gate.routes import Route, RouteTable, TokenKind, Upstream
from bff.model import Session
from bff.oidc.relying_parties import RelyingParties
from bff.oidc.relying_party import RelyingParty
from bff.tokens.client_tokens import ClientTokens
from bff.tokens.exchanged_tokens import ExchangedTokens
from bff.tokens.introspected_tokens import IntrospectedTokens
from bff.tokens.policy import RefreshPolicy
from tests.integration.relying_party.steps import settings_for
from tests.parts.refreshing import POLICY, Process, a_process
from tests.parts.rotating_op import INVALID_GRANT, RotatingOp
from tests.parts.scripted_op import Answer as OpAnswer
from tests.parts.scripted_op import ScriptedOp
from tests.parts.scripted_store import ScriptedStore
from tests.parts.written_log import written_log
from tests.polling import HANG_SECONDS, until

API = Upstream("http", "127.0.0.1:9000", "")
ROUTES = [
    Route("/api", (API,)),
    Route("/service", (API,), token=TokenKind.CLIENT, scope="s"),
    Route("/catalog", (API,), token=TokenKind.CLIENT, scope="c", anonymous=True),
]


@dataclass
class Place:
    """A gate, and what its decisions wait for. A cookie's value is the key of its session."""

    admission: Admission
    unlimited: Admission
    process: Process
    store: ScriptedStore
    clock: ManualClock
    op: RotatingOp
    clients_op: ScriptedOp
    over_limit: dict[str, float] = field(default_factory=dict)

    async def log_in(self, *, lifetime: float = 3600) -> Session:
        tokens = self.op.grant("a")
        tokens = dataclasses.replace(tokens, expires_at=tokens.obtained_at + lifetime)
        return await self.process.sessions.create(
            secrets.token_hex(32), issuer=self.op.issuer, sub=self.op.sub, sid="s", tokens=tokens
        )

    def forget(self) -> None:
        """Nothing of the store is in memory any more."""
        self.clock.advance(POLICY.cache_seconds + 1)


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    clock = ManualClock()
    store = ScriptedStore(clock)
    op, clients_op = RotatingOp(clock), ScriptedOp(clock)
    await op.start()
    await clients_op.start()
    relying_party = RelyingParty(settings_for(clients_op.issuer), clock)
    await relying_party.start()
    async with a_process(store, op, clock) as process:
        frontend = Frontend(
            FrontendRules(
                hosts=frozenset({b"app.example"}),
                session_cookie=b"bff",
                binder_cookie=b"bff-login",
                endpoints=EndpointTable("/bff"),
            ),
            RouteTable(ROUTES),
            CsrfGuard(b"https://app.example"),
            Forwarding(public_scheme="https", public_host="app.example", via_name="bff-test"),
            session_key_of=lambda value: value,
            cached=process.sessions.cached,
            refresh_policy=RefreshPolicy(20),
            clock=clock,
        )
        limits: dict[str, float] = {}
        gate = Gate([frontend], TrustedProxies([]))
        tokens = {relying_party.name: ClientTokens(relying_party, clock)}
        sessions, coordinator = process.sessions, process.coordinator
        exchanged = ExchangedTokens(
            RelyingParties([relying_party]), sessions, coordinator, RefreshPolicy(20), clock
        )
        introspected = IntrospectedTokens(RelyingParties([relying_party]), clock)
        parts = (gate, sessions, coordinator, tokens, exchanged, introspected)
        admission, unlimited = Admission(*parts, limits.get), Admission(*parts)
        yield Place(admission, unlimited, process, store, clock, op, clients_op, limits)
    await relying_party.close()
    await clients_op.close()
    await op.close()


def head(session: Session | None, path: bytes = b"/api/x", *fields: Field) -> RequestHead:
    cookies = [] if session is None else [(b"Cookie", f"bff={session.key}".encode())]
    sent = [(b"Host", b"app.example"), (b"X-CSRF", b"1"), *cookies, *fields]
    return RequestHead("GET", path, sent, "203.0.113.9")


def forwarded(decision: Forward | Local | Answer | Wait | None) -> tuple[bytes, Session | None]:
    """The token that goes along, and the session."""
    assert isinstance(decision, Forward), decision
    return dict(decision.fields)[b"Authorization"].removeprefix(b"Bearer "), decision.session


def refused(decision: Forward | Local | Answer | Wait) -> tuple[str, bool]:
    assert isinstance(decision, Answer), decision
    return decision.error.code, decision.clear_cookie


# --- the session


async def test_a_session_in_memory_is_not_waited_for_and_its_call_is_activity(place: Place) -> None:
    session = await place.log_in()
    place.clock.advance(600)
    token, found = forwarded(place.admission.decide(head(session)))
    assert (token, found and found.key) == (b"at.a.0", session.key)
    current = place.process.sessions.cached(session.key)
    assert current is not None
    assert current.idle_expires_at == place.clock.now() + POLICY.idle_seconds


async def test_a_session_in_the_store_is_found_there_and_its_call_is_activity(place: Place) -> None:
    session = await place.log_in()
    place.forget()
    asked = place.admission.decide(head(session))
    assert isinstance(asked, Wait)
    assert asked.needs is Needs.SESSION
    token, found = forwarded(await place.admission.admit(head(session)))
    assert token == b"at.a.0"
    assert found is not None
    current = place.process.sessions.cached(session.key)
    assert current is not None
    assert current.idle_expires_at > session.idle_expires_at


async def test_a_session_that_is_gone_is_told_and_its_cookie_taken_away(place: Place) -> None:
    session = await place.log_in()
    place.store.lose(session.key)
    place.forget()
    assert refused(await place.admission.admit(head(session))) == ("not_authenticated", True)
    binder = (b"Cookie", b"bff-login=b")
    answer = await place.admission.admit(head(session, b"/api/x", binder))
    assert refused(answer) == ("not_authenticated", False)


async def test_a_store_that_is_away_costs_no_cookie(place: Place) -> None:
    session = await place.log_in()
    place.forget()
    place.store.faults["load"] = [StoreUnavailable("away") for _ in range(10)]
    assert refused(await place.admission.admit(head(session))) == ("store_unavailable", False)


# --- its token


async def test_a_token_that_has_expired_is_replaced_before_the_call_goes_on(place: Place) -> None:
    session = await place.log_in(lifetime=60)
    place.clock.advance(61)
    asked = place.admission.decide(head(session))
    assert isinstance(asked, Wait)
    assert asked.needs is Needs.FRESH_TOKEN
    token, found = forwarded(await place.admission.admit(head(session)))
    assert (token, found and found.key) == (b"at.a.1", session.key)


async def test_a_new_token_is_used_although_it_has_no_life_left(place: Place) -> None:
    """At an OP that takes longer than its tokens live: to wait again would never end."""

    def slowly(answer: OpAnswer) -> OpAnswer:
        place.clock.advance(5)
        return answer

    session = await place.log_in(lifetime=60)
    place.clock.advance(61)
    place.op.expires_in, place.op.fault = 1, slowly
    async with asyncio.timeout(HANG_SECONDS):
        forwarded(await place.admission.admit(head(session)))
    sent = place.op.count("token")
    newer = place.process.sessions.cached(session.key)
    assert newer is not None
    place.clock.advance(300)
    forwarded(
        await place.admission.with_another_token(head(session), newer, newer.tokens.access_token)
    )
    assert sent == 2
    assert place.op.count("token") == 3


@pytest.mark.parametrize(
    ("said", "code", "clear"),
    [
        (INVALID_GRANT, "session_ended", True),
        (OpAnswer(status=503), "op_unavailable", False),
    ],
)
async def test_only_the_end_of_a_session_takes_its_cookie_away(
    place: Place, said: OpAnswer, code: str, clear: bool
) -> None:
    session = await place.log_in(lifetime=60)
    place.clock.advance(61)
    place.op.refuse = said
    assert refused(await place.admission.admit(head(session))) == (code, clear)


async def test_a_token_that_will_soon_expire_is_replaced_in_the_background(place: Place) -> None:
    session = await place.log_in(lifetime=60)
    assert forwarded(await place.admission.admit(head(session)))[0] == b"at.a.0"
    place.clock.advance(59)
    place.op.deliver.clear()
    assert forwarded(await place.admission.admit(head(session)))[0] == b"at.a.0"
    await until(lambda: place.op.count("token") == 1)
    place.op.deliver.set()
    await until(lambda: forwarded(place.admission.decide(head(session)))[0] == b"at.a.1")


async def test_a_token_that_is_good_is_left_alone(place: Place) -> None:
    session = await place.log_in()
    for _ in range(3):
        await place.admission.admit(head(session))
    await place.process.coordinator.close(HANG_SECONDS)
    assert place.op.count("token") == 0


async def test_a_token_that_an_api_refuses_is_replaced_if_it_is_not_new(place: Place) -> None:
    session = await place.log_in()
    assert await place.admission.with_another_token(head(session), session, "at.a.0") is None
    place.clock.advance(300)
    token, found = forwarded(
        await place.admission.with_another_token(head(session), session, "at.a.0")
    )
    assert (token, found and found.key) == (b"at.a.1", session.key)
    place.clock.advance(300)
    unfit = dataclasses.replace(head(session), method="DELETE", target=b"/nowhere")
    newer = place.process.sessions.cached(session.key)
    assert newer is not None
    assert await place.admission.with_another_token(unfit, newer, "at.a.1") is None


# --- a token of the gateway's own


async def test_a_client_token_goes_with_a_session_or_where_none_is_needed(place: Place) -> None:
    session = await place.log_in()
    token, found = forwarded(await place.admission.admit(head(session, b"/service/x")))
    assert (token, found and found.key) == (b"at-1", session.key)
    assert refused(await place.admission.admit(head(None, b"/service/x")))[0] == "not_authenticated"
    assert forwarded(await place.admission.admit(head(None, b"/catalog/x"))) == (b"at-2", None)
    scopes = [sent.form["scope"] for sent in place.clients_op.received if sent.endpoint == "token"]
    assert scopes == ["s", "c"]
    assert place.op.count("token") == 0


async def test_a_logout_while_a_client_token_is_waited_for_comes_first(place: Place) -> None:
    session = await place.log_in()
    call = head(session, b"/service/x")
    asked = place.admission.decide(call)
    assert isinstance(asked, Wait)
    assert asked.needs is Needs.CLIENT_TOKEN
    await place.process.sessions.end(session, "logout")
    assert refused(await place.admission.settle(call, asked)) == ("session_ended", True)
    assert forwarded(await place.admission.admit(head(None, b"/catalog/x")))[1] is None


# --- limits, and what is told


async def test_a_call_past_the_limit_is_refused_and_is_no_activity(place: Place) -> None:
    """Also one that has waited. The seconds are whole ones, never too few."""
    session = await place.log_in()
    place.over_limit[session.key] = 2.5
    place.clock.advance(600)
    at_once = await place.admission.admit(head(session))
    place.forget()
    waited = await place.admission.admit(head(session))
    for answer in (at_once, waited):
        assert refused(answer) == ("rate_limited", False)
        assert isinstance(answer, Answer)
        assert answer.error.retry_after == 3
    found = await place.process.sessions.load(session.key)
    assert found is not None
    assert found.idle_expires_at == session.idle_expires_at
    place.over_limit.clear()
    forwarded(await place.admission.admit(head(session)))


async def test_without_a_limit_all_calls_pass(place: Place) -> None:
    session = await place.log_in()
    forwarded(await place.unlimited.admit(head(session)))


async def test_the_names_of_fields_that_are_taken_away_are_told_and_cut(place: Place) -> None:
    session = await place.log_in()
    forged = [(b"X-Forwarded-" + b"%03d" % number + b"a" * 100, b"secret") for number in range(40)]
    with written_log("debug") as log:
        await place.admission.admit(head(session))
        assert log.of("fields_stripped") == []
        await place.admission.admit(head(session, b"/api/x", *forged))
    (entry,) = log.of("fields_stripped")
    assert entry["names"] == [name[:64].decode() for name, _ in forged[:32]]
    assert "secret" not in log.text
