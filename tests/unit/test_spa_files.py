"""The demo's browser code: what its files must never contain, that they fit together, and that
the client keeps docs/spa-contract.md. The behaviour is checked by running the modules in Node.
"""

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SPA = ROOT / "spa_demo" / "spa"
FILES = sorted(path for path in SPA.rglob("*") if path.is_file())
SCRIPTS = [path for path in FILES if path.suffix == ".js"]
PROOF_PANEL = SPA / "views" / "proof.js"
NODE = shutil.which("node")
TSC = ROOT / "node_modules" / ".bin" / "tsc"

needs_node = pytest.mark.skipif(NODE is None, reason="node is not installed")

EXTERNAL = re.compile(
    r"""\b(?:https?|wss?|ftp):/|(?:["'(=]\s*)//[\w\[]|["'(]data:""", re.IGNORECASE
)
SVG_NAMESPACE = 'xmlns="http://www.w3.org/2000/svg"'
STORES = re.compile(
    r"\b(?:localStorage|sessionStorage|indexedDB|caches|cookieStore|document\.cookie)\b"
)
MARKUP_SINKS = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment|DOMParser"
    r"|setHTMLUnsafe|srcdoc|\beval\b|\bnew Function\b|setAttribute\(\s*['\"](?:style|on)"
)
STORAGE_WRITES = re.compile(r"document\.cookie\s*=(?!=)|(?:set|remove)Item\(\s*([^),]*)")


