"""The browser client keeps docs/spa-contract.md: user, login, logout, calls, devices."""

import json
from typing import Any

import pytest

from tests.client.spa_node import (
    NOT_AUTHENTICATED,
    USER,
    in_browser,
    needs_node,
    problem,
)


@needs_node
@pytest.mark.parametrize(
    ("call", "path"),
    [
        ("client.user()", "/bff/user"),
        ("client.user({ slide: false })", "/bff/user?slide=false"),
        ("client.fetch('/api/notes')", "/api/notes"),
        ("client.fetch(new Request('https://app.test/api/notes'))", "/api/notes"),
        ("client.fetch(new URL('https://app.test/api/notes'), {mode: 'no-cors'})", "/api/notes"),
    ],
)
def test_every_request_carries_the_csrf_header(call: str, path: str) -> None:
    """The third layer of the CSRF guard; `same-origin` keeps redirects on this origin."""
    asked = in_browser(f"await {call}; return asked;", {"body": USER})
    assert [(one["url"], one["csrf"], one["mode"]) for one in asked] == [
        (f"https://app.test{path}", "1", "same-origin")
    ]


@needs_node
def test_user_is_never_taken_from_a_cache() -> None:
    """The gateway is asked which user is logged in."""
    assert in_browser("await client.user(); return asked[0].cache;", {"body": USER}) == "no-store"


@needs_node
@pytest.mark.parametrize(
    "target",
    [
        "https://evil.test/",
        "//evil.test/api",
        "https://app.test:8443/",
        "data:,x",
        "\\\\\\\\evil.test",
    ],
)
def test_fetch_refuses_other_origins(target: str) -> None:
    """The header and the cookie are for this origin; nothing leaves the page."""
    work = f"const got = await attempt(() => client.fetch('{target}')); return [got.name, asked];"
    assert in_browser(work, {"body": {}}) == ["TypeError", []]


@needs_node
@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"body": USER}, USER),
        ({"body": None}, None),
        (problem(401, **NOT_AUTHENTICATED), None),
        (problem(401, code="session_ended"), None),
        (
            problem(503, code="store_unavailable", retry_after=2, request_id="r1"),
            {
                "name": "UnavailableError",
                "code": "store_unavailable",
                "status": 503,
                "retryAfter": 2,
                "requestId": "r1",
            },
        ),
        (
            problem(429, code="rate_limited", retry_after=9),
            {"name": "UnavailableError", "code": "rate_limited", "retryAfter": 9},
        ),
        (
            {"status": 429, "text": "", "headers": {"Retry-After": "7"}},
            {"name": "UnavailableError", "code": "unavailable", "retryAfter": 7},
        ),
        (None, {"name": "UnavailableError", "code": "unreachable", "status": 0}),
        ({"status": 502, "text": "Bad Gateway"}, {"name": "UnavailableError", "status": 502}),
        (problem(403, code="csrf_header_missing"), {"name": "GatewayError", "status": 403}),
        ({"body": {"sub": 7}}, {"name": "GatewayError", "code": "malformed"}),
        ({"text": "<p>not json"}, {"name": "GatewayError", "code": "malformed"}),
    ],
)
def test_user_says_who_is_logged_in(answer: object, expected: dict[str, object] | None) -> None:
    """Null is an answer, trouble is an error: a store that is down logs no user out."""
    got = in_browser("return attempt(() => client.user());", answer)
    if expected is None:
        assert got is None
    else:
        assert got is not None
        assert expected.items() <= got.items()


@needs_node
@pytest.mark.parametrize(
    "answer",
    [
        {"status": 401, "text": "no"},
        {"status": 401, "body": {"code": "not_authenticated"}},
        problem(401, code="invalid_token"),
        problem(403, code="insufficient_scope"),
        problem(429, code="slow_down"),
        {"status": 429, "text": "slow down", "headers": {"Retry-After": "9"}},
        problem(502, code="upstream_unreachable"),
        {"status": 204},
    ],
)
def test_fetch_hands_over_what_the_api_answers(answer: dict[str, Any]) -> None:
    """An API's own refusal says nothing about the session, and its body stays readable."""
    got, ended = in_browser("return [await attempt(() => client.fetch('/api/x')), ended];", answer)
    body = "" if answer["status"] == 204 else answer.get("text") or json.dumps(answer["body"])
    assert got["status"] == answer["status"]
    assert got["text"].replace(" ", "") == body.replace(" ", "")
    assert ended == []


