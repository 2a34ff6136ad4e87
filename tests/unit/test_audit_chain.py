"""A chain of records shows what was done to it: a line changed, taken out, moved, added, or cut."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from bff.audit.chain import Chain, hash_of
from bff.audit.event import OUTCOMES, Actor, Event, EventName, Origin
from bff.audit.verification import Verification

AT = "2026-11-28T10:42:00.000Z"
ORIGIN = Origin("r1", "203.0.113.0/24", "Browser/1.0")


def written(count: int = 5) -> list[bytes]:
    """The lines of one whole chain."""
    chain = Chain()
    events = [Event(EventName.CHAIN_BEGUN, Actor.GATEWAY)]
    events += [
        Event(EventName.LOGIN_SUCCEEDED, Actor.USER, "", ORIGIN, "shop", "corp", f"s{n}", f"u{n}")
        for n in range(count - 2)
    ]
    events.append(Event(EventName.CHAIN_ENDED, Actor.GATEWAY))
    return [f"{chain.stamp(event, AT).line}\n".encode() for event in events]


def findings(lines: list[bytes], *, is_part: bool = False) -> list[str]:
    verification = Verification(is_part=is_part)
    verification.read("log", lines)
    return [str(finding) for finding in verification.finish()]


def changed(line: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    record = json.loads(line)
    change(record)
    return json.dumps(record).encode() + b"\n"


def test_what_was_written_verifies() -> None:
    assert findings(written()) == []


def test_chains_of_several_processes_may_be_mixed() -> None:
    one, two = written(), written()
    mixed = [line for pair in zip(one, two, strict=True) for line in pair]
    assert findings(mixed) == []


@pytest.mark.parametrize("member", sorted(json.loads(written()[2])))
@pytest.mark.rule("AU-02")
def test_a_change_of_any_member_is_found_on_its_line(member: str) -> None:
    lines = written()
    other = {"sequence": 9, "omitted": 9, "version": 9, "settings": ["a"]}.get(member, "ab12")
    lines[2] = changed(lines[2], lambda record: record.update({member: other}))
    assert any(found.startswith("log:3: ") for found in findings(lines)), findings(lines)


def test_a_member_that_is_added_or_taken_out_is_found() -> None:
    for change in (lambda r: r.update(more=1), lambda r: r.pop("sub")):
        lines = written()
        lines[2] = changed(lines[2], change)
        assert any(found.startswith("log:3: ") for found in findings(lines))


def test_a_changed_record_with_a_new_hash_is_found_by_the_next_one() -> None:
    lines = written()
    forged = json.loads(lines[2]) | {"sub": "mallory"}
    forged["hash"] = hash_of(forged)
    lines[2] = json.dumps(forged).encode() + b"\n"
    assert findings(lines) == [
        "log:4: it does not continue the record at log:3: one of both was changed"
    ]


@pytest.mark.rule("AU-02")
def test_a_line_that_was_taken_out_is_found_by_the_next_one() -> None:
    lines = written()
    del lines[2]
    [found] = findings(lines)
    assert found.startswith("log:3: ")
    assert "lines between them are missing (1)" in found


def test_the_first_line_of_a_chain_can_not_be_taken_out() -> None:
    [found] = findings(written()[1:])
    assert "begins at 2: lines before this one are missing" in found


def test_lines_that_were_swapped_are_found() -> None:
    lines = written()
    lines[1], lines[2] = lines[2], lines[1]
    found = findings(lines)
    assert any("log:3:" in one and "moved or repeated" in one for one in found)


def test_a_line_that_stands_twice_is_found() -> None:
    lines = written()
    lines.insert(2, lines[1])
    [found] = findings(lines)
    assert found.startswith("log:3: ")
    assert "moved or repeated" in found


@pytest.mark.rule("AU-02")
def test_a_cut_end_is_found() -> None:
    [found] = findings(written()[:-2])
    assert found.startswith("log:3: ")
    assert "without chain_ended" in found


def test_a_last_line_that_was_cut_is_found() -> None:
    lines = written()
    lines[-1] = lines[-1][:-9]
    assert findings(lines)[0] == "log:5: the line was cut: its line break is missing"


def test_a_chain_does_not_go_on_after_its_end() -> None:
    lines = written()
    record = json.loads(lines[-1]) | {"sequence": 6, "prev": json.loads(lines[-1])["hash"]}
    record["hash"] = hash_of(record)
    lines.append(json.dumps(record).encode() + b"\n")
    [found] = findings(lines)
    assert found == f"log:6: chain {record['chain']} goes on after its end at log:5"


def test_a_part_of_the_log_may_begin_and_end_anywhere() -> None:
    lines = written(9)
    assert findings(lines[3:6], is_part=True) == []
    assert findings([lines[3], lines[5]], is_part=True) != []


def test_files_are_read_in_order() -> None:
    lines = written()
    verification = Verification()
    verification.read("log.1", lines[:3])
    verification.read("log", lines[3:])
    assert verification.finish() == []
    assert verification.records == 5


@pytest.mark.parametrize(
    "line",
    [
        b"\n", b"hello\n", b"[]\n", b"{}\n", b"\xff\n", b'{"a":1,"a":2}\n', b"[" * 100_000 + b"\n",
        b'{"chain":[],"sequence":1,"prev":"","hash":"","event":"x","version":1,"time":""}\n',
        b'{"chain":"x\\u001b[2J","sequence":1,"prev":"","hash":"","event":"x","version":1,"time":""}\n',
        b'{"chain":"","sequence":true,"prev":"","hash":"","event":"x","version":1,"time":""}\n',
    ],
)  # fmt: skip
def test_what_is_no_record_is_said_with_its_line(line: bytes) -> None:
    lines = written()
    lines.insert(2, line)
    [found] = findings(lines)
    assert found.startswith("log:3: ")


def test_lost_events_are_counted() -> None:
    chain = Chain()
    lost = Event(EventName.EVENTS_LOST, Actor.GATEWAY, omitted=7)
    verification = Verification(is_part=True)
    verification.read("log", [f"{chain.stamp(lost, AT).line}\n".encode()])
    assert verification.finish() == []
    assert verification.lost == 7


def test_a_record_is_one_line_of_printable_ascii() -> None:
    """Whatever an OP calls a user, and whatever a browser calls itself."""
    sub = 'a\nb\r\u2028\u202e\x7f\x1b[2J"\ud800'
    event = Event(EventName.LOGIN_FAILED, Actor.USER, sub=sub, origin=Origin(user_agent=sub))
    line = Chain().stamp(event, AT).line
    assert line.isascii()
    assert line.isprintable()
    assert findings([line.encode() + b"\n"], is_part=True) == []
    assert json.loads(line)["sub"] == sub


def test_what_looks_like_a_token_is_not_written() -> None:
    event = Event(EventName.LOGIN_FAILED, Actor.USER, sub="eyJhbGciOiJub25lIn0.e30.x" * 9)
    assert "eyJ" not in Chain().stamp(event, AT).line


def test_every_event_has_an_outcome() -> None:
    assert set(OUTCOMES) == set(EventName)
