"""`bff check` finds, before the first login, what would make it fail: each kind of trouble has a
line of its own that says what to do. Black box: the command, against real programs.
"""

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from bff.cli.check import all_verdicts
from bff.cli.checks.verdict import has_failed, line
from bff.clock import SystemClock
from bff.config import load
from tests.flows.test_cli import FAILED, GIVEN_SECRET, VALID
from tests.parts.certificates import self_signed, server_context
from tests.parts.command import Result, bff
from tests.parts.config_files import toml, write
from tests.parts.redis_server import RedisServer, free_port_for_redis
from tests.parts.scripted_op import Answer, ScriptedOp
from tests.parts.servers import free_port
from tests.parts.stack import Stack, running_stack
from tests.polling import until

CALLBACK = "http://localhost:8080/bff/callback"


def configuration(
    directory: Path,
    issuer: str,
    *,
    store: str = "memory://",
    routes: Mapping[str, str | None] | None = None,
    server: Mapping[str, str | None] | None = None,
    oidc: Mapping[str, str | None] | None = None,
    metrics: Mapping[str, str | None] | None = None,
) -> Path:
    """One that works, with an API wherever the OP is, but for what is given."""
    ports = {name: f'"127.0.0.1:{free_port()}"' for name in ("listen", "admin_listen")}
    changes: dict[str, dict[str, str | None]] = {
        "server": {"public_url": '"http://localhost:8080"', **ports, **(server or {})},
        "oidc": {"issuer": json.dumps(issuer), **(oidc or {})},
        "session": {"store": json.dumps(store)},
        "routes": {"upstream": json.dumps(f"{issuer}/"), **(routes or {})},
        "metrics": dict(metrics or {}),
    }
    return write(directory, toml(changes))


async def check(config: Path) -> Result:
    """What the command says and how it ends, without a process of its own."""
    verdicts = [verdict async for verdict in all_verdicts(load(config, {}))]
    lines = [line(verdict, "utf-8") for verdict in verdicts]
    return judged(Result(FAILED if has_failed(verdicts) else VALID, "\n".join(lines), ""))


async def run_check(config: Path) -> Result:
    """The command itself."""
    return judged(await bff("check", "--config", str(config), cwd=config.parent))


def judged(result: Result) -> Result:
    """With what holds for every report."""
    assert GIVEN_SECRET not in result.out + result.err
    assert result.err == ""
    assert "Error" not in result.out, "words, not names of exceptions"
    for shown in result.out.splitlines():
        assert shown[:2] in {"✓ ", "! ", "✗ "}, "one line a finding"
    return result


@asynccontextmanager
async def scripted_op(
    tls: ssl.SSLContext | None = None, metadata: Mapping[str, object] | None = None
) -> AsyncIterator[ScriptedOp]:
    """An OP with which all is well: it refuses the code, and leads back to the redirect URI."""
    op = await ScriptedOp(SystemClock()).start(tls)
    op.metadata_changes = dict(metadata or {})
    op.answers["token"] = Answer({"error": "invalid_grant"}, status=400)
    op.answers["other"] = led_to(f"{CALLBACK}?error=login_required")
    try:
        yield op
    finally:
        await op.close()


def led_to(location: str) -> Answer:
    return Answer(status=302, headers={"Location": location})


async def test_an_installation_with_which_all_is_well(tmp_path: Path) -> None:
    async with scripted_op(metadata={"authorization_response_iss_parameter_supported": True}) as op:
        result = await run_check(configuration(tmp_path, op.issuer))
    assert result.code == VALID, result.out
    for item in ("configuration", "OP", "client", "redirect URI", "store", "upstream"):
        assert result.line(f"✓ {item}")
    sent = [received for received in op.received if received.endpoint == "token"]
    assert len(sent) == 1, "it is asked once"
    assert "prompt=none" in next(r.path for r in op.received if r.endpoint == "other")


