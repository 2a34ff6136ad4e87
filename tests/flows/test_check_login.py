"""`bff check --login`: one real login, with a verdict for each of its steps."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest

from bff.cli.checks.login import LoginCheck, LoginTimes
from bff.cli.checks.verdict import Verdict, line
from bff.clock import SystemClock
from bff.config import Settings, load
from bff.config.frontends import frontends_of
from tests.flows.test_check import configuration
from tests.parts.browser import Browser
from tests.parts.command import BFF, Command, running_command
from tests.parts.configuration import CLIENT_SECRET, Ports, free_ports, gateway_toml
from tests.parts.demo_servers import running_demo_op
from tests.parts.scripted_op import CLIENT_ID, Answer, ScriptedOp
from tests.parts.stack import running_stack
from tests.polling import until


@asynccontextmanager
async def checking(directory: Path, *arguments: str) -> AsyncIterator[Command]:
    """`bff check --login` as a process; its configuration lies in the directory."""
    command = [*BFF, "check", "--login", "--no-browser", *arguments]
    async with running_command(command, cwd=directory) as running:
        yield running


@asynccontextmanager
async def an_op(directory: Path, **toml: str) -> AsyncIterator[Ports]:
    """The demo OP, and in the directory the configuration of a gateway that does not run."""
    ports = free_ports()
    public_url = f"http://localhost:{ports.gateway}"
    (directory / "bff.toml").write_text(gateway_toml(ports, **toml))
    async with running_demo_op(ports.op, public_url):
        yield ports


@pytest.mark.parametrize(
    ("session", "end"), [("", "/"), ('logout_return_paths = ["/bye"]', "/bff/logged-out")]
)
async def test_a_real_login_is_judged_step_by_step(tmp_path: Path, session: str, end: str) -> None:
    """With a person at a real OP, from the link to the end of the logout."""
    async with (
        an_op(tmp_path, oidc="userinfo = true", session=session) as ports,
        checking(tmp_path) as command,
        Browser() as browser,
    ):
        link = await command.line_with("/bff/login?check=")
        assert link.startswith(f"http://localhost:{ports.gateway}/bff/login?check=")
        page = await browser.navigate(link)
        page = await browser.log_in_at_op(page, "alice")
        assert page.url.startswith(f"http://localhost:{ports.gateway}{end}?state=")
        done = await command.result()
    assert (done.code, done.err) == (0, ""), done.out
    out = done.out.partition(link)[2].strip()
    marks = [shown[:15] for shown in out.splitlines()]
    items = ("redirect URI", "client secret", "ID token", "UserInfo", "claims", "refresh")
    assert marks == [f"✓ {item:<13}" for item in (*items, "revocation", "logout")]
    assert "the refresh token is rotated" in out
    for secret in (CLIENT_SECRET, "eyJ", "alice", "code=", "state="):
        assert secret not in out


async def test_a_running_gateway_is_in_the_way(tmp_path: Path) -> None:
    """The login would come back to it."""
    async with running_stack() as stack:
        (tmp_path / "bff.toml").write_text(stack.toml)
        async with checking(tmp_path) as command:
            done = await command.result()
    assert (done.code, done.err) == (1, "")
    out = done.out
    assert "✗ server        the gateway is running at 127.0.0.1:" in out
    assert "stop it while you check" in out
    assert "/bff/login?" not in out


@pytest.mark.parametrize("opened", [True, False])
async def test_time_runs_out_in_words(tmp_path: Path, opened: bool) -> None:
    """Whether the link was left alone, or a browser went to the OP and did not come back."""
    async with an_op(tmp_path), checking(tmp_path, "--timeout", "5" if opened else "1") as command:
        link = await command.line_with("/bff/login?check=")
        if opened:
            async with aiohttp.ClientSession() as http:
                assert await status(http, link) == 303
        done = await command.result()
    assert (done.code, done.err) == (1, "")
    out = done.out.partition(link)[2].strip()
    expected = (
        "✗ redirect URI  the browser went to the OP" if opened else "✗ login         the link"
    )
    assert out.startswith(expected)


TWO_FRONTENDS = """
[[frontends]]
name = "shop"
public_url = "http://localhost:{gateway}"

