"""The short form of `python -m tests.wire.fuzz`, and proof that its judges can say no."""

import pytest

from tests.wire.client import End
from tests.wire.fuzz import requests, responses
from tests.wire.fuzz.running import KINDS, name_of, play
from tests.wire.fuzz.upstream import Forwarded, Script
from tests.wire.loops import ON_UVLOOP
from tests.wire.reading import Request

CASES = 500
STALL_SECONDS = 5  # the machine may stand still for as long
SENT = b"POST /api/x HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nContent-Length: 2\r\n\r\nhi"
ANSWER = b"HTTP/1.1 200 OK\r\nX-Number: %d\r\nContent-Length: 1\r\n\r\n%d"
CLOSING = (
    b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n"
    b"Content-Type: application/problem+json\r\nCache-Control: no-store\r\n\r\n"
)


@ON_UVLOOP
@pytest.mark.rule("SM-07")
@pytest.mark.rule("SM-10")
@pytest.mark.parametrize("kind", KINDS)
async def test_generated_messages_have_one_reading(kind: str) -> None:
    wrong: list[str] = []
    names = [name_of(kind, 0, number) for number in range(CASES)]
    assert await play(names, wrong.append, timeout_seconds=STALL_SECONDS) == CASES
    assert wrong == []


def forwarded(
    number: int = 1, target: bytes = b"/v1/x", body: bytes = b"hi", field: bytes = b"1"
) -> Forwarded:
    fields = [(b"host", b"up"), (b"x-a", field), (b"content-length", b"%d" % len(body))]
    return Forwarded(number, 1, Request(b"POST", target, b"1.1", fields, body, whole=True), "u")


@pytest.mark.parametrize(
    ("arrived", "received"),
    [
        pytest.param([forwarded(body=b"h")], ANSWER % (1, 1), id="another body"),
        pytest.param([forwarded(target=b"/v1/y")], ANSWER % (1, 1), id="another target"),
        pytest.param([forwarded(field=b"2")], ANSWER % (1, 1), id="another field"),
        pytest.param([forwarded(), forwarded(2)], ANSWER % (1, 1), id="twice"),
        pytest.param([forwarded()], (ANSWER % (1, 1)) * 2, id="answered twice"),
        pytest.param([forwarded()], b"", id="not answered"),
        pytest.param([forwarded()], ANSWER % (2, 2), id="another's answer"),
        pytest.param([forwarded()], (ANSWER % (1, 1))[:-1], id="half an answer"),
        pytest.param([forwarded()], ANSWER % (1, 1) + b"x", id="more than an answer"),
        pytest.param([], CLOSING.replace(b"400", b"500"), id="a crash"),
        pytest.param([], CLOSING.replace(b"no-store", b"x"), id="another's words"),
    ],
)
def test_the_judge_of_requests_can_say_no(arrived: list[Forwarded], received: bytes) -> None:
    assert requests.judge(SENT, arrived, received)


def test_the_judge_of_requests_can_say_yes() -> None:
    assert not requests.judge(SENT, [forwarded()], ANSWER % (1, 1))
    assert not requests.judge(SENT, [forwarded()], ANSWER % (1, 1) + CLOSING)
    assert not requests.judge(b"garbage\r\n\r\n", [], CLOSING)


MEANT = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nmine"
OWN = ANSWER % (2, 2)
SURPLUS = b"HTTP/1.1 200 OK\r\n"
CRASH = b"HTTP/1.1 500 X\r\nContent-Type: application/problem+json\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize(
    ("answer", "first", "second"),
    [
        pytest.param(MEANT, MEANT.replace(b"mine", b"your"), OWN, id="another body"),
        pytest.param(MEANT, MEANT.replace(b"200", b"201"), OWN, id="another status"),
        pytest.param(MEANT, MEANT + MEANT, OWN, id="twice"),
        pytest.param(MEANT[:-1], MEANT.replace(b"4", b"3")[:-1], OWN, id="an end made up"),
        pytest.param(b"garbage\r\n\r\n", MEANT, OWN, id="an answer made up"),
        pytest.param(MEANT, MEANT, ANSWER % (1, 1), id="another's answer"),
        pytest.param(MEANT, MEANT, b"", id="no second answer"),
        pytest.param(MEANT + SURPLUS, MEANT, OWN, id="a spoiled connection"),
        pytest.param(MEANT, CRASH, OWN, id="a crash"),
    ],
)
def test_the_judge_of_responses_can_say_no(answer: bytes, first: bytes, second: bytes) -> None:
    asked = [forwarded(1), forwarded(2)]
    assert responses.judge("GET", Script([answer], closes=False), asked, first, End.OPEN, second)


def test_the_judge_of_responses_can_say_yes() -> None:
    asked = [forwarded(1), forwarded(2)]
    script = Script([MEANT], closes=False)
    assert not responses.judge("GET", script, asked, MEANT, End.OPEN, OWN)
    assert not responses.judge("GET", script, asked, MEANT[:-2], End.RESET, OWN)