async def test_a_login_is_no_check_without_the_op(tmp_path: Path) -> None:
    """Else the command would end well without the login that was asked for."""
    async with scripted_op() as op:
        config = configuration(tmp_path, op.issuer)
        result = await bff("check", "--config", str(config), "--login", "--offline", cwd=tmp_path)
        assert op.received == []
    assert result.code == 2
    assert "--offline" in result.err


@pytest.mark.parametrize("options", [("--no-browser",), ("--timeout", "300")])
async def test_an_option_of_the_login_is_refused_without_it(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    """Else the login that was meant would not take place, and nothing would say so."""
    async with scripted_op() as op:
        config = configuration(tmp_path, op.issuer)
        result = await bff("check", "--config", str(config), *options, cwd=tmp_path)
        assert op.received == []
    assert result.code == 2
    assert f"{options[0]} goes with --login" in result.err


# --- the OP and what it says


OP_LINES: list[tuple[dict[str, object], dict[str, str], str]] = [
    (
        {"id_token_signing_alg_values_supported": ["ES256", "PS256"]},
        {},
        "✗ OP            signs ID tokens with ES256, PS256, but oidc.id_token_algs allows RS256",
    ),
    (
        {"require_pushed_authorization_requests": True},
        {},
        '✗ OP            oidc.par is "if-offered", but pushed_authorization_request_endpoint is',
    ),
    (
        {"token_endpoint_auth_methods_supported": ["private_key_jwt", "client_secret_post"]},
        {},
        "✗ OP            oidc.client_auth is client_secret_basic, but it takes private_key_jwt, ",
    ),
    (
        {"scopes_supported": ["openid", "offline_access"]},
        {"scope": '"openid profile"'},
        "! OP            lists the scope offline_access, which oidc.scope does not ask for",
    ),
    (
        {"scopes_supported": ["openid"]},
        {"scope": '"openid offline_access"'},
        "! OP            does not list the scope offline_access",
    ),
    (
        {"acr_values_supported": ["silver", "gold"]},
        {"acr_order": '["silver", "golden"]'},
        "! OP            does not list golden in acr_values_supported",
    ),
    (
        {"code_challenge_methods_supported": ["plain"]},
        {},
        "✗ OP            The login service is not configured as expected. (code_challenge",
    ),
]


@pytest.mark.parametrize(("metadata", "oidc", "start"), OP_LINES)
async def test_what_the_metadata_says_is_compared_with_the_settings(
    tmp_path: Path, metadata: dict[str, object], oidc: dict[str, str], start: str
) -> None:
    async with scripted_op(metadata=metadata) as op:
        result = await check(configuration(tmp_path, op.issuer, oidc=oidc))
    assert result.line(start)
    assert result.code == (FAILED if start.startswith("✗") else VALID)


@pytest.mark.parametrize("asked", [True, False])
async def test_a_keycloak_is_recognised_and_needs_no_offline_access(
    tmp_path: Path, asked: bool
) -> None:
    """There it makes offline sessions: no single sign-on, no back-channel logout."""
    async with scripted_op(metadata={"scopes_supported": ["openid", "offline_access"]}) as op:
        path = f"{op.issuer}/realms/acme/protocol/openid-connect/token"
        op.metadata_changes["token_endpoint"] = path
        op.answers["other"] = lambda r: (
            Answer({"error": "invalid_grant"}, status=400)
            if r.method == "POST"
            else led_to(f"{CALLBACK}?error=login_required")
        )
        scope = '"openid offline_access"' if asked else '"openid"'
        result = await check(configuration(tmp_path, op.issuer, oidc={"scope": scope}))
    said = [line for line in result.out.splitlines() if "offline_access" in line]
    assert len(said) == asked
    assert all("is a Keycloak" in line for line in said)


@pytest.mark.parametrize("slash", [True, False])
async def test_both_issuers_are_shown_when_they_differ(tmp_path: Path, slash: bool) -> None:
    """To the letter (OIDC Discovery section 4.3)."""
    async with scripted_op() as op:
        theirs = f"{op.issuer}/" if slash else "http://127.0.0.1/\x1b[2Jother"
        op.metadata_changes["issuer"] = theirs
        result = await check(configuration(tmp_path, op.issuer))
    line = result.line("✗ OP")
    assert f"calls itself {theirs.replace(chr(27), '?')}, but oidc.issuer is {op.issuer}" in line
    assert ("slash" in line) == slash
    assert result.code == FAILED


async def test_a_wrong_address_of_the_op_is_told_with_the_address(tmp_path: Path) -> None:
    async with scripted_op() as op:
        result = await check(configuration(tmp_path, f"{op.issuer}/realms/none"))
    assert f"Is {op.issuer}/realms/none/.well-known/openid-configuration" in result.line("✗ OP")


# --- the client and its redirect URI


@pytest.mark.parametrize(
    ("answer", "start"),
    [
        (
            Answer({"error": "invalid_client"}, status=401),
            "✗ client        the OP does not accept spa with this secret (token: status 401, ",
        ),
        (
            Answer({"error": "unauthorized_client"}, status=400),
            "✗ client        the OP knows spa but does not let it redeem authorization codes",
        ),
        (
            Answer({"error": "invalid_request"}, status=400),
            "! client        it can't be told whether the OP accepts the secret",
        ),
        (Answer({"error": "invalid_grant"}, status=400), "✓ client        the OP knows spa"),
        (Answer(status=503), "! client        it can't be told"),
    ],
)
async def test_the_client_is_tried_with_a_code_that_was_not_issued(
    tmp_path: Path, answer: Answer, start: str
) -> None:
    """RFC 6749 section 5.2: `invalid_client` is about us, `invalid_grant` about the code."""
    async with scripted_op() as op:
        op.answers["token"] = answer
        result = await check(configuration(tmp_path, op.issuer))
    assert result.line(start)
    assert result.code == (FAILED if start.startswith("✗") else VALID)


@pytest.mark.parametrize(
    ("answer", "start"),
    [
        (led_to(f"{CALLBACK}?error=login_required&state=x"), f"✓ redirect URI  {CALLBACK} is"),
        (led_to(f"{CALLBACK}#error=interaction_required"), "✓ redirect URI"),
        (led_to(f"{CALLBACK}?code=canary&state=x"), f"✓ redirect URI  {CALLBACK} is"),
        (
            led_to(f"{CALLBACK}?error=invalid_scope"),
            f"✗ redirect URI  {CALLBACK} is registered, but the OP refuses logins (invalid_scope)",
        ),
        (
            Answer(b"<p>redirect_uri_mismatch", status=400),
            f"✗ redirect URI  the OP does not lead back to {CALLBACK}: register exactly this",
        ),
        (led_to("/oauth/error?client=canary"), "✗ redirect URI  the OP does not lead back"),
        (led_to(f"{CALLBACK}x?error=login_required"), "! redirect URI  it can't be told"),
        (led_to("/login?flow=canary"), "! redirect URI  it can't be told"),
        (Answer(b"<form>", status=200), "! redirect URI  it can't be told"),
        (Answer(status=500), "✗ redirect URI  The login service cannot be reached"),
    ],
)
async def test_the_redirect_uri_is_tried_without_a_user(
    tmp_path: Path, answer: Answer, start: str
) -> None:
    """`prompt=none`: an OP that knows it leads back, with `login_required` (Core 3.1.2.6)."""
    async with scripted_op() as op:
        op.answers["other"] = answer
        result = await check(configuration(tmp_path, op.issuer))
    assert result.line(start)
    assert "canary" not in result.out
    assert result.code == (FAILED if start.startswith("✗") else VALID)


@pytest.mark.parametrize("wrong", ["secret", "client_id", "redirect URI", "nothing"])
async def test_a_real_op_tells_the_same(tmp_path: Path, wrong: str) -> None:
    """The demo's, which is made of Authlib's server side."""
    async with running_stack() as stack:
        text = stack.toml.replace(f'listen = "127.0.0.1:{stack.ports.gateway}"', free(), 1)
        if wrong == "secret":
            text = text.replace("client-secret-canary", "another-secret-canary")
        if wrong == "client_id":
            text = text.replace('client_id = "spa"', 'client_id = "spb"')
        if wrong == "redirect URI":
            text = text.replace("localhost:", "app.localhost:")
        (tmp_path / "bff.toml").write_text(text)
        result = await run_check(tmp_path / "bff.toml")
    bad = {line[2:15].strip() for line in result.out.splitlines() if line.startswith("✗")}
    expected = {
        "secret": {"client"},
        "client_id": {"client", "redirect URI"},
        "redirect URI": {"redirect URI"},
        "nothing": set(),
    }
    assert bad == expected[wrong], result.out
    assert "canary" not in result.out


def free() -> str:
    return f'listen = "127.0.0.1:{free_port()}"'


# --- TLS at the OP


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        ("untrusted", "name its CA's file in oidc.ca_file"),
        ("expired", "its certificate has expired"),
        ("other name", "its certificate is not for this IP address"),
        ("plain", "no TLS is spoken there: it may be a port for plain connections"),
        ("down", "connection refused: nothing listens there"),
        ("dns", "the host name is not known (DNS)"),
    ],
)
async def test_each_kind_of_trouble_on_the_way_to_the_op(
    tmp_path: Path, trouble: str, words: str
) -> None:
    host = "other.example" if trouble == "other name" else "127.0.0.1"
    certificate, key = self_signed(tmp_path, host, is_over=trouble == "expired")
    tls = server_context(certificate, key)
    given = {} if trouble == "untrusted" else {"ca_file": json.dumps(str(certificate))}
    async with scripted_op(None if trouble == "plain" else tls) as op:
        issuer = op.issuer.replace("http://", "https://")
        if trouble == "down":
            issuer = f"https://127.0.0.1:{free_port()}"
        if trouble == "dns":
            issuer = "https://no-such-host.invalid"
        result = await check(configuration(tmp_path, issuer, oidc=given))
    assert words in result.line("✗ OP")
    assert result.code == FAILED