@needs_node
@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (
            problem(401, code="not_authenticated", login_url="/x/login"),
            {"name": "NotAuthenticatedError", "code": "not_authenticated", "loginUrl": "/x/login"},
        ),
        (
            problem(401, code="session_ended"),
            {"name": "NotAuthenticatedError", "code": "session_ended", "loginUrl": "/bff/login"},
        ),
        (
            problem(503, code="op_unavailable", retry_after=5),
            {"name": "UnavailableError", "code": "op_unavailable", "retryAfter": 5},
        ),
        (
            problem(429, code="rate_limited", retry_after=9),
            {"name": "UnavailableError", "code": "rate_limited", "retryAfter": 9, "status": 429},
        ),
        (
            {**problem(429, code="rate_limited"), "headers": {"Retry-After": "8"}},
            {"name": "UnavailableError", "code": "rate_limited", "retryAfter": 8},
        ),
        (
            {"status": 503, "text": "", "headers": {"Retry-After": "7"}},
            {"name": "UnavailableError", "code": "unavailable", "retryAfter": 7},
        ),
        (
            {"status": 503, "text": "", "headers": {"Retry-After": "Fri, 31 Dec 1999"}},
            {"name": "UnavailableError", "retryAfter": None},
        ),
        (None, {"name": "UnavailableError", "code": "unreachable", "retryAfter": None}),
    ],
)
def test_fetch_throws_what_the_gateway_says(answer: object, expected: dict[str, object]) -> None:
    """A login is needed, or patience: each is an error of its own."""
    got = in_browser("return attempt(() => client.fetch('/api/x'));", answer)
    assert expected.items() <= got.items()


@needs_node
def test_callers_abort_is_not_trouble() -> None:
    """A request the caller gave up is no sign that the gateway is down."""
    work = """
      globalThis.fetch = async (request) => { throw request.signal.reason; };
      const signal = AbortSignal.abort();
      return (await attempt(() => client.fetch('/api/x', { signal }))).name;
    """
    assert in_browser(work) == "AbortError"


@needs_node
def test_no_answer_in_time_is_trouble() -> None:
    """A deadline that passes means the same as no connection."""
    work = """
      globalThis.fetch = (request) => new Promise((_, reject) => {
        request.signal.addEventListener('abort', () => reject(request.signal.reason));
      });
      const signal = AbortSignal.timeout(20);
      const alive = setInterval(() => {}, 1000); // the deadline alone does not keep Node running
      const got = await attempt(() => client.fetch('/api/x', { signal }));
      clearInterval(alive);
      return [got.name, got.code];
    """
    assert in_browser(work) == ["UnavailableError", "unreachable"]


@needs_node
@pytest.mark.parametrize(
    ("work", "answers", "expected"),
    [
        ("await client.user();", [problem(401, **NOT_AUTHENTICATED)], []),
        (
            "await client.user(); await client.user(); await client.user();",
            [{"body": USER}, problem(401, code="session_ended"), problem(401, **NOT_AUTHENTICATED)],
            ["session_ended"],
        ),
        (
            "await client.user(); await client.user();",
            [{"body": USER}, {"body": None}],
            ["not_authenticated"],
        ),
        (
            """await client.user();
               const call = () => attempt(() => client.fetch('/api/x'));
               await Promise.all([call(), call()]);""",
            [{"body": USER}, problem(401, **NOT_AUTHENTICATED), problem(401, **NOT_AUTHENTICATED)],
            ["not_authenticated"],
        ),
        (
            "await client.user(); await attempt(() => client.user());",
            [{"body": USER}, problem(503, code="store_unavailable")],
            [],
        ),
        (
            "await client.user(); await client.logout(); await client.user();",
            [{"body": USER}, {"body": USER}, problem(401, **NOT_AUTHENTICATED)],
            [],
        ),
    ],
    ids=["never-there", "ended", "null", "two-calls", "store-down", "own-logout"],
)
def test_end_of_a_session_is_told_once(work: str, answers: list[object], expected: object) -> None:
    """Only the end of a session this client knew of, never trouble or our own logout."""
    assert in_browser(work + "return ended;", *answers) == expected


