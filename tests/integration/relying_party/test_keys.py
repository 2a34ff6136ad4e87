"""Key rotation at the OP, and what an attacker cannot make of it."""

import asyncio

import pytest

from bff.clock import ManualClock
from bff.errors import (
    IdTokenInvalid,
    OpUnavailable,
)
from bff.oidc.relying_party import RelyingParty
from tests.integration.relying_party.steps import begin, log_in
from tests.parts.scripted_op import Answer, ScriptedOp, signing_key


@pytest.mark.rule("ID-08")
async def test_a_rotated_key_is_followed_by_one_fetch(rp: RelyingParty, op: ScriptedOp) -> None:
    """OIDC Core section 10.1.1, also right after the first fetch, and for all who need it."""
    session = await log_in(rp, op)
    op.keys = [signing_key(kid="k2", number=2)]
    refreshed = await asyncio.gather(*(rp.refresh(session) for _ in range(5)))
    assert all(each.claims is not None for each in refreshed)
    assert op.count("jwks") == 2


@pytest.mark.rule("ID-08")
async def test_a_rotated_key_without_a_kid_is_followed_too(
    rp: RelyingParty, op: ScriptedOp
) -> None:
    op.keys = [signing_key(kid=None)]
    await log_in(rp, op)
    op.keys = [signing_key(kid=None, number=2)]
    await log_in(rp, op)
    assert op.count("jwks") == 2


@pytest.mark.rule("mod_auth_openidc-2026-08-12")
@pytest.mark.rule("ID-08")
async def test_unknown_kids_cannot_drive_fetches(
    rp: RelyingParty, op: ScriptedOp, clock: ManualClock
) -> None:
    await rp.check()
    known = op.keys
    for number in range(30):
        op.keys = [signing_key(kid=f"unknown-{number}", number=2)]
        op.answers["jwks"] = Answer({"keys": [key.jwk() for key in known]})
        with pytest.raises(IdTokenInvalid, match="key_unknown"):
            await rp.redeem("c", await begin(rp, op))
    assert op.count("jwks") == 2
    clock.advance(10)
    with pytest.raises(IdTokenInvalid, match="key_unknown"):
        await rp.redeem("c", await begin(rp, op))
    assert op.count("jwks") == 3


@pytest.mark.rule("ID-08")
async def test_a_new_key_under_the_old_kid_is_followed_too(
    rp: RelyingParty, op: ScriptedOp
) -> None:
    """By a login and by a refresh; a bad signature is no proof while the keys are old."""
    session = await log_in(rp, op)
    op.keys = [signing_key(number=2)]
    assert (await rp.refresh(session)).claims is not None
    assert (await log_in(rp, op)).sub == "alice"
    assert op.count("jwks") == 2


@pytest.mark.rule("ID-08")
async def test_bad_signatures_of_a_known_key_can_not_drive_fetches(
    rp: RelyingParty, op: ScriptedOp, clock: ManualClock
) -> None:
    await rp.check()
    published = [key.jwk() for key in op.keys]
    op.answers["jwks"] = Answer({"keys": published})
    op.keys = [signing_key(number=2)]
    for _ in range(30):
        with pytest.raises(IdTokenInvalid, match="signature"):
            await rp.redeem("c", await begin(rp, op))
    assert op.count("jwks") == 2
    clock.advance(10)
    with pytest.raises(IdTokenInvalid, match="signature"):
        await rp.redeem("c", await begin(rp, op))
    assert op.count("jwks") == 3


@pytest.mark.rule("ID-08")
async def test_a_signature_is_not_judged_while_the_keys_can_not_be_had(
    rp: RelyingParty, op: ScriptedOp
) -> None:
    """OP trouble for a login, and no matter for a refresh, which keeps what was rotated."""
    session = await log_in(rp, op)
    op.answers["jwks"] = Answer(status=500)
    op.keys = [signing_key(number=2)]
    assert (await rp.refresh(session)).tokens.refresh_token == "rt-2"
    with pytest.raises(OpUnavailable):
        await rp.redeem("c", await begin(rp, op))


@pytest.mark.rule("ID-08")
async def test_a_failing_key_fetch_keeps_the_old_keys(
    rp: RelyingParty, op: ScriptedOp, clock: ManualClock
) -> None:
    await log_in(rp, op)
    good = op.keys
    op.answers["jwks"] = Answer(status=500)
    op.keys = [signing_key(kid="unknown", number=2)]
    with pytest.raises(OpUnavailable):  # nothing is known about this signature
        await rp.redeem("c", await begin(rp, op))
    op.keys = good
    await log_in(rp, op)
    clock.advance(3601)
    await log_in(rp, op)


@pytest.mark.rule("ID-08")
async def test_a_key_fetch_that_failed_once_is_forgotten_with_the_next_that_works(
    rp: RelyingParty, op: ScriptedOp, clock: ManualClock
) -> None:
    await log_in(rp, op)
    op.answers["jwks"] = Answer(status=500)
    op.keys = [signing_key(kid="k2", number=2)]
    with pytest.raises(OpUnavailable):
        await rp.redeem("c", await begin(rp, op))
    del op.answers["jwks"]
    clock.advance(10)
    await log_in(rp, op)
    op.keys = [signing_key(kid="k3", number=3)]
    op.answers["jwks"] = Answer({"keys": [signing_key(kid="k2", number=2).jwk()]})
    with pytest.raises(IdTokenInvalid, match="key_unknown"):  # and not the old failure again
        await rp.redeem("c", await begin(rp, op))


async def test_no_code_is_spent_when_there_are_no_keys(rp: RelyingParty, op: ScriptedOp) -> None:
    op.answers["jwks"] = Answer(status=500)
    transaction = await begin(rp, op)
    with pytest.raises(OpUnavailable):
        await rp.redeem("c", transaction)
    assert op.count("token") == 0
