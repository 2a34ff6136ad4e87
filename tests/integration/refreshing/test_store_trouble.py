"""Refreshes while the store gives way: it is away, it goes back in time, its news are lost."""

import asyncio

import pytest

from bff.errors import StoreUnavailable
from bff.sessions.messages import Heartbeat
from bff.tokens.coordinator import CoordinatorSettings
from bff.tokens.refresh_hold import SETTLE_SECONDS
from tests.integration.refreshing.deployment import Deployment, stored, until_refreshed
from tests.parts.refreshing import POLICY
from tests.polling import until


@pytest.mark.rule("TK-07")
async def test_a_rotated_token_outlives_an_outage_of_the_store(deployment: Deployment) -> None:
    """It exists nowhere else: its write is tried again for as long as the process lives."""
    process = await deployment.process()
    session = await process.log_in(deployment.op, "a")
    deployment.clock.advance(61)
    task = await process.refreshing(session, deployment.op)
    deployment.redis.pause()
    deployment.op.deliver.set()
    await until(lambda: not process.sessions.watching)  # the outage has been noticed
    assert not task.done()
    deployment.redis.resume()
    refreshed = await task
    assert refreshed.tokens.refresh_token == deployment.op.current["a"]
    assert (await stored(process, session)).tokens == refreshed.tokens


@pytest.mark.rule("TK-07")
async def test_after_an_outage_no_token_is_spent_that_another_process_may_have_rotated(
    deployment: Deployment,
) -> None:
    """One process got new tokens when the store was away, and its lease has lapsed; another one,
    asked as soon as the store is back, lets it save them first."""
    first, second = await deployment.process(), await deployment.process()
    session = await first.log_in(deployment.op, "a")
    deployment.clock.advance(61)
    task = await first.refreshing(session, deployment.op)
    deployment.drop_lease(session)
    deployment.redis.pause()
    deployment.op.deliver.set()
    await until(lambda: not (first.sessions.watching or second.sessions.watching))
    deployment.redis.resume()
    answers = await asyncio.gather(task, *(until_refreshed(second, session) for _ in range(5)))
    assert {answer.tokens.refresh_token for answer in answers} == {deployment.op.current["a"]}
    assert deployment.op.reused == []


@pytest.mark.rule("TK-07")
async def test_a_process_that_may_hold_newer_tokens_is_waited_for(deployment: Deployment) -> None:
    """The store went back in time, and the process that knows better takes seconds longer than
    another one to get to it again. No process spends the token that is in the record meanwhile."""
    redis = deployment.redis
    redis.command("ACL", "SETUSER", "late", "on", ">pw", "~*", "&*", "+@all")
    first, second = await deployment.process("late"), await deployment.process()
    heard: list[object] = []
    second.sessions.observe(on_heartbeat=heard.append)
    await until(lambda: bool(heard))
    session = await first.log_in(deployment.op, "a")
    key = f"{deployment.namespace}:s:{{{session.key}}}"
    before = redis.command("DUMP", key)
    deployment.clock.advance(61)
    await first.coordinator.refreshed(session)
    redis.command("ACL", "SETUSER", "late", "off")
    redis.command("RESTORE", key, 100_000, before, "REPLACE")
    redis.command("CLIENT", "KILL", "TYPE", "pubsub")
    await until(lambda: not second.sessions.watching)
    redis.command("CLIENT", "KILL", "USER", "late")
    await until(lambda: second.sessions.watching)
    refresh = asyncio.create_task(until_refreshed(second, session))
    await asyncio.wait([refresh], timeout=SETTLE_SECONDS + 0.5)
    assert not refresh.done()
    redis.command("ACL", "SETUSER", "late", "on")
    refreshed = await refresh
    assert refreshed.tokens.refresh_token == deployment.op.current["a"] == "rt.a.1"
    assert deployment.op.reused == []


async def test_a_process_says_that_it_holds_what_the_store_may_lack(
    deployment: Deployment,
) -> None:
    """A refresh that was under way when the stream of changes broke: not saved, until it is."""
    first, second = await deployment.process(), await deployment.process()
    heard: list[Heartbeat] = []
    second.sessions.observe(on_heartbeat=heard.append)
    await until(lambda: bool(heard) and heard[-1].saved)
    session = await first.log_in(deployment.op, "a")
    deployment.clock.advance(61)
    refresh = await first.refreshing(session, deployment.op)
    deployment.redis.command("CLIENT", "KILL", "TYPE", "pubsub")
    await until(lambda: not heard[-1].saved)
    deployment.op.deliver.set()
    await refresh
    await until(lambda: heard[-1].saved)