[[frontends]]
name = "wiki"
public_url = "http://localhost:{gateway}/wiki"
[[frontends.routes]]
path = "/pages/"
upstream = "http://127.0.0.1:{api}/"
"""


def two_frontends(directory: Path, ports: Ports) -> None:
    toml = gateway_toml(ports).replace("public_url", "# public_url", 1)
    more = TWO_FRONTENDS.format(gateway=ports.gateway, api=ports.api)
    (directory / "bff.toml").write_text(toml + more)


async def test_a_login_is_tried_at_the_frontend_that_is_named(tmp_path: Path) -> None:
    """Also below a path, where it comes back to addresses below that path."""
    ports = free_ports()
    two_frontends(tmp_path, ports)
    public_url = f"http://localhost:{ports.gateway}/wiki"
    async with (
        running_demo_op(ports.op, public_url),
        checking(tmp_path, "--frontend", "wiki") as command,
        Browser() as browser,
    ):
        link = await command.line_with("/bff/login?check=")
        assert link.startswith(f"{public_url}/bff/login?check=")
        page = await browser.log_in_at_op(await browser.navigate(link), "alice")
        assert page.url.startswith(f"{public_url}/?state=")
        done = await command.result()
    assert done.code == 0, done.out
    assert f"the OP came back to {public_url}/bff/callback" in done.out


async def test_an_unknown_frontend_or_provider_is_answered_by_those_there_are(
    tmp_path: Path,
) -> None:
    two_frontends(tmp_path, Ports(1, 2, 3, 4))
    for arguments, answer in (
        (("--frontend", "shpo"), "--frontend must be one of shop, wiki."),
        (("--provider", "corp"), "--provider must be one of default at the frontend shop."),
    ):
        async with checking(tmp_path, *arguments) as command:
            done = await command.result()
        assert done.code == 2
        assert answer in " ".join(done.err.split())


# --- step by step, at an OP that says whatever it is told to


class Trial:
    """A check in this process. `lines` are its verdicts so far."""

    def __init__(self, settings: Settings, op: ScriptedOp) -> None:
        self.lines: list[str] = []
        self._op = op
        self._links: list[str] = []
        [oidc] = settings.relying_parties()
        [at] = frontends_of(settings)
        self.check = LoginCheck(
            at,
            oidc,
            SystemClock(),
            tell=self._tell,
            invite=self._links.append,
            times=LoginTimes(logout_seconds=0.05),
        )
        self._listen = settings.server.listen

    def _tell(self, verdict: Verdict) -> None:
        self.lines.append(line(verdict, "utf-8"))

    async def run(self, answer: Mapping[str, str]) -> None:
        """Open the link, and come back with this answer of the OP. No logout comes back."""
        task = asyncio.create_task(self.check.run())
        await until(lambda: bool(self._links) or task.done())
        if not task.done():
            async with aiohttp.ClientSession() as http:
                await self._log_in(http, answer)
        await task

    async def _log_in(self, http: aiohttp.ClientSession, answer: Mapping[str, str]) -> None:
        link = self._links[0].replace("http://localhost:8080", f"http://{self._listen}")
        stranger = link.replace("check=", "check=x")
        assert await status(http, stranger) == 503, "the link of another check"
        async with http.get(link, allow_redirects=False) as response:
            asked = parse_qs(urlsplit(response.headers["Location"]).query)
        self._op.nonce = asked["nonce"][0]
        callback = f"http://{self._listen}/bff/callback"
        assert await status(http, f"{callback}?code=c&state=another") == 503
        query = "&".join(f"{name}={value}" for name, value in answer.items())
        mine = f"{callback}?state={asked['state'][0]}&{query}"
        assert await status(http, mine) in (200, 303)
        with contextlib.suppress(aiohttp.ClientConnectorError):  # a failed login is the end of it
            assert await status(http, mine) == 503, "it serves once"


async def status(http: aiohttp.ClientSession, url: str) -> int:
    async with http.get(url, allow_redirects=False) as response:
        return response.status


async def tried(
    directory: Path, op: ScriptedOp, answer: Mapping[str, str], **oidc: str
) -> list[str]:
    given = {"client_id": json.dumps(CLIENT_ID), **oidc}
    trial = Trial(load(configuration(directory, op.issuer, oidc=given), {}), op)
    await trial.run(answer)
    return trial.lines


@pytest.fixture
async def op() -> AsyncIterator[ScriptedOp]:
    running = await ScriptedOp(SystemClock()).start()
    yield running
    await running.close()


CODE = {"code": "canary-code"}
BAD_REQUEST = 400


def refusing_refresh(error: str) -> list[Answer]:
    return [Answer({"error": error}, status=BAD_REQUEST)]


@pytest.mark.parametrize(
    ("answer", "start"),
    [
        ({"error": "access_denied"}, "✗ login         The login service did not grant access."),
        ({"error": "invalid_scope"}, "✗ login         The login service reported an error."),
        ({"code": "x", "iss": "http://mix.up"}, "✗ login         The answer comes from another"),
    ],
)
async def test_what_the_op_answers_the_browser_is_judged(
    tmp_path: Path, op: ScriptedOp, answer: dict[str, str], start: str
) -> None:
    lines = await tried(tmp_path, op, answer)
    assert lines[0].startswith("✓ redirect URI")
    assert lines[1].startswith(start)
    assert len(lines) == 2
    assert op.count("token") == 0


@pytest.mark.parametrize(
    ("error", "starts"),
    [
        ("invalid_client", ["✗ client secret the OP does not accept it"]),
        ("invalid_grant", ["✗ code          The login service did not accept"]),
        ("slow_down", ["✗ tokens "]),
    ],
)
async def test_what_the_token_endpoint_refuses_is_told_apart(
    tmp_path: Path, op: ScriptedOp, error: str, starts: list[str]
) -> None:
    op.answers["token"] = Answer({"error": error}, status=BAD_REQUEST)
    lines = await tried(tmp_path, op, CODE)
    assert len(lines) == 1 + len(starts)
    for shown, start in zip(lines[1:], starts, strict=True):
        assert shown.startswith(start)


@pytest.mark.parametrize(
    ("claims", "advice"),
    [
        ({"aud": "another"}, "it is not made for oidc.client_id"),
        ({"aud": [CLIENT_ID, "more"], "azp": CLIENT_ID}, "oidc.trusted_audiences"),
        ({"exp": 1}, "compare the clocks"),
        ({"iss": "http://other"}, "another issuer than oidc.issuer"),
    ],
)
async def test_an_id_token_that_is_not_good_is_told_with_what_to_do(
    tmp_path: Path, op: ScriptedOp, claims: dict[str, object], advice: str
) -> None:
    """And that the secret was accepted, for it was."""
    op.id_token_changes = claims
    lines = await tried(tmp_path, op, CODE)
    assert lines[1].startswith("✓ client secret")
    assert lines[2].startswith("✗ ID token")
    assert advice in lines[2]
    assert len(lines) == 3


def one(lines: list[str], item: str) -> str:
    [found] = [shown for shown in lines if shown[2:].startswith(item)]
    return found


async def test_the_later_steps_are_judged_each_by_itself(tmp_path: Path, op: ScriptedOp) -> None:
    """All is well but for the logout, from which no browser comes back."""
    lines = await tried(tmp_path, op, CODE, userinfo="true")
    assert [shown[:8] for shown in lines if shown[0] != "✓"] == ["! claims", "! logout"]
    assert "register exactly this as a post-logout redirect" in one(lines, "logout")
    assert "the OP does not send name, " in one(lines, "claims")
    assert one(lines, "UserInfo").endswith("brings email")
    assert one(lines, "refresh").endswith("seconds, the refresh token is rotated")
    assert not [shown for shown in lines if "canary" in shown or "at-" in shown or "rt-" in shown]


async def test_no_refresh_token_says_how_to_get_one(tmp_path: Path, op: ScriptedOp) -> None:
    op.token_changes = {"refresh_token": None}
    op.metadata_changes = {"scopes_supported": ["openid", "offline_access"]}
    refresh = one(await tried(tmp_path, op, CODE, scope='"openid"'), "refresh")
    assert refresh.startswith("✗ refresh       the OP gave no refresh token: each session ends")
    assert refresh.endswith("Add offline_access to oidc.scope")


@pytest.mark.parametrize("what", ["kept", "refused", "down"])
async def test_each_end_of_a_refresh_is_told(tmp_path: Path, op: ScriptedOp, what: str) -> None:
    def token(received: object) -> Answer:
        grant = getattr(received, "form")["grant_type"]  # noqa: B009 - any of the OP's requests
        if grant == "refresh_token" and what == "refused":
            return Answer({"error": "invalid_grant"}, status=BAD_REQUEST)
        if grant == "refresh_token" and what == "down":
            return Answer(status=503)
        op.refresh_token_number = 0
        return op.token_answer()

    op.answers["token"] = token
    refresh = one(await tried(tmp_path, op, CODE), "refresh")
    expected = {
        "kept": "✓ refresh       works: access tokens last ",
        "refused": "✗ refresh       The login service does not accept the refresh token.",
        "down": "✗ refresh       The login service cannot be reached",
    }
    assert refresh.startswith(expected[what])
    assert ("the refresh token stays the same" in refresh) == (what == "kept")


async def test_tokens_of_a_refresh_that_fails_are_revoked(tmp_path: Path, op: ScriptedOp) -> None:
    """The OP has put them in the place of those of the login."""

    def token(received: object) -> Answer:
        grant = getattr(received, "form")["grant_type"]  # noqa: B009 - any of the OP's requests
        if grant == "refresh_token":
            return Answer({"refresh_token": "rotated", "token_type": "Bearer"})
        return op.token_answer()

    op.answers["token"] = token
    lines = await tried(tmp_path, op, CODE)
    assert one(lines, "refresh").startswith("✗ refresh       The login service sent an answer")
    assert "rotated" in [it.form["token"] for it in op.received if it.endpoint == "revocation"]


async def test_what_lacks_at_the_op_is_a_warning(tmp_path: Path, op: ScriptedOp) -> None:
    op.answers["userinfo"] = Answer(status=403)
    op.metadata_changes = {"revocation_endpoint": None, "end_session_endpoint": None}
    lines = await tried(tmp_path, op, CODE, userinfo="true")
    assert "set oidc.userinfo = false" in one(lines, "UserInfo")
    assert "no revocation_endpoint" in one(lines, "revocation")
    assert "no end_session_endpoint" in one(lines, "logout")
    assert not [shown for shown in lines if shown.startswith("✗")]


async def test_a_revocation_that_is_refused_is_told(tmp_path: Path, op: ScriptedOp) -> None:
    op.answers["revocation"] = Answer({"error": "unauthorized_client"}, status=BAD_REQUEST)
    revocation = one(await tried(tmp_path, op, CODE), "revocation")
    assert revocation.startswith("✗ revocation    tokens live on after a logout:")


async def test_an_op_that_is_down_is_told_before_any_link(tmp_path: Path) -> None:
    dead = await ScriptedOp(SystemClock()).start()
    await dead.close()
    [only] = await tried(tmp_path, dead, CODE)
    assert only.startswith("✗ OP            The login service cannot be reached")