# --- the store


@contextmanager
def redis_with_tls(
    directory: Path, host: str = "127.0.0.1", *, over: bool = False
) -> Iterator[int]:
    certificate, key = self_signed(directory, host, is_over=over)
    port = free_port_for_redis()
    server = RedisServer(
        *("--tls-port", str(port), "--tls-auth-clients", "no"),
        *("--tls-ca-cert-file", str(certificate)),
        *("--tls-cert-file", str(certificate), "--tls-key-file", str(key)),
        tcp=True,
    )
    try:
        yield port
    finally:
        server.close()


NO_ANSWER = "no answer in time"


async def until_told(
    directory: Path, store: str, words: str, mark: str = "✗", item: str = "store"
) -> None:
    """Ask again while the check gets no answer in time, as it may not on a busy machine."""

    async def is_told() -> bool:
        async with scripted_op() as op:
            result = await check(configuration(directory, op.issuer, store=store))
        assert "canary" not in result.out
        if NO_ANSWER in result.out.lower() and words.lower() not in result.out.lower():
            return False
        assert result.code == (FAILED if mark == "✗" else VALID), result.out
        assert words.lower() in result.line(f"{mark} {item}").lower()
        return True

    await until(is_told)


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        ("rediss://127.0.0.1:{tls}/0", "name its CA's file in ?ssl_ca_certs=FILE"),
        ("rediss://127.0.0.1:{tls}/0?ssl_ca_certs={other}", "name its CA's file in"),
        ("redis://127.0.0.1:{tls}/0", "it may want TLS: then rediss://"),
        ("rediss://127.0.0.1:{plain}/0", "or it speaks no TLS: then redis://"),
        ("redis://127.0.0.1:{down}/0", "Connection refused: nothing listens there"),
        ("redis://no-such-host.invalid/0", "The host name is not known (DNS)"),
        ("unix:///nowhere/redis.sock", "There is no such socket"),
        ("redis://127.0.0.1:{plain}/99", "It has no database of that number"),
        ("redis://:canary-canary-1@127.0.0.1:{plain}/0", "no password set for the default user"),
        ("redis://u:canary-canary-1@127.0.0.1:{plain}/0", "user name or password in session.store"),
        ("redis://few:canary-canary-2@127.0.0.1:{plain}/0", "ACL does not allow the command"),
        ("redis://keys:canary-canary-2@127.0.0.1:{plain}/0", "ACL does not allow the keys"),
        ("redis://mute:canary-canary-2@127.0.0.1:{plain}/0", "ACL does not allow the channels"),
        ("redis+cluster://127.0.0.1:{plain}", "it is no cluster"),
    ],
)  # fmt: skip
async def test_each_kind_of_trouble_with_redis(tmp_path: Path, trouble: str, words: str) -> None:
    plain = RedisServer(tcp=True)
    rights = ("on", ">canary-canary-2", "+@all")
    plain.command("ACL", "SETUSER", "u", "on", ">right", "+@all")
    plain.command("ACL", "SETUSER", "few", "on", ">canary-canary-2", "~*", "&*", "+ping", "+select")
    plain.command("ACL", "SETUSER", "keys", *rights, "~other:*", "&*")
    plain.command("ACL", "SETUSER", "mute", *rights, "~*", "resetchannels")
    other, _ = self_signed(tmp_path, "127.0.0.2")
    try:
        with redis_with_tls(tmp_path) as port:
            url = trouble.format(tls=port, plain=plain.port, down=free_port(), other=other)

            await until_told(tmp_path, url, words)
    finally:
        plain.close()


