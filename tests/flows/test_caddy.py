"""The Caddyfile in front of the gateway, with the real Caddy: what reaches the gateway, what the
browser gets, and what never passes. The gateway is a recorder here; its own rules are tested
elsewhere.
"""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.parts.caddy_client import connected, send
from tests.parts.caddy_server import CADDY, ROOT, CaddyServer, running_caddy
from tests.parts.file_names import HASHED, PLAIN
from tests.parts.recording_server import WAIT_SECONDS, Recorded, Recorder, running_recorder
from tests.parts.servers import free_port

INDEX = "<!doctype html><title>spa</title>"
FILES = {
    **dict.fromkeys((*HASHED, *PLAIN), "export {}"),
    "index.html": INDEX,
    "app.js": "export {}",
    "session-dashboard.js": "export {}",
    "assets/app-0123abcd.js": "export {}",
    "folder/notes.txt": "a file of a folder without index.html",
    "packed.js": "export {}",
    "packed.js.br": "as if brotli",
    "packed.js.gz": "as if gzip'd",
    ".env": "SECRET=1",
    ".git/config": "[core]",
}


@pytest.fixture(scope="module")
def recorder() -> Iterator[Recorder]:
    with running_recorder() as server:
        yield server


@pytest.fixture(scope="module")
def spa(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("spa")
    for name, text in FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.fixture(scope="module")
def caddy(
    tmp_path_factory: pytest.TempPathFactory, recorder: Recorder, spa: Path
) -> Iterator[CaddyServer]:
    gateway = f"127.0.0.1:{recorder.server_port}"
    with running_caddy(tmp_path_factory.mktemp("caddy"), gateway=gateway, spa_root=spa) as server:
        yield server


def forwarded(caddy: CaddyServer, recorder: Recorder, *args: object, **kwargs: str) -> Recorded:
    """What the gateway saw of a request, which must be exactly one."""
    recorder.requests.clear()
    target, *headers = args
    assert send(caddy, target, *headers, **kwargs).status == 200  # type: ignore[arg-type]
    (seen,) = recorder.requests
    return seen


# --- the file itself --------------------------------------------------------------------------


def test_the_caddyfile_is_valid_and_formatted(tmp_path: Path) -> None:
    """A configuration error must show here, not when someone starts it."""
    home = {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path)}
    caddyfile = str(ROOT / "Caddyfile")
    validate = [CADDY, "validate", "--adapter", "caddyfile", "--config", caddyfile]
    done = subprocess.run(validate, cwd=ROOT, env=home, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    neat = subprocess.run([CADDY, "fmt", caddyfile], env=home, capture_output=True, check=False)
    assert neat.stdout.decode() == (ROOT / "Caddyfile").read_text()


def test_the_defaults_listen_on_loopback_only_and_have_no_admin_endpoint(tmp_path: Path) -> None:
    """Without any setting: one listener, on loopback, and no administration socket."""
    adapt = [CADDY, "adapt", "--config", str(ROOT / "Caddyfile")]
    home = {"HOME": str(tmp_path)}
    done = subprocess.run(adapt, cwd=ROOT, env=home, capture_output=True, check=True)
    config = json.loads(done.stdout)
    servers = config["apps"]["http"]["servers"]
    assert [server["listen"] for server in servers.values()] == [["127.0.0.1:8443"]]
    assert config["admin"] == {"disabled": True}
    assert config["apps"]["pki"]["certificate_authorities"]["local"]["install_trust"] is False


# --- towards the gateway ----------------------------------------------------------------------


@pytest.mark.rule("PX-03")
@pytest.mark.parametrize(
    "target",
    [
        "/api/a%2Fb?q=a+b&r=%2f&s=a%20b&t=%2B&u&v=",
        "/api/x?q=a;b&c=%zz&d='%22'&e=[1]",
        "/api/%C3%BC/a%7Eb~c/(d)!$&'()*+,;=:@",
        "/api//double//slash/",
        "/api?x",
        "/bff/login?returnUrl=%2Fa%3Fb%3Dc%26d",
        "/bff/user",
    ],
)
def test_path_and_query_reach_the_gateway_byte_for_byte(
    caddy: CaddyServer, recorder: Recorder, target: str
) -> None:
    """RFC 9110 section 7.7: the gateway must judge the very bytes the browser sent."""
    assert forwarded(caddy, recorder, target).target == target


@pytest.mark.rule("PX-02")
@pytest.mark.parametrize(
    "target",
    ["/api/../bff/user", "/api/%2e%2e/admin", "/api/..%2fadmin", "/x/../api/y", "/api/%252e/x"],
)
def test_a_path_of_two_readings_is_not_rewritten(
    caddy: CaddyServer, recorder: Recorder, target: str
) -> None:
    """Caddy may keep it from the gateway; it must not hand over a path that looks harmless."""
    recorder.requests.clear()
    send(caddy, target)
    assert [seen.target for seen in recorder.requests] in ([], [target])


@pytest.mark.rule("PX-09")
def test_forwarded_headers_are_caddys_own(caddy: CaddyServer, recorder: Recorder) -> None:
    """The gateway trusts this proxy, so what a browser sends under these names must end here."""
    forged = [
        ("X-Forwarded-For", "203.0.113.7"),
        ("X-Forwarded-Proto", "http"),
        ("X-Forwarded-Host", "evil.example"),
    ]
    seen = forwarded(caddy, recorder, "/api/x", *forged)
    assert seen.values("X-Forwarded-For") == ["127.0.0.1"]
    assert seen.values("X-Forwarded-Proto") == ["https"]
    assert seen.values("X-Forwarded-Host") == [f"localhost:{caddy.port}"]
    assert seen.values("Host") == [f"localhost:{caddy.port}"]


@pytest.mark.rule("PX-09")
@pytest.mark.parametrize(
    "name",
    [
        "Forwarded",
        "X-Forwarded-Uri",
        "x-forwarded-method",
        "X-Forwarded-Prefix",
        "X-Forwarded-Port",
        "X-Forwarded-User",
        "X-Original-URL",
        "X-Original-URI",
        "X-Original-Method",
        "X-Real-IP",
    ],
)
def test_headers_that_only_proxies_may_send_stop_at_caddy(
    caddy: CaddyServer, recorder: Recorder, name: str
) -> None:
    """CVE-2026-40575: a decision made on a path that the browser claims by header."""
    seen = forwarded(caddy, recorder, "/bff/user", (name, "/bff/public"))
    assert seen.values(name) == []


def test_the_rest_of_a_request_passes_unchanged(caddy: CaddyServer, recorder: Recorder) -> None:
    """Cookie, CSRF header, Origin and body are the gateway's to judge."""
    sent = [
        ("Cookie", "__Host-Http-bff=abc; other=1"),
        ("X-CSRF", "1"),
        ("Origin", caddy.origin),
        ("Sec-Fetch-Site", "same-origin"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("Content-Type", "application/json"),
    ]
    seen = forwarded(caddy, recorder, "/api/x", *sent, method="POST", body='{"a":1}')
    assert [(name, *seen.values(name)) for name, _ in sent] == sent
    assert seen.body == b'{"a":1}'


@pytest.mark.parametrize(
    "target", ["/bff/auth", "/bff/auth?x", "/bff/auth/", "/bff/%61uth", "/BFF/Auth", "/bff/./auth"]
)
def test_the_endpoint_for_proxies_is_not_reachable_by_browsers(
    caddy: CaddyServer, recorder: Recorder, target: str
) -> None:
    """`/bff/auth` answers with the bearer token for a proxy to copy."""
    recorder.requests.clear()
    assert send(caddy, target).status == 404
    assert recorder.requests == []


@pytest.mark.rule("OP-05")
@pytest.mark.parametrize("target", ["/metrics", "/healthz", "/readyz", "/debug/pprof/"])
def test_operational_endpoints_never_reach_the_gateway(
    caddy: CaddyServer, recorder: Recorder, target: str
) -> None:
    """Only /bff and /api go to the gateway; other paths are the SPA's."""
    recorder.requests.clear()
    assert send(caddy, target).body in (INDEX.encode(), b"404 Not Found")
    assert recorder.requests == []


def test_an_event_stream_is_delivered_at_once_and_ends_with_the_browser(
    caddy: CaddyServer, recorder: Recorder
) -> None:
    """The first event arrives while the stream is open; a hang-up reaches the gateway."""
    recorder.hung_up.clear()
    with connected(caddy) as connection:
        connection.request("GET", "/bff/events", headers={"Host": f"localhost:{caddy.port}"})
        response = connection.getresponse()
        assert response.readline() == b"event: session\n"
        response.close()
    assert recorder.hung_up.wait(WAIT_SECONDS)


@pytest.mark.rule("SM-05")
def test_another_host_name_is_refused(caddy: CaddyServer, recorder: Recorder) -> None:
    """RFC 9110 section 7.4: a name this server does not answer for."""
    recorder.requests.clear()
    assert send(caddy, "/api/x", ("Host", "evil.example")).status == 421
    assert recorder.requests == []


# --- towards the browser ----------------------------------------------------------------------

ALWAYS = {
    "Strict-Transport-Security": None,  # the site of these tests is localhost
    "X-Content-Type-Options": "nosniff",
    "Server": None,
    "Via": None,
}
DOCUMENT = {
    **ALWAYS,
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "no-referrer",
}


@pytest.mark.rule("HD-02")
@pytest.mark.parametrize(
    ("target", "status", "expected"),
    [
        ("/", 200, {**DOCUMENT, "Cache-Control": "no-cache"}),
        ("/some/page/of/the/router", 200, {**DOCUMENT, "Cache-Control": "no-cache"}),
        ("/app.js", 200, {**DOCUMENT, "Cache-Control": "no-cache"}),
        ("/session-dashboard.js", 200, {**DOCUMENT, "Cache-Control": "no-cache"}),
        (
            "/assets/app-0123abcd.js",
            200,
            {**DOCUMENT, "Cache-Control": "public, max-age=31536000, immutable"},
        ),
        ("/missing.js", 404, {**DOCUMENT, "Cache-Control": "no-store"}),
        ("/api/x", 200, {**ALWAYS, "Cache-Control": "no-store"}),
        ("/bff/user", 200, {**ALWAYS, "Content-Security-Policy": "default-src 'none'; sandbox"}),
        ("/bff/auth", 404, {**ALWAYS, "Cache-Control": "no-store"}),
    ],
)
def test_every_class_of_answer_has_its_headers(
    caddy: CaddyServer, target: str, status: int, expected: dict[str, str | None]
) -> None:
    """The SPA gets the strict policy, the gateway's answers keep theirs; no software is named."""
    answer = send(caddy, target)
    assert answer.status == status
    assert {name: answer.headers.get(name) for name in expected} == expected
    assert all(len(answer.headers.get_all(name, [])) <= 1 for name in DOCUMENT)


KEPT = "public, max-age=31536000, immutable"
# The gateway's rule knows them.
NOT_BY_CADDY = {"main-5UYT7BK3.js", "chunk-5TVWPQ7K.js", "main-AB2CDEFG.js"}


@pytest.mark.parametrize(
    ("target", "kept"),
    [
        *((name, name not in NOT_BY_CADDY) for name in HASHED),
        *((name, False) for name in PLAIN if "." in name),
    ],
)
def test_only_files_that_never_change_are_kept(caddy: CaddyServer, target: str, kept: bool) -> None:
    """No name is kept that the gateway would not keep."""
    answer = send(caddy, f"/{target}")
    assert answer.status == 200
    assert answer.headers["Cache-Control"] == (KEPT if kept else "no-cache")


@pytest.mark.parametrize(
    ("accepted", "body"), [("gzip, br", b"as if brotli"), ("gzip", b"as if gzip'd")]
)
def test_files_that_are_compressed_already_are_sent_so(
    caddy: CaddyServer, accepted: str, body: bytes
) -> None:
    answer = send(caddy, "/packed.js", ("Accept-Encoding", accepted))
    assert (answer.status, answer.body) == (200, body)
    assert answer.headers["Vary"] == "Accept-Encoding"
    assert send(caddy, "/packed.js").body == b"export {}"


@pytest.mark.rule("HD-02")
def test_hsts_is_for_other_machines_only(tmp_path: Path, recorder: Recorder, spa: Path) -> None:
    """It holds for every port of a host: there would be no http://localhost after one visit."""
    with running_caddy(
        tmp_path, gateway=f"127.0.0.1:{recorder.server_port}", spa_root=spa, host="app.test"
    ) as server:
        for target in ("/", "/api/x", "/missing.js"):
            answer = send(server, target)
            assert answer.headers["Strict-Transport-Security"] == "max-age=31536000", target


@pytest.mark.parametrize("target", ["/users/john.doe", "/v/1.2.3", "/heroes;id=15", "/a%2Fb.c"])
def test_a_page_with_a_dot_is_served_to_a_navigation(caddy: CaddyServer, target: str) -> None:
    opened = send(caddy, target, ("Sec-Fetch-Mode", "navigate"))
    assert (opened.status, opened.body.decode()) == (200, INDEX)
    hidden = send(caddy, "/.env", ("Sec-Fetch-Mode", "navigate"))
    assert (hidden.status, b"SECRET" in hidden.body) == (404, False)


@pytest.mark.rule("HD-04")
@pytest.mark.parametrize("method", ["POST", "DELETE", "TRACE"])
def test_an_error_names_no_software(caddy: CaddyServer, method: str) -> None:
    """Errors leave Caddy by another way than answers; the headers must not be lost there."""
    answer = send(caddy, "/", method=method)
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")
    assert {name: answer.headers.get(name) for name in DOCUMENT} == DOCUMENT
    assert b"addy" not in answer.body


@pytest.mark.parametrize("target", ["/", "/orders/17", "/folder", "/index.html?x=1"])
def test_pages_of_the_spa_are_its_index(caddy: CaddyServer, target: str) -> None:
    """A deep link into the SPA's router must survive a reload."""
    answer = send(caddy, target)
    assert (answer.status, answer.body) == (200, INDEX.encode())
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"


@pytest.mark.parametrize("target", ["/missing.js", "/assets/gone-0123abcd.css", "/favicon.ico"])
def test_a_missing_file_is_not_answered_with_a_page(caddy: CaddyServer, target: str) -> None:
    """HTML in place of a script only moves the error to where it is not understood."""
    answer = send(caddy, target)
    assert answer.status == 404
    assert INDEX.encode() not in answer.body


@pytest.mark.parametrize(
    "target",
    ["/.env", "/.git/config", "/%2eenv", "/app.js/../.env", "/..%2f.env", "/folder/../.git/config"],
)
def test_dot_files_are_hidden(caddy: CaddyServer, target: str) -> None:
    """What a careless deployment leaves in the folder stays there."""
    answer = send(caddy, target)
    assert answer.status in {400, 404} or answer.body == INDEX.encode()
    assert b"SECRET" not in answer.body
    assert b"[core]" not in answer.body


def test_a_folder_is_not_listed(caddy: CaddyServer) -> None:
    """A folder without index.html tells nothing about what is in it."""
    answer = send(caddy, "/folder/")
    assert b"notes.txt" not in answer.body
    assert answer.status == 404 or answer.body == INDEX.encode()


def test_an_unreachable_gateway_is_a_problem_the_spa_can_wait_out(
    tmp_path: Path, spa: Path
) -> None:
    """Infrastructure trouble is 503 with Retry-After and says nothing about the session."""
    gateway = f"127.0.0.1:{free_port()}"
    with running_caddy(tmp_path / "caddy", gateway=gateway, spa_root=spa) as caddy:
        answer = send(caddy, "/api/x")
    assert answer.status == 503
    assert answer.headers["Retry-After"] == "1"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert {name: answer.headers.get(name) for name in ALWAYS} == ALWAYS
    assert json.loads(answer.body) == {
        "type": "about:blank",
        "title": "The gateway cannot be reached.",
        "status": 503,
        "code": "gateway_unreachable",
    }


def test_a_gateway_that_is_down_costs_no_request(
    tmp_path: Path, spa: Path, recorder: Recorder
) -> None:
    """Of a request that could not be handed over nothing was sent: the next gateway gets it."""
    gateways = f"127.0.0.1:{free_port()} 127.0.0.1:{recorder.server_port}"
    recorder.requests.clear()
    with running_caddy(tmp_path / "caddy", gateway=gateways, spa_root=spa) as caddy:
        answers = [send(caddy, f"/api/{number}").status for number in range(6)]
    assert answers == [200] * 6
    assert [seen.target for seen in recorder.requests] == [f"/api/{n}" for n in range(6)]
