"""What a refusal becomes: a page or a document, with the headers of our own answers."""

import json

import pytest
from structlog.testing import capture_logs

from bff.errors import BadRequest, BffError, NavigationRequired, NotAuthenticated
from bff.gate.head import Field
from bff.gate.problem import OwnResponses, Problem
from bff.gate.refusals import Refusals
from bff.observability.metrics import Metrics

CLEAR = "session=; Path=/; Max-Age=0"
FETCH: list[Field] = [(b"Sec-Fetch-Mode", b"cors"), (b"Accept", b"text/html")]
NAVIGATION: list[Field] = [(b"Sec-Fetch-Mode", b"navigate"), (b"Accept", b"text/html")]


def page(error: BffError, request_id: str) -> Problem:
    return Problem(error.status, {"Content-Type": "text/html"}, request_id.encode())


@pytest.fixture
def refusals(metrics: Metrics) -> Refusals:
    own = OwnResponses(hsts=True)
    return Refusals(page, own, metrics, login_url="/bff/login", clear_cookie=CLEAR, frontend="shop")


def refuse(
    refusals: Refusals, error: BffError, fields: list[Field], *, clear: bool = False
) -> Problem:
    return refusals.problem(error, fields, "the-id", method="GET", route="/api/", clear=clear)


@pytest.mark.parametrize("fields", [FETCH, NAVIGATION])
@pytest.mark.parametrize("clear", [True, False])
def test_a_dead_cookie_is_taken_away_where_the_gate_says_so(
    refusals: Refusals, fields: list[Field], *, clear: bool
) -> None:
    headers = refuse(refusals, NotAuthenticated(), fields, clear=clear).headers
    assert headers.get("Set-Cookie") == (CLEAR if clear else None)
    assert headers["Cache-Control"] == "no-store"
    assert "Strict-Transport-Security" in headers


def test_a_cookie_is_left_alone_where_nothing_is_said_of_it(refusals: Refusals) -> None:
    """As for a request that never came before the gate."""
    answer = refusals.problem(BadRequest("x"), FETCH, "the-id", method="GET", route="")
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize(
    ("error", "fields", "is_page"),
    [
        (BadRequest("x"), NAVIGATION, True),
        (BadRequest("x"), FETCH, False),
        (BadRequest("x"), [], False),
        (NavigationRequired("login", b""), FETCH, True),
        (NavigationRequired("login", b""), FETCH[:1], False),
    ],
)
def test_a_person_gets_a_page_and_a_script_a_document(
    refusals: Refusals, metrics: Metrics, error: BffError, fields: list[Field], *, is_page: bool
) -> None:
    """A navigation that a service worker passes on looks like a fetch, but for what it accepts."""
    found = refuse(refusals, error, fields)
    assert found.status == error.status
    assert (found.body == b"the-id") is is_page
    if not is_page:
        assert json.loads(found.body)["code"] == error.code
    assert f'code="{error.code}",frontend="shop"'.encode() in metrics.exposition()


def test_a_script_is_told_where_to_log_in(refusals: Refusals) -> None:
    document = json.loads(refuse(refusals, NotAuthenticated(), FETCH).body)
    assert document["login_url"] == "/bff/login"


def test_the_log_says_of_which_route_a_refusal_is(refusals: Refusals) -> None:
    """A request that belongs to none has no such field's value, and not an empty one."""
    with capture_logs() as logs:
        refuse(refusals, NotAuthenticated(), FETCH)
        refusals.problem(BadRequest("x"), FETCH, "the-id", method="GET", route="")
    said = [(one["event"], one["route"], one["method"], one["request_id"]) for one in logs]
    assert said == [("refused", "/api/", "GET", "the-id"), ("refused", None, "GET", "the-id")]
