"""The clients of several OPs together: whether one of them allows a login."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from bff.clock import ManualClock
from bff.errors import LogoutTokenInvalid, OpUnavailable
from bff.oidc.relying_parties import RelyingParties
from bff.oidc.relying_party import RelyingParty
from bff.oidc.steps.authorization import LoginRequest
from tests.integration.relying_party.steps import MakeRp, settings_for
from tests.integration.relying_party.test_logout_token import signed
from tests.parts.scripted_op import Answer, ScriptedOp
from tests.polling import until

ONLY_A_HANG = 60.0
CHECKS = 40


def gone(clock: ManualClock) -> RelyingParty:
    """A client of an OP that is not there."""
    return RelyingParty(settings_for("http://127.0.0.1:1", name="gone"), clock)


@asynccontextmanager
async def beside_a_silent_op(
    clock: ManualClock, works: RelyingParty
) -> AsyncIterator[tuple[RelyingParties, ScriptedOp]]:
    """Two clients: the first one's OP takes connections and does not answer."""
    silent = await ScriptedOp(clock).start()
    silent.answers["discovery"] = Answer(hang=True)
    settings = settings_for(silent.issuer, name="silent", timeout_seconds=600.0)
    parties = RelyingParties([RelyingParty(settings, clock), works])
    await parties.start()
    try:
        yield parties, silent
    finally:
        await parties.close()
        await silent.close()


async def test_one_op_that_does_not_answer_is_not_waited_for(
    op: ScriptedOp, make_rp: MakeRp, clock: ManualClock
) -> None:
    """`/readyz` and a new process ask whether one works, also while another takes its time."""
    async with beside_a_silent_op(clock, make_rp()) as (parties, silent):
        async with asyncio.timeout(ONLY_A_HANG):
            await parties.check()
        await until(lambda: silent.count("discovery") == 1)


async def test_a_check_leaves_nothing_behind(
    op: ScriptedOp, make_rp: MakeRp, clock: ManualClock
) -> None:
    """`/readyz` asks every few seconds, for as long as an OP does not answer."""
    async with beside_a_silent_op(clock, make_rp()) as (parties, _):
        await parties.check()
        before = len(asyncio.all_tasks())
        for _ in range(CHECKS):
            await parties.check()
        await until(lambda: len(asyncio.all_tasks()) < before + CHECKS / 2)


async def test_without_one_that_works_it_is_the_trouble_of_the_default(
    op: ScriptedOp, make_rp: MakeRp, clock: ManualClock
) -> None:
    op.answers["discovery"] = Answer(status=503)
    parties = RelyingParties([make_rp(), gone(clock)])
    await parties.start()
    with pytest.raises(OpUnavailable, match="503"):
        await parties.check()
    await parties.close()


async def test_all_are_asked_ahead_of_the_first_login(
    op: ScriptedOp, make_rp: MakeRp, clock: ManualClock
) -> None:
    """Whatever is wrong with one of them."""
    parties = RelyingParties([make_rp(), gone(clock), make_rp(name="other")])
    await parties.start()
    await parties.warm_up()
    assert (op.count("discovery"), op.count("jwks")) == (2, 2)
    await parties.close()


@pytest.mark.parametrize(
    ("changes", "check"), [({"aud": "another"}, "aud"), ({"iss": "https://x.test"}, "iss")]
)
async def test_a_logout_token_for_none_is_refused_for_what_is_wrong_with_it(
    op: ScriptedOp, make_rp: MakeRp, clock: ManualClock, changes: dict[str, Any], check: str
) -> None:
    """The log tells an operator which of the checks of the first one it may be for has failed."""
    parties = RelyingParties([gone(clock), make_rp(), make_rp(name="other")])
    await parties.start()
    with pytest.raises(LogoutTokenInvalid) as caught:
        await parties.logout_token(signed(op, **changes))
    assert caught.value.check == check
    assert len(await parties.logout_token(signed(op))) == 2
    await parties.close()


async def test_they_are_known_by_name_and_by_the_domains_of_their_users(
    make_rp: MakeRp, clock: ManualClock
) -> None:
    acme = RelyingParty(
        settings_for("http://127.0.0.1:1", name="acme", email_domains=("acme.example",)), clock
    )
    default = make_rp()
    parties = RelyingParties([default, acme])
    assert (parties["acme"], parties.get("acme"), parties.get("other")) == (acme, acme, None)
    assert "acme" in parties
    assert "other" not in parties
    assert (len(parties), list(parties), parties.default) == (2, [default, acme], default)
    for address in ("ann@acme.example", "ann@ACME.example", "a@b@acme.example"):
        assert parties.of_domain(address) is acme
    for address in ("ann@x.acme.example", "ann@acme.example.test", "acme.example", "@", ""):
        assert parties.of_domain(address) is None


async def test_a_lone_one_judges_every_logout_token_itself(make_rp: MakeRp) -> None:
    """Then the check that is told is that of what is wrong, not that no provider is meant."""
    parties = RelyingParties([make_rp()])
    await parties.start()
    with pytest.raises(LogoutTokenInvalid) as caught:
        await parties.logout_token("no.token")
    assert caught.value.check == "shape"


async def test_each_application_has_addresses_of_its_own_at_the_same_client(
    make_rp: MakeRp,
) -> None:
    rp = make_rp()
    await rp.start()
    there, back = "https://b.example.test/bff/callback", "https://b.example.test/bye"
    other = rp.at(there, back, ("b.example.test",))
    for one, addresses in (
        (rp, (rp.settings.redirect_uri, rp.settings.post_logout_redirect_uri)),
        (other, (there, back)),
    ):
        asked = parse_qs(urlsplit((await one.authorization_request(LoginRequest())).url).query)
        left = parse_qs(urlsplit(await one.end_session_url(None, "s") or "").query)
        said = (asked["redirect_uri"], left["post_logout_redirect_uri"])
        assert said == tuple([address] for address in addresses)
    assert (other.settings.email_domains, rp.settings.email_domains) == (("b.example.test",), ())


async def test_a_logout_token_for_one_of_several_clients_at_an_op_is_for_that_one(
    op: ScriptedOp, make_rp: MakeRp, clock: ManualClock
) -> None:
    """Those before and behind it refuse it, as it names them not."""
    others = [make_rp(name=name, client_id=name) for name in ("before", "behind")]
    parties = RelyingParties([others[0], make_rp(name="meant"), others[1], gone(clock)])
    await parties.start()
    notices = await parties.logout_token(signed(op))
    assert [notice.provider for notice in notices] == ["meant"]
    await parties.close()