@pytest.mark.parametrize(
    ("host", "over", "words"),
    [
        ("127.0.0.1", True, "Its certificate has expired"),
        ("other.example", False, "Its certificate is not for this IP address"),
    ],
)
async def test_certificates_of_redis_are_judged_in_words(
    tmp_path: Path, host: str, over: bool, words: str
) -> None:
    with redis_with_tls(tmp_path, host, over=over) as port:
        url = f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={tmp_path / host}.crt"
        await until_told(tmp_path, url, words)


async def test_a_redis_that_wants_a_password_evicts_or_only_reads(tmp_path: Path) -> None:
    server = RedisServer(tcp=True)
    try:
        server.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        await until_told(tmp_path, server.url, "set noeviction", "!", "eviction")
        server.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
        await until_told(tmp_path, server.url, "appendonly is off", "!", "persistence")
        left = {key.split(b":")[1] for key in server.records()}
        assert left <= {b"f", b"r"}, "of the trial, what no session needs, for a while"
        server.command("CONFIG", "SET", "maxmemory", "1")
        await until_told(tmp_path, server.url, "memory is full")
        server.command("CONFIG", "SET", "maxmemory", "0")
        server.command("REPLICAOF", "127.0.0.1", "1")
        await until_told(tmp_path, server.url, "read-only replica")
        server.command("REPLICAOF", "NO", "ONE")
        server.command("CONFIG", "SET", "requirepass", "right")
        await until_told(tmp_path, server.url, "it wants a password")
    finally:
        server.close()