class Page(HTMLParser):
    """What a document refers to, and what a strict Content-Security-Policy would refuse."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.faults: list[str] = []
        self.references: list[str] = []
        self.ids: list[str] = []
        self.test_ids: list[str] = []
        self._open_script = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open_script = tag == "script"
        if tag in {"style", "base", "iframe", "object", "embed"}:
            self.faults.append(f"<{tag}>")
        for name, value in attrs:
            self._read_attribute(name, value or "")

    def _read_attribute(self, name: str, value: str) -> None:
        if name.startswith("on") or name in {"style", "srcdoc"} or "javascript:" in value.lower():
            self.faults.append(name)
        if name in {"src", "href", "action"}:
            self.references.append(value)
        if name == "id":
            self.ids.append(value)
        if name == "data-testid":
            self.test_ids.append(value)

    def handle_endtag(self, tag: str) -> None:
        self._open_script = False

    def handle_data(self, data: str) -> None:
        if self._open_script and data.strip():
            self.faults.append("inline script")


INDEX = Page((SPA / "index.html").read_text())


def imports_of(script: Path) -> list[str]:
    return re.findall(r"""(?:\bfrom|\bimport)\s*\(?\s*["']([^"']+)["']""", script.read_text())


def run_js(source: str) -> Any:
    """What `source`, an async function body that may import `SPA + file`, returns, through JSON."""
    assert NODE is not None
    program = (
        f"const SPA = {json.dumps(SPA.as_uri() + '/')};"
        f"const main = async () => {{ {source} }};"
        "main().then((value) => console.log(JSON.stringify(value ?? null)));"
    )
    done = subprocess.run(
        [NODE, "--input-type=module", "--eval", program],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# --- the files --------------------------------------------------------------------------------


def test_page_has_nothing_inline() -> None:
    """`script-src 'self'; style-src 'self'` hold without exceptions."""
    assert INDEX.faults == []


@pytest.mark.parametrize(
    "markup",
    [
        "<script>1</script>",
        "<style>a{}</style>",
        '<p style="color:red">',
        '<b onclick="x()">',
        '<a href="JavaScript:x()">',
        '<base href="/x">',
        '<iframe srcdoc="x">',
    ],
)
def test_inline_code_would_be_noticed(markup: str) -> None:
    """The check above can fail."""
    assert Page(markup).faults


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_file_names_no_other_origin(path: Path) -> None:
    """Nothing is loaded from, linked to or sent to another origin."""
    text = path.read_text().replace(SVG_NAMESPACE, "")
    assert EXTERNAL.search(text) is None


@pytest.mark.parametrize(
    "text",
    [
        'src="//cdn.example/x.js"',
        "url(//cdn.example/x)",
        "fetch('https://a.example')",
        "@import 'http://a'",
        "`wss://a.example`",
        "url(data:image/png;base64,x)",
    ],
)
def test_other_origin_would_be_noticed(text: str) -> None:
    """The check above can fail."""
    assert EXTERNAL.search(text)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_script_builds_no_markup_from_text(path: Path) -> None:
    """What the API or a claim says reaches the page as text only."""
    assert MARKUP_SINKS.search(path.read_text()) is None


@pytest.mark.parametrize(
    "path", [path for path in SCRIPTS if path != PROOF_PANEL], ids=lambda path: path.name
)
def test_script_stores_nothing(path: Path) -> None:
    """The browser's stores are the proof panel's business alone."""
    assert STORES.search(path.read_text()) is None


def test_proof_panel_stores_its_decoy_only() -> None:
    """The panel reads; the one value it writes and removes is the decoy."""
    text = PROOF_PANEL.read_text()
    assert STORES.search(text)
    assert {found[1] for found in STORAGE_WRITES.finditer(text)} == {"DECOY"}


def test_references_lead_to_files() -> None:
    """Every script, style sheet, image and import exists; pages are routes of the router."""
    routes = set(re.findall(r"'(/\w*)': '\w+'", (SPA / "router.js").read_text()))
    assert routes == {"/", "/notes", "/session", "/proof"}
    for reference in INDEX.references:
        is_file = (SPA / reference.removeprefix("/")).is_file()
        assert is_file or reference in routes or reference == "#main", reference
    for script in SCRIPTS:
        for name in imports_of(script):
            assert name.startswith("."), name
            assert (script.parent / name).is_file(), name


def test_elements_that_scripts_use_are_on_the_page() -> None:
    """An id is unique, and every id that a script asks for is there."""
    assert len(INDEX.ids) == len(set(INDEX.ids))
    for script in SCRIPTS:
        for wanted in re.findall(r"\b(?:element|put)\(\s*'([\w-]+)'", script.read_text()):
            assert wanted in INDEX.ids, f"{script.name}: {wanted}"


def test_elements_for_tests_are_on_the_page() -> None:
    """The names that browser tests rely on; each stands for one element."""
    wanted = (
        "login logout user-name user-sub token-life refresh-count notes note-form note-text "
        "note-submit forbidden forbidden-result proof proof-verdict problem"
    )
    assert set(wanted.split()) <= set(INDEX.test_ids)
    assert len(INDEX.test_ids) == len(set(INDEX.test_ids))


def test_npm_is_for_type_checking_only() -> None:
    """The page needs no package; the lock file says nothing of where packages come from."""
    package = json.loads((ROOT / "package.json").read_text())
    assert set(package["devDependencies"]) == {"typescript"}
    assert "dependencies" not in package
    assert '"resolved"' not in (ROOT / "package-lock.json").read_text()


@needs_node
@pytest.mark.skipif(not TSC.exists(), reason="npm ci has not been run")
def test_types_hold() -> None:
    """`tsc --checkJs` in strict mode has nothing to say."""
    done = subprocess.run(
        [TSC, "--project", ROOT / "tsconfig.json"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout


# --- the client -------------------------------------------------------------------------------

USER = {"sub": "u1", "name": "Alice", "bff": {"logout_url": "/bff/logout?sid=s1"}}
NOT_AUTHENTICATED = {"code": "not_authenticated", "title": "x", "login_url": "/bff/login"}
PROBLEM = "application/problem+json"

# A page at one address, whose network gives the prepared answers and records what it was asked.
BROWSER = """
const { createClient, readProblem } = await import(SPA + 'bff-client.js');
const asked = [], went = [], ended = [];
globalThis.location = {
  href: 'https://app.test/notes?x=1#top', origin: 'https://app.test',
  pathname: '/notes', search: '?x=1', hash: '#top', assign: (to) => went.push(to),
};
globalThis.fetch = async (request) => {
  const { url, method, mode, cache } = request;
  asked.push({ url, method, mode, cache, csrf: request.headers.get('x-csrf') });
  const answer = answers.shift();
  if (answer === null) throw new TypeError('Failed to fetch');
  const headers = { 'Content-Type': answer.type ?? 'application/json', ...answer.headers };
  const body = answer.text ?? (answer.status === 204 ? null : JSON.stringify(answer.body));
  return new Response(body, { status: answer.status ?? 200, headers });
};
const client = createClient({ ...options, onSessionEnded: (error) => ended.push(error.code) });
const attempt = async (work) => {
  try {
    const value = await work();
    return value instanceof Response ? { status: value.status, text: await value.text() } : value;
  } catch (error) {
    const { name, code, status, loginUrl, requestId } = error;
    const retryAfter = Number.isNaN(error.retryAfter) ? 'NaN' : error.retryAfter;
    return { name, code, status, loginUrl, retryAfter, requestId };
  }
};
"""


def in_browser(work: str, *answers: object, options: dict[str, str] | None = None) -> Any:
    """What `work` returns with the network giving `answers` in turn: None is no connection."""
    given = f"const answers = {json.dumps(answers)}, options = {json.dumps(options or {})};"
    return run_js(given + BROWSER + work)


def problem(status: int, **document: object) -> dict[str, object]:
    return {"status": status, "type": PROBLEM, "body": document}


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
    """Who is logged in is asked of the gateway."""
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
        (None, {"name": "UnavailableError", "code": "unreachable", "status": 0}),
        ({"status": 502, "text": "Bad Gateway"}, {"name": "UnavailableError", "status": 502}),
        (problem(403, code="csrf_header_missing"), {"name": "GatewayError", "status": 403}),
        ({"body": {"sub": 7}}, {"name": "GatewayError", "code": "malformed"}),
        ({"text": "<p>not json"}, {"name": "GatewayError", "code": "malformed"}),
    ],
)
def test_user_says_who_is_logged_in(answer: object, expected: dict[str, object] | None) -> None:
    """Null is an answer, trouble is an error: a store that is down logs nobody out."""
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
        (
            "client.login({ returnUrl: '/', acrValues: 'mfa', maxAge: 0 })",
            "/bff/login?returnUrl=%2F&acr_values=mfa&max_age=0",
        ),
    ],
)
def test_login_is_a_navigation_that_comes_back(call: str, expected: str) -> None:
    """By default to this very address, query and fragment included."""
    assert in_browser(f"{call}; return went;") == [expected]


@needs_node
def test_logout_is_a_navigation_with_a_fresh_link() -> None:
    """So no script ever reads the way to the login service, which may carry an ID token."""
    other = {**USER, "bff": {"logout_url": "/bff/logout?sid=s2"}}
    work = "await client.user(); const left = await client.logout(); return [left, went, asked];"
    left, went, asked = in_browser(work, {"body": USER}, {"body": other})
    assert (left, went) == (True, ["https://app.test/bff/logout?sid=s2"])
    assert {one["method"] for one in asked} == {"GET"}


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


# --- the demo's pure parts --------------------------------------------------------------------


@needs_node
@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([(0, 60), (5, 55)], []),
        ([(0, 60), (5, 57)], []),
        ([(0, 60), (50, 60)], [{"from": 10, "to": 60}]),
        ([(0, 60), (70, 60), (75, 55)], [{"from": 0, "to": 60}]),
        ([(0, None), (5, 60), (10, 55)], []),
    ],
    ids=["ticks", "rounding", "refreshed", "after-expiry", "unknown"],
)
def test_refresh_is_seen_when_the_token_life_jumps(
    steps: list[tuple[int, int | None]], expected: list[dict[str, int]]
) -> None:
    """Steps are (clock, `access_token_expires_in`); rounding and delay are no refresh."""
    source = """
      const { createCountdown } = await import(SPA + 'countdown.js');
      let now = 0;
      const countdown = createCountdown(() => now);
      return steps.map(([at, left]) => {
        now = at;
        return countdown.take({ access_token_expires_in: left });
      }).filter(Boolean);
    """
    assert run_js(f"const steps = {json.dumps(steps)};" + source) == expected


@needs_node
@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(None, "unknown"), (0, "0 s"), (41.2, "42 s"), (245, "4 min 05 s"), (43199, "11 h 59 min")],
)
def test_durations_are_spelled_for_people(seconds: float | None, expected: str) -> None:
    """The unit fits the size."""
    source = "const { spell } = await import(SPA + 'countdown.js');"
    assert run_js(f"{source} return spell({json.dumps(seconds)});") == expected


@needs_node
@pytest.mark.parametrize(
    ("name", "value", "is_token"),
    [
        ("theme", "dark", False),
        ("", "/notes?x=1", False),
        ("x", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ1In0.", True),
        ("access_token", "opaque", True),
        ("oidc.user", '{"refresh_token":"opaque"}', True),
        ("__Host-Http-bff", "anything", True),
        ("bff", "anything", True),
        ("buffet", "anything", False),
    ],
)
def test_proof_panel_recognises_tokens(name: str, value: str, is_token: bool) -> None:
    """Its verdict would be worth nothing if it could not be bad."""
    finding = json.dumps({"place": "x", "name": name, "value": value})
    source = "const { looksLikeToken } = await import(SPA + 'token-scan.js');"
    assert run_js(f"{source} return looksLikeToken({finding});") is is_token
