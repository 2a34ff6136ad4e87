"""Metadata over the wire: what is believed, how long it is kept, how often it is asked for."""

import asyncio

import pytest

from bff.clock import ManualClock
from bff.errors import (
    OpAnswerMalformed,
    OpMetadataRefused,
    OpUnavailable,
)
from bff.oidc.relying_party import RelyingParty
from bff.oidc.steps.authorization import LoginRequest
from tests.integration.relying_party.steps import MakeRp
from tests.parts.scripted_op import Answer, ScriptedOp
from tests.polling import HANG_SECONDS, until


@pytest.mark.rule("AZ-17")
@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": "https://other.example.test"},
        {"token_endpoint": "http://op.example.test/token"},
        {"jwks_uri": None},
        {"code_challenge_methods_supported": ["plain"]},
    ],
)
async def test_metadata_that_may_not_be_used_starts_no_login(
    rp: RelyingParty, op: ScriptedOp, changes: dict[str, object]
) -> None:
    op.metadata_changes = changes
    with pytest.raises(OpMetadataRefused):
        await rp.authorization_request(LoginRequest())
    with pytest.raises(OpMetadataRefused):
        await rp.check()


@pytest.mark.rule("AZ-17")
async def test_endpoints_without_tls_are_taken_by_a_relaxation_only(
    make_rp: MakeRp, op: ScriptedOp
) -> None:
    """In a closed network, where the operator says so."""
    op.metadata_changes = {"token_endpoint": "http://op.example.test/token"}
    rp, relaxed = make_rp(), make_rp(allow_insecure_http=True)
    for each in (rp, relaxed):
        await each.start()
    assert (await relaxed.metadata()).token_endpoint == "http://op.example.test/token"
    with pytest.raises(OpMetadataRefused, match="token_endpoint"):
        await rp.metadata()


@pytest.mark.rule("AZ-17")
@pytest.mark.rule("ID-16")
async def test_a_redirected_discovery_is_not_followed(
    rp: RelyingParty, op: ScriptedOp, clock: ManualClock
) -> None:
    elsewhere = await ScriptedOp(clock).start()
    target = f"{elsewhere.issuer}/.well-known/openid-configuration"
    op.answers["discovery"] = Answer(status=302, headers={"Location": target})
    with pytest.raises(OpAnswerMalformed):
        await rp.metadata()
    await elsewhere.close()
    assert elsewhere.received == []


async def test_discovery_is_one_request_for_any_number_of_callers_and_kept_an_hour(
    rp: RelyingParty, op: ScriptedOp, clock: ManualClock
) -> None:
    await asyncio.gather(*(rp.metadata() for _ in range(20)))
    clock.advance(3599)
    await rp.metadata()
    assert op.count("discovery") == 1


async def test_an_op_that_is_down_does_not_take_its_known_metadata_along(
    rp: RelyingParty, op: ScriptedOp, clock: ManualClock
) -> None:
    """A login can still be started, and a logout still finds its way, from what is known."""
    known = await rp.metadata()
    op.answers["discovery"] = Answer(status=503)
    clock.advance(3601)
    assert await rp.metadata() == known
    await until(lambda: op.count("discovery") == 2)
    assert await rp.metadata() == known


async def test_an_old_document_serves_while_a_new_one_is_on_its_way(
    rp: RelyingParty, op: ScriptedOp, clock: ManualClock
) -> None:
    known = await rp.metadata()
    op.answers["discovery"] = Answer(hang=True)
    clock.advance(3601)
    async with asyncio.timeout(HANG_SECONDS):
        assert await rp.metadata() == known


@pytest.mark.parametrize("document", ["discovery", "jwks"])
async def test_closing_leaves_no_fetch_behind(
    rp: RelyingParty, op: ScriptedOp, clock: ManualClock, document: str
) -> None:
    await rp.check()
    op.answers[document] = Answer(hang=True)
    clock.advance(3601)
    await rp.check()
    await until(lambda: op.count(document) == 2)
    await until(lambda: len(fetching()) == 1)  # the other document has come
    await rp.close()
    assert fetching() == []


def fetching() -> list[str]:
    names = [str(task.get_coro()) for task in asyncio.all_tasks()]
    return [name for name in names if "Cached._run" in name]


async def test_a_down_op_is_asked_again_only_after_a_pause(
    rp: RelyingParty, op: ScriptedOp, clock: ManualClock
) -> None:
    op.answers["discovery"] = [Answer(status=503, headers={"Retry-After": "9"}), Answer(hang=True)]
    for _ in range(5):
        with pytest.raises(OpUnavailable) as caught:
            await rp.metadata()
        assert caught.value.retry_after == 9
    assert op.count("discovery") == 1
    op.answers.clear()
    clock.advance(5.1)
    assert (await rp.metadata()).issuer == op.issuer


async def test_a_caller_who_gives_up_does_not_spoil_the_fetch_for_the_others(
    rp: RelyingParty, op: ScriptedOp
) -> None:
    gave_up = asyncio.create_task(rp.metadata())
    stayed = asyncio.create_task(rp.metadata())
    await until(lambda: op.count("discovery") == 1)
    gave_up.cancel()
    assert (await stayed).issuer == op.issuer
    assert op.count("discovery") == 1