# --- several OPs

SEVERAL = """
[server]
public_url = "http://localhost:8080"
listen = "127.0.0.1:{listen}"
admin_listen = "127.0.0.1:{admin_listen}"

[session]
store = "memory://"
secrets = ["Zk3vJ8qT5nY1cW7xB2mL9rD4sF6hG0pA"]
"""
PROVIDER = """
[providers.{name}]
issuer = "{issuer}"
client_id = "spa"
client_secret = "a-secret-of-{name}-7c1f5e"
timeout = "60s"
"""


def with_providers(directory: Path, issuers: Mapping[str, str]) -> Path:
    tables = [SEVERAL.format(listen=free_port(), admin_listen=free_port())]
    tables += [PROVIDER.format(name=name, issuer=issuer) for name, issuer in issuers.items()]
    return write(directory, "".join(tables))


async def test_an_op_that_is_slow_holds_up_no_other(tmp_path: Path) -> None:
    """They are asked side by side: all of these before one of them has answered."""
    async with scripted_op() as first, scripted_op() as second, scripted_op() as third:
        ops = {"first": first, "second": second, "third": third}
        for op in ops.values():
            op.answers["discovery"] = Answer(hang=True)
        issuers = {name: op.issuer for name, op in ops.items()}
        checking = asyncio.create_task(check(with_providers(tmp_path, issuers)))
        await until(lambda: all(op.count("discovery") for op in ops.values()))
        assert not checking.done()
        checking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await checking


