"""The commands as an operator meets them: real processes, exit codes, plain words."""

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web

from bff import __version__
from bff.config import load
from bff.config.reference import reference
from spa_demo.op import Client
from tests.parts.command import bff
from tests.parts.config_files import Tables, toml, write
from tests.parts.demo_servers import SETTINGS, running_op
from tests.parts.redis_server import RedisServer
from tests.parts.servers import free_port, serving

VALID, FAILED, UNUSABLE = 0, 1, 2
GIVEN_SECRET = "given-by-the-provider"


@asynccontextmanager
async def demo_op() -> AsyncIterator[str]:
    """The demo OP, at the issuer that is yielded."""
    client = Client("spa", GIVEN_SECRET, redirect_uris=("https://app.example.com/bff/callback",))
    async with running_op(replace(SETTINGS, clients=(client,))) as op:
        yield op.issuer


@asynccontextmanager
async def small_op(**changes: object) -> AsyncIterator[str]:
    """An OP with the least that a login needs, and what else its metadata is to say."""
    port = free_port()
    issuer = f"http://127.0.0.1:{port}"
    metadata = {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/authorize",
        "token_endpoint": f"{issuer}/token",
        "jwks_uri": f"{issuer}/keys",
        "response_types_supported": ["code"],
        **changes,
    }
    keys = {"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "A" * 43}]}

    async def discovery(_request: web.Request) -> web.Response:
        return web.json_response(metadata)

    async def token(_request: web.Request) -> web.Response:
        return web.json_response({"error": "invalid_grant"}, status=400)

    async def authorize(request: web.Request) -> web.Response:
        raise web.HTTPFound(f"{request.query['redirect_uri']}?error=login_required")

    async def jwks(_request: web.Request) -> web.Response:
        return web.json_response(keys)

    application = web.Application()
    application.router.add_get("/.well-known/openid-configuration", discovery)
    application.router.add_get("/keys", jwks)
    application.router.add_post("/token", token)
    application.router.add_get("/authorize", authorize)
    async with serving(application, port):
        yield issuer


def config(directory: Path, issuer: str, store: str = "memory://", **oidc: str) -> Path:
    """With an API that can be reached whenever the OP can, and addresses that are free."""
    changes: dict[str, dict[str, str | None]] = {
        "server": {name: f'"127.0.0.1:{free_port()}"' for name in ("listen", "admin_listen")},
        "oidc": {"issuer": f'"{issuer}"', **oidc},
        "session": {"store": f'"{store}"'},
        "routes": {"upstream": f'"{issuer}/"'},
    }
    return write(directory, toml(changes))


# --- finding the configuration


async def test_the_version(tmp_path: Path) -> None:
    assert (await bff("--version", cwd=tmp_path)).out == f"bff {__version__} (pure Python)\n"


async def test_every_command_has_a_line_of_help(tmp_path: Path) -> None:
    """What a new user types first."""
    shown = (await bff("--help", cwd=tmp_path)).out
    for command in (
        "serve",
        "check",
        "config",
        "register",
        "sessions",
        "demo",
        "keygen",
        "schema",
        "client",
    ):
        assert any(
            line.split()[:1] == [command] and line.split()[1:] for line in shown.splitlines()
        )


async def test_a_mistyped_command_is_answered_with_the_one_that_was_meant(tmp_path: Path) -> None:
    result = await bff("sesions", cwd=tmp_path)
    assert result.code == UNUSABLE
    assert "No such command 'sesions'. Did you mean 'sessions'?" in result.err


async def test_no_command_pays_for_the_imports_of_another(tmp_path: Path) -> None:
    """The gateway and the demo are most of what can be imported."""
    result = await bff("--version", cwd=tmp_path, PYTHONPROFILEIMPORTTIME="1")
    assert "bff.cli" in result.err
    for module in ("bff.app", "bff.config", "spa_demo", "aiohttp"):
        assert not re.search(rf"\b{module}\b", result.err), module


@pytest.mark.parametrize("command", ["check", "serve"])
async def test_every_problem_goes_to_standard_error_and_the_exit_code_is_2(
    tmp_path: Path, command: str
) -> None:
    """Nothing starts; what is wrong can be read, and clicked, line by line."""
    path = write(tmp_path, toml({"oidc": {"isuer": "1"}, "log": {"level": '"loud"'}}))
    result = await bff(command, "--config", str(path), cwd=tmp_path)
    assert (result.code, result.out) == (UNUSABLE, "")
    assert f'{path}:7: oidc.isuer: unknown key, did you mean "issuer"?' in result.err
    assert "log.level" in result.err
    assert "bff: 2 problems in the configuration\n" in result.err


async def test_the_file_in_the_working_directory_is_the_default(tmp_path: Path) -> None:
    write(tmp_path, toml())
    assert (await bff("check", "--offline", cwd=tmp_path)).code == VALID


async def test_a_variable_names_the_file(tmp_path: Path) -> None:
    """And is not taken for a key of the configuration."""
    (tmp_path / "etc").mkdir()
    path = write(tmp_path / "etc", toml())
    result = await bff("check", "--offline", cwd=tmp_path, BFF_CONFIG=str(path))
    assert result.code == VALID


async def test_without_a_file_the_missing_keys_and_the_option_are_named(tmp_path: Path) -> None:
    """The first thing that goes wrong for a user in the wrong directory."""
    result = await bff("check", cwd=tmp_path)
    assert result.code == UNUSABLE
    assert "server.public_url: is required" in result.err
    assert "BFF_SERVER__PUBLIC_URL" in result.err
    assert "--config" in result.err


async def test_a_file_that_is_not_there_is_told_in_words(tmp_path: Path) -> None:
    result = await bff("check", "--config", "nowhere.toml", cwd=tmp_path)
    assert result.code == UNUSABLE
    assert "nowhere.toml: cannot be read: No such file or directory" in result.err


# --- keygen and schema


async def test_keygen_prints_secrets_that_the_configuration_accepts(tmp_path: Path) -> None:
    """Its output is a file for `secrets_file`, as it is."""
    result = await bff("keygen", "--count", "3", cwd=tmp_path)
    (tmp_path / "secrets").write_text(result.out)
    changes = {"session": {"secrets": None, "secrets_file": '"secrets"'}}
    settings = load(write(tmp_path, toml(changes)), {})
    assert len(settings.session.secrets) == 3


@pytest.mark.parametrize("count", ["0", "-1", "many"])
async def test_keygen_refuses_a_senseless_count(tmp_path: Path, count: str) -> None:
    result = await bff("keygen", "--count", count, cwd=tmp_path)
    assert result.code == UNUSABLE
    assert result.out == ""


async def test_schema_prints_json_for_editors(tmp_path: Path) -> None:
    schema = json.loads((await bff("schema", cwd=tmp_path)).out)
    assert schema["properties"]["server"]["properties"]["public_url"]["type"] == "string"


async def test_schema_prints_the_reference_as_it_is_kept(tmp_path: Path) -> None:
    """`bff schema --markdown > docs/configuration.md` changes no byte of a current document."""
    assert (await bff("schema", "--markdown", cwd=tmp_path)).out == reference()


# --- check


async def test_check_asks_the_op_and_the_store(tmp_path: Path, own_redis: RedisServer) -> None:
    """Everything in place: three good marks, exit code 0."""
    async with demo_op() as issuer:
        result = await bff(
            "check", "--config", str(config(tmp_path, issuer, own_redis.url)), cwd=tmp_path
        )
    assert result.code == VALID, result
    assert result.err == ""
    assert result.line("✓ configuration")
    assert issuer in result.line("✓ OP")
    assert result.line("✓ store").endswith("unix:// answers")


async def test_check_says_that_the_op_is_down(tmp_path: Path) -> None:
    """And asks the store all the same; exit code 1."""
    path = config(tmp_path, f"http://127.0.0.1:{free_port()}")
    result = await bff("check", "--config", str(path), cwd=tmp_path)
    assert result.code == FAILED
    assert result.line("✗ OP")
    assert result.line("✓ store")


async def test_check_says_that_the_store_is_down(tmp_path: Path) -> None:
    """Within seconds, and without its password."""
    store = f"redis://:canary-password@127.0.0.1:{free_port()}/0"
    async with demo_op() as issuer:
        result = await bff("check", "--config", str(config(tmp_path, issuer, store)), cwd=tmp_path)
    assert result.code == FAILED
    assert result.line("✗ store")
    assert "canary" not in result.out + result.err


@pytest.mark.rule("AZ-17")
async def test_check_refuses_an_op_that_calls_itself_otherwise(tmp_path: Path) -> None:
    """OIDC Discovery section 4.3: the issuer is compared exactly."""
    async with small_op(issuer="http://127.0.0.1/other") as issuer:
        result = await bff("check", "--config", str(config(tmp_path, issuer)), cwd=tmp_path)
    assert result.code == FAILED
    refusal = result.line("✗ OP")
    assert "http://127.0.0.1/other" in refusal
    assert issuer in refusal


async def test_check_refuses_an_op_that_lacks_the_client_authentication(tmp_path: Path) -> None:
    """Found before the first login, not by the first user."""
    async with small_op(token_endpoint_auth_methods_supported=["private_key_jwt"]) as issuer:
        result = await bff("check", "--config", str(config(tmp_path, issuer)), cwd=tmp_path)
    assert result.code == FAILED
    assert result.line("✗ OP")


async def test_check_warns_of_what_the_op_lacks(tmp_path: Path) -> None:
    """A login works without these, so the exit code stays 0."""
    async with small_op(scopes_supported=["openid", "profile"]) as issuer:
        path = config(tmp_path, issuer, scope='"openid offline_access"')
        result = await bff("check", "--config", str(path), cwd=tmp_path)
    assert result.code == VALID
    warnings = "\n".join(line for line in result.out.splitlines() if line.startswith("! OP"))
    for lacking in ("revocation_endpoint", "end_session_endpoint", "RFC 9207", "offline_access"):
        assert lacking in warnings


async def test_check_fails_when_the_op_has_no_userinfo_that_is_asked_for(tmp_path: Path) -> None:
    async with small_op() as issuer:
        path = config(tmp_path, issuer, userinfo="true")
        result = await bff("check", "--config", str(path), cwd=tmp_path)
    assert result.code == FAILED
    assert "userinfo_endpoint" in result.line("✗ OP")


WARNED: list[tuple[Tables, tuple[str, ...]]] = [
    (
        {
            "server": {
                "public_url": '"http://localhost:8080"',
                "trusted_proxies": '["0.0.0.0/0"]',
                "admin_listen": '"0.0.0.0:9090"',
            }
        },
        ("public_url is loopback", "every address", "admin_listen is open", "forgets all sessions"),
    ),
    (
        {
            "session": {"store": '"redis://10.0.0.1"'},
            "spa": {"dev_server": '"http://localhost:5173"'},
        },
        ("without TLS", "dev_server", "trusted_proxies"),
    ),
]


@pytest.mark.parametrize(("changes", "texts"), WARNED)
async def test_check_warns_of_settings_that_deserve_a_second_look(
    tmp_path: Path, changes: Tables, texts: tuple[str, ...]
) -> None:
    """Warnings, not errors: there are installations where each of them is right."""
    path = write(tmp_path, toml(changes))
    result = await bff("check", "--offline", "--config", str(path), cwd=tmp_path)
    assert result.code == VALID
    warnings = [line for line in result.out.splitlines() if line.startswith("! ")]
    assert len(warnings) == len(texts)
    for text in texts:
        assert any(text in warning for warning in warnings)


async def test_check_has_nothing_to_warn_of_in_a_sound_configuration(tmp_path: Path) -> None:
    """The other side of the table above."""
    changes: dict[str, dict[str, str | None]] = {
        "server": {"trusted_proxies": '["10.0.0.0/8"]', "admin_listen": '"127.0.0.1:9091"'},
        "session": {},
    }
    for store in ("rediss://10.0.0.1", "redis://127.0.0.1", "unix:///run/redis.sock"):
        changes["session"]["store"] = f'"{store}"'
        path = write(tmp_path, toml(changes))
        result = await bff("check", "--offline", "--config", str(path), cwd=tmp_path)
        assert len(result.out.splitlines()) == 1, result.out


async def test_the_marks_are_words_where_the_terminal_knows_no_signs(tmp_path: Path) -> None:
    """A log collector in ASCII gets `ok` and `FAIL`, not a crash."""
    path = config(tmp_path, f"http://127.0.0.1:{free_port()}")
    result = await bff("check", "--config", str(path), cwd=tmp_path, PYTHONIOENCODING="ascii")
    assert result.code == FAILED
    assert result.line("ok   configuration")
    assert result.line("FAIL OP")


# --- the demo


async def test_the_demo_keeps_the_rules_between_keys(tmp_path: Path) -> None:
    """As any configuration does: one address can't be public and private."""
    result = await bff("demo", "--port", "12345", "--admin-port", "12345", cwd=tmp_path)
    assert (result.code, result.out) == (UNUSABLE, "")
    assert result.err.startswith("bff: server.admin_listen: must differ from server.listen")
