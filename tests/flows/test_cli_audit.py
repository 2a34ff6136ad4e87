"""`bff audit verify`: says which line of an audit log is not what was written, and says so by its
exit code as well."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bff.audit.chain import Chain
from bff.audit.event import Actor, Event, EventName
from bff.cli import main


@pytest.fixture
def log(tmp_path: Path) -> Path:
    chain = Chain()
    events = [Event(EventName.CHAIN_BEGUN, Actor.GATEWAY)]
    events += [Event(EventName.LOGIN_SUCCEEDED, Actor.USER, sub=f"user {n}") for n in range(3)]
    events.append(Event(EventName.CHAIN_ENDED, Actor.GATEWAY))
    file = tmp_path / "audit.jsonl"
    stamped = [chain.stamp(event, "2026-11-28T10:42:00.000Z").line for event in events]
    file.write_text("\n".join(stamped) + "\n")
    return file


def verify(*arguments: str | Path, text: str | None = None) -> Result:
    return CliRunner().invoke(main, ["audit", "verify", *map(str, arguments)], input=text)


def test_a_whole_log_is_said_to_be_whole(log: Path) -> None:
    result = verify(log)
    assert result.exit_code == 0
    assert result.output == (
        "records: 5, chains: 1 (0 without an end), events lost: 0, problems: 0\n"
    )
    assert verify("-", text=log.read_text()).exit_code == 0


@pytest.mark.rule("AU-02")
def test_a_changed_line_is_named(log: Path) -> None:
    lines = log.read_text().splitlines()
    lines[2] = json.dumps(json.loads(lines[2]) | {"sub": "mallory"})
    log.write_text("\n".join(lines) + "\n")
    result = verify(log)
    assert result.exit_code == 1
    assert result.output.startswith(f"{log}:3: the record was changed")


@pytest.mark.rule("AU-02")
def test_a_cut_end_is_named_unless_it_is_a_part(log: Path) -> None:
    log.write_text("".join(log.read_text().splitlines(keepends=True)[:3]))
    result = verify(log)
    assert result.exit_code == 1
    assert result.output.startswith(f"{log}:3: chain ")
    assert "without chain_ended" in result.output
    assert verify("--part", log).exit_code == 0


def test_files_belong_together_in_their_order(log: Path) -> None:
    lines = log.read_text().splitlines(keepends=True)
    older = log.with_name("audit.jsonl.1")
    older.write_text("".join(lines[:2]))
    log.write_text("".join(lines[2:]))
    assert verify(older, log).exit_code == 0
    assert verify(log, older).exit_code == 1


def test_a_file_that_is_not_there_is_another_exit_code(tmp_path: Path) -> None:
    result = verify(tmp_path / "gone")
    assert result.exit_code == 2
    assert "No such file" in result.output