async def test_findings_come_in_the_order_of_the_file(tmp_path: Path) -> None:
    """The first OP answers last."""
    async with scripted_op() as last, scripted_op() as first:
        metadata = last.metadata()
        last.answers["discovery"] = Answer(metadata, delay_seconds=0.3)
        down = f"http://127.0.0.1:{free_port()}"
        issuers = {"zeta": last.issuer, "alpha": first.issuer, "down": down}
        result = await check(with_providers(tmp_path, issuers))
    told = [shown[2:].partition(":")[0] for shown in result.out.splitlines() if ": " in shown]
    of_ops = [name for name in told if name in issuers]
    assert list(dict.fromkeys(of_ops)) == ["zeta", "alpha", "down"]
    assert of_ops == sorted(of_ops, key=list(issuers).index)
    assert result.code == FAILED


# --- the APIs and the own addresses


async def test_each_api_is_tried_by_itself(tmp_path: Path) -> None:
    """Connected to, and asked nothing."""
    down = f"http://127.0.0.1:{free_port()}"
    async with scripted_op() as op:
        upstream = json.dumps([f"{op.issuer}/a", down, f"{op.issuer.replace('http', 'https')}/"])
        result = await check(configuration(tmp_path, op.issuer, routes={"upstream": upstream}))
        assert not [received for received in op.received if received.path == "/a"]
    assert result.code == FAILED
    assert result.line(f"✓ upstream      {op.issuer} can be reached")
    assert result.line(f"✗ upstream      {down} (route /api/): connection refused")
    assert "no TLS is spoken there" in result.line("✗ upstream      https://")


@pytest.mark.parametrize("key", ["listen", "admin_listen", "health_listen", "auth_listen"])
async def test_a_port_that_another_program_has_is_told(tmp_path: Path, key: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = json.dumps(f"127.0.0.1:{taken.getsockname()[1]}")
        server = {key: address, "trusted_proxies": '["127.0.0.1"]'}
        async with scripted_op() as op:
            result = await check(configuration(tmp_path, op.issuer, server=server))
    assert "another program listens there" in result.line(f"✗ server        server.{key}")
    assert result.code == FAILED


async def test_a_port_for_metrics_that_another_program_has_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = json.dumps(f"127.0.0.1:{taken.getsockname()[1]}")
        async with scripted_op() as op:
            given: dict[str, str | None] = {"listen": address}
            result = await check(configuration(tmp_path, op.issuer, metrics=given))
    assert "another program listens there" in result.line("✗ metrics       metrics.listen")
    assert result.code == FAILED


@pytest.mark.parametrize(
    ("address", "words"),
    [("192.0.2.1:8080", "this machine has no such address"), ("unix:/nowhere/x", "create it")],
)
async def test_an_address_that_is_no_place_to_listen_is_told(
    tmp_path: Path, address: str, words: str
) -> None:
    async with scripted_op() as op:
        given: dict[str, str | None] = {"listen": json.dumps(address)}
        result = await check(configuration(tmp_path, op.issuer, server=given))
    assert words in result.line("✗ server")


async def test_a_running_gateway_is_no_other_program(tmp_path: Path) -> None:
    async with running_stack() as stack:
        await _require_all_well(stack, tmp_path)


async def _require_all_well(stack: Stack, directory: Path) -> None:
    (directory / "bff.toml").write_text(stack.toml)
    result = await check(directory / "bff.toml")
    assert result.code == VALID, result.out
    assert "the gateway is running" in result.line("✓ server        server.listen")
    assert "the gateway is running" in result.line("✓ server        server.admin_listen")
