"""When a gateway, or a process that is to take over, counts as ready."""

import asyncio
import itertools
import json

import pytest
from aiohttp.test_utils import make_mocked_request

from bff.admin.health import Health, NotReady
from bff.errors import OpUnavailable, StoreUnavailable

LONG = 60.0  # a look that finds all well takes no time


async def works() -> None:
    return None


async def is_down() -> None:
    raise OpUnavailable("not there")


async def test_what_is_only_shown_holds_up_no_process() -> None:
    """As at `/readyz`: of several OPs, one that is down keeps no others out."""
    await Health({"store": works, "op": works}, only_shown={"op:x": is_down}).until_ready(LONG)


async def test_it_is_looked_again_until_all_is_well() -> None:
    looks = itertools.count(1)

    async def works_in_the_end() -> None:
        if next(looks) < 3:
            raise StoreUnavailable("not yet")

    await Health({"store": works_in_the_end, "op": works}).until_ready(LONG)
    assert next(looks) == 4


async def test_what_is_missing_is_named() -> None:
    with pytest.raises(NotReady) as caught:
        await Health({"store": works, "op": is_down}).until_ready(0.5)
    assert "op" in caught.value.missing
    assert "op " in str(caught.value)


@pytest.mark.parametrize(
    ("query", "status", "checks"),
    [
        ("", 200, {"store": "ok", "op": "ok", "op:x": "op_unavailable", "op:y": "ok"}),
        ("?exclude=op:x", 200, {"store": "ok", "op": "ok", "op:y": "ok"}),
        ("?exclude=op", 200, {"store": "ok"}),
        ("?exclude=store", 200, {"op": "ok", "op:x": "op_unavailable", "op:y": "ok"}),
    ],
)
async def test_a_load_balancer_may_leave_out_all_ops(
    query: str, status: int, checks: dict[str, str]
) -> None:
    """One that is slow to answer would hold up the probe, and that would take the gateway out."""
    health = Health({"store": works, "op": works}, only_shown={"op:x": is_down, "op:y": works})
    answer = await health.ready(make_mocked_request("GET", f"/readyz{query}"))
    assert answer.status == status
    assert json.loads(str(answer.text))["checks"] == checks


async def test_an_op_that_decides_nothing_holds_up_no_answer() -> None:
    """It takes connections and says nothing, which `CHECK_SECONDS` would wait for."""
    stopped: list[str] = []

    async def hangs() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.append("op:x")

    health = Health({"store": works, "op": works}, only_shown={"op:x": hangs}, shown_seconds=0.0)
    answer = await health.ready(make_mocked_request("GET", "/readyz"))
    assert answer.status == 200
    checks = {"store": "ok", "op": "ok", "op:x": "timeout"}
    assert json.loads(str(answer.text))["checks"] == checks
    assert stopped == ["op:x"]
