"""A logout during a refresh, and what becomes of the tokens that come after it."""

import pytest

from bff.clock import ManualClock
from bff.errors import OpUnavailable, SessionEnded
from bff.model import public_id
from bff.sessions.memory import MemoryStore
from tests.integration.refreshing.deployment import Deployment, revoked_at
from tests.parts.refreshing import Process, a_process
from tests.parts.rotating_op import RotatingOp
from tests.parts.scripted_op import Answer
from tests.parts.scripted_store import ScriptedStore
from tests.parts.written_log import written_log
from tests.polling import HANG_SECONDS, until


@pytest.mark.rule("SE-06")
async def test_a_logout_during_a_refresh_wins_and_its_late_tokens_are_revoked(
    deployment: Deployment,
) -> None:
    first, second = await deployment.process(), await deployment.process()
    session = await first.log_in(deployment.op, "a")
    deployment.clock.advance(61)
    task = await first.refreshing(session, deployment.op)
    await second.ender.end(session.key, "logout")
    await until(lambda: first.sessions.end_reason(session.key) == "logout")
    deployment.op.deliver.set()
    with pytest.raises(SessionEnded):
        await task
    assert await first.sessions.load_fresh(session.key) is None
    assert deployment.op.current["a"] in revoked_at(deployment.op)


@pytest.mark.rule("TK-07")
async def test_a_logout_during_such_a_refresh_revokes_the_rotated_token(
    deployment: Deployment,
) -> None:
    first, second = await deployment.process(), await deployment.process()
    session = await first.log_in(deployment.op, "a")
    deployment.clock.advance(61)
    deployment.op.token_changes = {"access_token": None}
    task = await first.refreshing(session, deployment.op)
    await second.ender.end(session.key, "logout")
    await until(lambda: first.sessions.end_reason(session.key) == "logout")
    deployment.op.deliver.set()
    with pytest.raises(SessionEnded):
        await task
    assert deployment.op.current["a"] in revoked_at(deployment.op)


async def test_where_logouts_do_not_revoke_late_tokens_are_not_either(
    op: RotatingOp, clock: ManualClock
) -> None:
    """`oidc.revoke_on_logout = false`."""
    async with a_process(MemoryStore(clock), op, clock, revoke=False) as process:
        session = await process.log_in(op, "a")
        clock.advance(61)
        task = await process.refreshing(session, op)
        await process.ender.end(session.key, "logout")
        op.deliver.set()
        with pytest.raises(SessionEnded):
            await task
        await process.ender.close(HANG_SECONDS)
        assert revoked_at(op) == []


@pytest.mark.rule("TK-14")
@pytest.mark.parametrize(
    ("reason", "is_revoked"),
    [("logout", True), ("admin", True), ("replaced", False), (None, False)],
)
async def test_late_tokens_are_revoked_unless_a_new_login_may_live_on_them(
    process: Process,
    store: ScriptedStore,
    op: RotatingOp,
    clock: ManualClock,
    reason: str | None,
    is_revoked: bool,
) -> None:
    """At many OPs the session of a new login has the same grant: a revocation would end it. None:
    the record is gone and nothing was told, as after a login that another process served."""
    session = await process.log_in(op, "a")
    clock.advance(61)
    task = await process.refreshing(session, op)
    if reason is None:
        store.lose(session.key)
    else:
        await process.ender.end(session.key, reason, revoke=False)
    op.deliver.set()
    with pytest.raises(SessionEnded):
        await task
    await process.ender.close(20)
    revoked = [it.form["token"] for it in op.received if it.endpoint == "revocation"]
    assert (op.current["a"] in revoked) is is_revoked


async def test_the_failures_of_a_session_end_with_it(
    process: Process, op: RotatingOp, clock: ManualClock
) -> None:
    """A request that comes after the logout is told of the end, and not to try again."""
    session = await process.log_in(op, "a")
    clock.advance(61)
    op.refuse = Answer({"error": "server_error"}, status=500)
    for _ in range(2):
        with pytest.raises(OpUnavailable):
            await process.coordinator.refreshed(session)
    assert op.count("token") == 1
    await process.ender.end(session, "logout", revoke=False)
    with pytest.raises(SessionEnded):
        await process.coordinator.refreshed(session)


async def test_a_revocation_that_fails_says_why(op: RotatingOp, clock: ManualClock) -> None:
    """And is counted, by session; an OP that offers no revocation has not failed."""
    op.answers["revocation"] = Answer({"error": "invalid_client"}, status=401)
    with written_log() as log:
        async with a_process(MemoryStore(clock), op, clock) as process:
            session = await process.log_in(op, "a")
            await process.ender.end(session, "logout")
            await process.ender.close(HANG_SECONDS)
            registry = process.metrics.registry
            assert registry.get_sample_value("bff_revocations_failed_total") == 1
        (told,) = log.of("revocation_failed")
        assert told["reason"] == "revocation: status 401, error invalid_client"
        assert told["session"] == public_id(session.key)


async def test_a_revocation_of_late_tokens_that_fails_says_why(
    op: RotatingOp, clock: ManualClock
) -> None:
    """Those that a refresh has brought after the logout, as any others."""
    op.answers["revocation"] = Answer({"error": "invalid_client"}, status=401)
    with written_log() as log:
        async with a_process(MemoryStore(clock), op, clock) as process:
            session = await process.log_in(op, "a")
            clock.advance(61)
            task = await process.refreshing(session, op)
            await process.ender.end(session.key, "logout", revoke=False)
            op.deliver.set()
            with pytest.raises(SessionEnded):
                await task
            assert process.metrics.registry.get_sample_value("bff_revocations_failed_total") == 1
        (told,) = log.of("revocation_failed")
        assert told["session"] == public_id(session.key)


async def test_an_op_without_revocation_endpoint_is_no_failure_at_each_logout(
    op: RotatingOp, clock: ManualClock
) -> None:
    op.metadata_changes["revocation_endpoint"] = None
    with written_log() as log:
        async with a_process(MemoryStore(clock), op, clock) as process:
            await process.ender.end(await process.log_in(op, "a"), "logout")
            await process.ender.close(HANG_SECONDS)
            registry = process.metrics.registry
            assert registry.get_sample_value("bff_revocations_failed_total") == 0
        assert log.of("revocation_failed") == []
