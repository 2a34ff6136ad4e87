"""The page and the schema of the audit log say what the records are."""

import json
import re
from pathlib import Path
from typing import Any

from bff.audit.chain import Chain
from bff.audit.event import OUTCOMES, VERSION, Actor, Event, EventName, Outcome
from bff.audit.verification import Verification

DOCS = Path(__file__).parent.parent.parent / "docs"
PAGE = (DOCS / "audit.md").read_text()
SCHEMA: dict[str, Any] = json.loads((DOCS / "audit-event.schema.json").read_text())


def a_record() -> dict[str, Any]:
    event = Event(EventName.LOGIN_BEGUN, Actor.USER)
    record: dict[str, Any] = json.loads(Chain().stamp(event, "2026-11-28T10:42:00.000Z").line)
    return record


def test_the_schema_has_the_members_of_a_record_in_their_order() -> None:
    assert list(a_record()) == list(SCHEMA["properties"]) == SCHEMA["required"]
    assert SCHEMA["additionalProperties"] is False
    assert SCHEMA["properties"]["version"]["const"] == VERSION


def test_the_schema_has_every_word() -> None:
    for member, words in (("event", EventName), ("outcome", Outcome), ("actor", Actor)):
        assert SCHEMA["properties"][member]["enum"] == [word.value for word in words]


def test_a_record_has_the_types_of_the_schema() -> None:
    record = a_record()
    kinds = {"string": str, "integer": int, "array": list, "null": type(None)}
    for name, rule in SCHEMA["properties"].items():
        if "type" in rule:
            allowed = rule["type"] if isinstance(rule["type"], list) else [rule["type"]]
            assert type(record[name]) in [kinds[one] for one in allowed], name
        if "pattern" in rule:
            assert re.search(rule["pattern"], record[name]), name


def test_the_page_has_every_event_with_its_outcome() -> None:
    rows = re.findall(r"^\| (`[a-z_`, ]+) \| `(\w+)` \| [`s]", PAGE, re.MULTILINE)
    found = {name: outcome for names, outcome in rows for name in re.findall(r"`(\w+)`", names)}
    del found["event"]  # the head of the table
    assert found == {event.value: OUTCOMES[event].value for event in EventName}


def test_the_page_has_every_field_and_actor() -> None:
    for word in (*SCHEMA["properties"], *(actor.value for actor in Actor)):
        assert f"`{word}`" in PAGE, word


def test_the_lines_of_the_example_are_a_chain() -> None:
    lines = [line for line in PAGE.splitlines() if line.startswith('{"version"')]
    verification = Verification(is_part=True)
    verification.read("audit.md", [f"{line}\n".encode() for line in lines])
    assert verification.finish() == []
    assert verification.records == 6