@pytest.mark.rule("TK-07")
@pytest.mark.parametrize("is_refused", [True, False])
async def test_a_process_whose_lease_is_in_doubt_says_that_it_holds_something(
    deployment: Deployment, *, is_refused: bool
) -> None:
    """While it waits for the OP its lease can't be renewed, or has lapsed: a process that gets the
    lease after trouble of its own has to wait. The stream of changes shows nothing of it."""
    deployment.redis.command("ACL", "SETUSER", "first", "on", ">pw", "~*", "&*", "+@all")
    short_lease = CoordinatorSettings(lease_seconds=0.9)
    first = await deployment.process("first", settings=short_lease)
    second = await deployment.process()
    heard: list[Heartbeat] = []
    second.sessions.observe(on_heartbeat=heard.append)
    await until(lambda: bool(heard) and heard[-1].saved)
    session = await first.log_in(deployment.op, "a")
    deployment.clock.advance(61)
    refresh = await first.refreshing(session, deployment.op)
    if is_refused:
        deployment.redis.command("ACL", "SETUSER", "first", "-pexpire")
    else:
        deployment.drop_lease(session)
    await until(lambda: not heard[-1].saved)
    deployment.op.deliver.set()
    await refresh
    await until(lambda: heard[-1].saved)


@pytest.mark.rule("TK-07")
async def test_a_command_that_failed_holds_back_its_session(deployment: Deployment) -> None:
    """It may be the first sign that the store went back in time: the others get the time to save
    what they hold, although the stream of changes has shown nothing."""
    deployment.redis.command("ACL", "SETUSER", "only", "on", ">pw", "~*", "&*", "+@all")
    process = await deployment.process("only")
    session = await process.log_in(deployment.op, "a")
    deployment.clock.advance(61)
    deployment.op.deliver.set()
    deployment.redis.command("ACL", "SETUSER", "only", "-@scripting")
    began = asyncio.get_running_loop().time()
    with pytest.raises(StoreUnavailable):
        await process.coordinator.refreshed(session)
    deployment.redis.command("ACL", "SETUSER", "only", "+@all")
    await until_refreshed(process, session)
    assert asyncio.get_running_loop().time() - began >= SETTLE_SECONDS


@pytest.mark.rule("TK-07")
async def test_a_store_that_goes_back_in_time_is_told_again(deployment: Deployment) -> None:
    """A failover may lose the last write. The record then names a spent token; the process that
    wrote it knows better, and the next one to refresh finds the newest token."""
    first, second = await deployment.process(), await deployment.process()
    session = await first.log_in(deployment.op, "a")
    key = f"{deployment.namespace}:s:{{{session.key}}}"
    before = deployment.redis.command("DUMP", key)
    deployment.clock.advance(61)
    await first.coordinator.refreshed(session)
    watched: tuple[list[bool], list[bool]] = ([], [])
    for process, seen in zip((first, second), watched, strict=True):
        process.sessions.observe(on_watch=seen.append)
    heard: list[Heartbeat] = []
    second.sessions.observe(on_heartbeat=heard.append)
    await until(lambda: bool(heard))  # else it waits for what it has not heard of, for 2 s only
    deployment.redis.command("RESTORE", key, 100_000, before, "REPLACE")
    deployment.redis.command("CLIENT", "KILL", "TYPE", "pubsub")
    await until(lambda: all(False in seen and seen[-1] for seen in watched))
    deployment.clock.advance(50)  # due again, and what was written is still remembered
    refreshed = await second.coordinator.refreshed(session)
    assert refreshed.tokens.refresh_token == deployment.op.current["a"] == "rt.a.2"
    assert deployment.op.reused == []


@pytest.mark.rule("TK-06")
async def test_a_session_that_was_thought_to_have_expired_can_be_refreshed(
    deployment: Deployment,
) -> None:
    """Its record is back after a failover, when its end has just been announced: the process that
    announced it holds up no refresh."""
    first, second = await deployment.process(), await deployment.process()
    expired: list[str] = []
    for process in (first, second):
        process.sessions.observe(on_expired=lambda key, _: expired.append(key))
    session = await first.log_in(deployment.op, "a")
    key = f"{deployment.namespace}:s:{{{session.key}}}"
    before = deployment.redis.command("DUMP", key)
    deployment.redis.command("DEL", key)
    deployment.clock.advance(POLICY.idle_seconds + 1)
    await until(lambda: expired == [session.key])
    deployment.redis.command("RESTORE", key, 1000 * round(POLICY.idle_seconds), before)
    refreshed = await second.coordinator.refreshed(session)
    assert refreshed.tokens.refresh_token == deployment.op.current["a"] == "rt.a.1"
