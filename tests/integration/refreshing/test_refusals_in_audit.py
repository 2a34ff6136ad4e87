"""What the audit log is told of a refresh that an OP refuses while the session lives on."""

import json
from pathlib import Path

import pytest

from bff.audit.audit import Audit
from bff.audit.sinks.files import FileSink
from bff.clock import ManualClock
from bff.errors import OpError
from bff.model import public_id
from tests.parts.refreshing import a_process
from tests.parts.rotating_op import RotatingOp
from tests.parts.scripted_op import Answer
from tests.parts.scripted_store import ScriptedStore
from tests.polling import HANG_SECONDS


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ("invalid_request", "op_refresh_refused"),
        ("invalid_client", "op_client_rejected"),
        ("server_error", None),
    ],
)
async def test_a_refresh_that_the_op_refuses_is_one_event(
    store: ScriptedStore,
    op: RotatingOp,
    clock: ManualClock,
    tmp_path: Path,
    error: str,
    reason: str | None,
) -> None:
    """An OP in trouble has refused nothing."""
    file = tmp_path / "audit.jsonl"
    audit = Audit([FileSink(file)])
    await audit.open()
    async with a_process(store, op, clock, audit=audit) as process:
        session = await process.log_in(op, "a")
        clock.advance(61)
        op.refuse = Answer({"error": error}, status=500 if reason is None else 400)
        with pytest.raises(OpError):
            await process.coordinator.refreshed(session)
        assert await process.sessions.load_fresh(session.key) is not None
    await audit.close(HANG_SECONDS)
    records = [json.loads(line) for line in file.read_text().splitlines()]
    told = [
        (record["event"], record["reason"], record["actor"], record["session"], record["sub"])
        for record in records[1:-1]
    ]
    expected = ("refresh_refused", reason, "op", public_id(session.key), op.sub)
    assert told == ([] if reason is None else [expected])