@needs_node
@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("client.login()", "/bff/login?returnUrl=%2Fnotes%3Fx%3D1%23top"),
        (
            "client.login({ returnUrl: '/a b&c', prompt: 'login', loginHint: 'a@b' })",
            "/bff/login?returnUrl=%2Fa+b%26c&prompt=login&login_hint=a%40b",
        ),
        ("client.login({ idp: 'corp' })", "/bff/login?returnUrl=%2Fnotes%3Fx%3D1%23top&idp=corp"),
        (
            "client.login({ returnUrl: '/', acrValues: 'mfa', maxAge: 0 })",
            "/bff/login?returnUrl=%2F&acr_values=mfa&max_age=0",
        ),
    ],
)
def test_login_is_a_navigation_that_comes_back(call: str, expected: str) -> None:
    """By default to this very address, query and fragment included."""
    assert in_browser(f"{call}; return went;") == [expected]


PROVIDERS = [
    {"name": "corp", "label": "Example Corp", "login_url": "/bff/login?idp=corp"},
    {"name": "google", "label": "Google", "login_url": "/bff/login?idp=google"},
]


@needs_node
def test_providers_are_those_of_the_gateway() -> None:
    """One request, of this origin, with or without a session."""
    work = "return [await client.providers(), asked, ended];"
    found, [asked], ended = in_browser(work, {"body": PROVIDERS})
    assert (found, ended) == (PROVIDERS, [])
    assert (asked["url"], asked["method"]) == ("https://app.test/bff/providers", "GET")


@needs_node
@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (None, "UnavailableError"),
        (problem(503, code="unavailable", title="x"), "UnavailableError"),
        (problem(421, code="unknown_host", title="x"), "GatewayError"),
        ({"body": {"providers": []}}, "GatewayError"),
        ({"text": "<html>"}, "GatewayError"),
    ],
)
def test_providers_that_cannot_be_known_are_an_error(answer: object, error: str) -> None:
    work = "return (await attempt(() => client.providers())).name;"
    assert in_browser(work, answer) == error


STEP_UP = {
    "code": "step_up_required",
    "acr_values": "gold",
    "max_age": 300,
    "login_url": "/bff/login?acr_values=gold&max_age=300",
}
REFUSED = "const error = await client.fetch('/api/pay').catch((thrown) => thrown);"


@needs_node
def test_a_call_that_wants_a_stronger_login_says_which() -> None:
    """And the session that the client knows of is not taken for ended."""
    work = f"""await client.user(); {REFUSED}
return [error.name, error.code, error.status, error.acrValues, error.maxAge, error.loginUrl, ended];
"""
    assert in_browser(work, {"body": USER}, problem(401, **STEP_UP)) == [
        "StepUpRequiredError", "step_up_required", 401, "gold", 300, STEP_UP["login_url"], [],
    ]  # fmt: skip


@needs_node
@pytest.mark.parametrize("code", ["token_inactive", "token_bound"])
def test_a_token_that_is_of_no_use_is_an_error_of_its_own(code: str) -> None:
    """The session goes on, so that no page takes it for ended."""
    work = f"""await client.user(); {REFUSED}
return [error.name, error.code, error.status, error.loginUrl, ended];
"""
    refusal = problem(401, code=code, login_url="/bff/login")
    assert in_browser(work, {"body": USER}, refusal) == [
        "TokenUnusableError", code, 401, "/bff/login", [],
    ]  # fmt: skip


@needs_node
@pytest.mark.parametrize(
    ("how", "back"),
    [("", "%2Fnotes%3Fx%3D1%23top"), (", { returnUrl: '/a?b=c#d' }", "%2Fa%3Fb%3Dc%23d")],
)
def test_a_step_up_is_a_navigation_that_comes_back(how: str, back: str) -> None:
    """The page sends the call again by itself then."""
    work = f"{REFUSED} client.stepUp(error{how}); return went;"
    [went] = in_browser(work, problem(401, **STEP_UP))
    assert went == f"https://app.test{STEP_UP['login_url']}&returnUrl={back}"


STEP_UPS_ELSEWHERE = [
    *("https://evil.test/bff/login", "//evil.test", "javascript:0"),
    *("/bff/logout", "blob:https://app.test/bff/login"),
]


@needs_node
@pytest.mark.parametrize("url", STEP_UPS_ELSEWHERE)
def test_a_step_up_leads_to_the_gateways_login_only(url: str) -> None:
    """An API could have written the answer."""
    work = f"{REFUSED} return [await attempt(async () => client.stepUp(error)), went];"
    thrown, went = in_browser(work, problem(401, **{**STEP_UP, "login_url": url}))
    assert (thrown["code"], went) == ("malformed", [])


@needs_node
def test_logout_is_a_navigation_with_a_fresh_link() -> None:
    """So no script ever reads the way to the login service, which may carry an ID token."""
    other = {**USER, "bff": {"logout_url": "/bff/logout?sid=s2"}}
    work = "await client.user(); const left = await client.logout(); return [left, went, asked];"
    left, went, asked = in_browser(work, {"body": USER}, {"body": other})
    assert (left, went) == (True, ["https://app.test/bff/logout?sid=s2"])
    assert {one["method"] for one in asked} == {"GET"}


@needs_node
def test_logout_says_where_it_ends() -> None:
    work = "await client.logout({ returnUrl: '/bye?a=1&b#c' }); return went;"
    [went] = in_browser(work, {"body": USER})
    assert went == "https://app.test/bff/logout?sid=s1&returnUrl=%2Fbye%3Fa%3D1%26b%23c"


@needs_node
def test_logout_without_a_session_stays() -> None:
    """There is nothing to end."""
    work = "return [await client.logout(), went];"
    assert in_browser(work, problem(401, **NOT_AUTHENTICATED)) == [False, []]


@needs_node
@pytest.mark.parametrize("url", ["https://evil.test/", "javascript:alert(1)", "//evil.test/"])
def test_logout_never_leaves_for_another_origin(url: str) -> None:
    """The first step of a logout is the gateway's own."""
    user = {**USER, "bff": {"logout_url": url}}
    work = "const got = await attempt(() => client.logout()); return [got.name, went];"
    assert in_browser(work, {"body": user}) == ["GatewayError", []]


@needs_node
def test_names_can_be_configured() -> None:
    """Prefix, header and value follow the gateway's configuration."""
    options = {"prefix": "/auth", "csrfHeader": "X-Guard", "csrfValue": "yes"}
    work = """
      const network = globalThis.fetch;
      let guard;
      globalThis.fetch = (request) => {
        guard = request.headers.get('x-guard');
        return network(request);
      };
      await client.user();
      client.login({ returnUrl: '/' });
      return [asked[0].url, guard, went];
    """
    assert in_browser(work, {"body": USER}, options=options) == [
        "https://app.test/auth/user",
        "yes",
        ["/auth/login?returnUrl=%2F"],
    ]


@needs_node
@pytest.mark.parametrize(
    ("call", "answer", "expected", "sent"),
    [
        ("list()", {"body": {"sessions": [{"id": "a"}]}}, [{"id": "a"}], "GET /bff/sessions"),
        ("end('a/b')", {"status": 204}, True, "DELETE /bff/sessions/a%2Fb"),
        ("end('a')", problem(404, code="not_found"), False, "DELETE /bff/sessions/a"),
        ("endOthers()", {"body": {"ended": 2}}, 2, "DELETE /bff/sessions"),
    ],
)
def test_devices_are_listed_and_ended(
    call: str, answer: object, expected: object, sent: str
) -> None:
    """One that is gone already is no trouble. Every request carries the CSRF header."""
    got, asked = in_browser(f"return [await client.devices.{call}, asked];", answer)
    assert got == expected
    (one,) = asked
    assert one["csrf"] == "1"
    assert f"{one['method']} {one['url'].removeprefix('https://app.test')}" == sent


@needs_node
@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (problem(401, **NOT_AUTHENTICATED), {"name": "NotAuthenticatedError"}),
        (problem(503, code="store_unavailable"), {"name": "UnavailableError", "status": 503}),
        (problem(429, code="rate_limited"), {"name": "UnavailableError", "status": 429}),
        (problem(403, code="csrf_cross_site"), {"name": "GatewayError", "code": "csrf_cross_site"}),
        ({"status": 502, "text": ""}, {"name": "UnavailableError", "status": 502}),
        (None, {"name": "UnavailableError", "code": "unreachable"}),
    ],
    ids=["logged-out", "away", "too-many", "refused", "proxy", "no-answer"],
)
def test_trouble_with_devices_is_an_error(answer: object, expected: dict[str, object]) -> None:
    """Never an empty list or a silent success."""
    work = """
      const { list, end, endOthers } = client.devices;
      return [await attempt(list), await attempt(() => end('a')), await attempt(endOthers)];
    """
    for got in in_browser(work, answer, answer, answer):
        assert expected.items() <= got.items()


@needs_node
def test_a_list_of_devices_that_is_none_is_an_error() -> None:
    """The gateway's answer is outside the contract."""
    got = in_browser("return attempt(() => client.devices.list());", {"body": {"sessions": None}})
    assert (got["name"], got["code"]) == ("GatewayError", "malformed")
