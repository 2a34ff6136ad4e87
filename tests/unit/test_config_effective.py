"""`bff config show`: every value that holds, where it comes from, and no secret."""

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from pydantic import SecretStr

from bff.cli import main
from bff.config.effective import without_passwords
from bff.config.sections import Section, annotated, section_of
from bff.config.settings import Settings
from tests.parts.config_files import SECRET, write

FILE = f"""\
[server]
listen = "127.0.0.1:8080"

[providers.corp]
preset = "zitadel"
issuer = "https://id.example.com"
client_id = "gateway"
client_secret_file = "corp.secret"
proxy = "http://user:canary-of-the-proxy@proxy:3128"

[providers.google]
preset = "google"
issuer = "https://accounts.google.com"
client_id = "1234"
client_secret = "canary-of-the-client"

[session]
store = "redis+sentinel://u:canary-of-redis@one:1,two:2/main/0?sentinel_password=canary-of-sentinel"
secrets = ["{SECRET}"]
idle_timeout = "20m"

[[routes]]
path = "/api/"
upstream = "http://127.0.0.1:9000/"

[[frontends]]
name = "shop"
public_url = "https://shop.example.com"
session = {{ max_per_user = 5 }}
[[frontends.routes]]
path = "/cart/"
upstream = ["http://127.0.0.1:9001/", "http://127.0.0.1:9002/"]

[[frontends]]
name = "wiki"
public_url = "https://intranet.example.com/wiki"
providers = ["corp"]

[audit]
sinks = ["webhook:https://siem.example.com/bff"]
webhook_token = "canary-of-the-webhook-q7Yc2Hd7"
"""
CANARIES = ("canary", SECRET)


def show(directory: Path, *options: str, text: str = FILE, **environ: str) -> Result:
    (directory / "corp.secret").write_text("canary-of-the-file\n")
    file = str(write(directory, text))
    result = CliRunner().invoke(main, ["config", "show", "--config", file, *options], env=environ)
    assert result.exit_code == 0, result.output
    assert not any(canary in result.output for canary in CANARIES), "a secret is shown"
    return result


def shown(directory: Path, text: str = FILE, **environ: str) -> dict[str, Any]:
    """The JSON document."""
    document: dict[str, Any] = json.loads(show(directory, "--json", text=text, **environ).stdout)
    return document


def lines(directory: Path, **environ: str) -> list[str]:
    """Those of the TOML, without alignment."""
    return [re.sub(r" {2,}", "  ", line) for line in show(directory, **environ).stdout.splitlines()]


def test_each_value_says_where_it_comes_from(tmp_path: Path) -> None:
    said = lines(tmp_path, BFF_PROVIDERS__CORP__CLIENT_ID="other", BFF_LOG__LEVEL="debug")
    file, secret = tmp_path / "bff.toml", tmp_path / "corp.secret"
    for line in (
        f'issuer = "https://id.example.com"  # {file}:6',
        'client_id = "other"  # BFF_PROVIDERS__CORP__CLIENT_ID',
        'level = "debug"  # BFF_LOG__LEVEL',
        f'client_secret = "(hidden)"  # secret file {secret}, {file}:8',
        f'client_secret_file = "{secret}"  # {file}:8',
        f'client_secret = "(hidden)"  # {file}:15',
        f'proxy = "http://(hidden)@proxy:3128"  # {file}:9',
        "userinfo = true  # preset zitadel",
        'authorization_params = { access_type = "offline", prompt = "consent" }  # preset google',
        f'store = "redis+sentinel://(hidden)@one:1,two:2/main/0"  # {file}:18',
        f'secrets = ["(hidden)"]  # {file}:19',
        'absolute_timeout = "12h"  # default',
        "# ca_file is not set",
    ):
        assert line in said, line


def test_a_frontend_shows_what_holds_for_it(tmp_path: Path) -> None:
    document = shown(tmp_path)
    of_file = {"kind": "file", "source": str(tmp_path / "bff.toml")}
    idle = {"value": "20m", "origins": [of_file | {"line": 20}], "inherited": True}
    own = {"value": 5, "origins": [of_file | {"line": 29}], "inherited": False}
    derived: Mapping[str, object] = {"origins": [{"kind": "derived"}], "inherited": False}
    assert document["frontends[0].session.idle_timeout"] == idle
    assert document["frontends[0].session.max_per_user"] == own
    assert document["frontends[0].providers"] == {"value": ["corp", "google"], **derived}
    assert document["frontends[1].providers"]["value"] == ["corp"]
    cookie = document["frontends[1].session.cookie_name"]
    assert cookie == {"value": "__Secure-bff-wiki", **derived}
    assert document["frontends[0].routes[0].path"]["value"] == "/cart/"
    assert "frontends[1].routes[0].path" not in document
    assert "frontends[0].session.store" not in document


def test_a_variable_for_a_whole_table_hides_the_file(tmp_path: Path) -> None:
    routes = '[{"path": "/x/", "upstream": "http://127.0.0.1:1/"}]'
    document = shown(tmp_path, BFF_ROUTES=routes)
    variable = {"kind": "environment", "source": "BFF_ROUTES"}
    assert document["routes[0].path"]["origins"] == [variable]
    assert document["routes[0].token"]["origins"] == [{"kind": "default"}]


def test_a_table_of_strings_may_come_from_several_places(tmp_path: Path) -> None:
    text = FILE.replace('client_id = "1234"', 'client_id = "1"\nauthorization_params = { a = "b" }')
    name = "BFF_PROVIDERS__GOOGLE__AUTHORIZATION_PARAMS__HD"
    params = shown(tmp_path, text, **{name: "acme"})["providers.google.authorization_params"]
    assert params["value"] == {"a": "b", "hd": "acme"}
    assert [origin["kind"] for origin in params["origins"]] == ["file", "environment"]


def test_the_short_form_shows_the_cookie_and_label_that_it_has(tmp_path: Path) -> None:
    environ = {
        "BFF_SERVER__PUBLIC_URL": "https://app.example.com",
        "BFF_OIDC__ISSUER": "https://id.example.com",
        "BFF_OIDC__CLIENT_ID": "spa",
        "BFF_OIDC__CLIENT_SECRET": "canary-of-the-environment",
        "BFF_SESSION__SECRETS": SECRET,
    }
    document = shown(tmp_path, "", **environ)
    assert document["session.cookie_name"]["value"] == "__Host-Http-bff"
    assert document["oidc.label"]["value"] == "default"
    secret = document["oidc.client_secret"]
    assert secret["value"] == "(hidden)"
    source = "BFF_OIDC__CLIENT_SECRET"
    assert secret["origins"] == [{"kind": "environment", "source": source}]


def test_a_secret_of_the_environment_is_not_said_to_be_of_the_file(tmp_path: Path) -> None:
    document = shown(tmp_path, BFF_PROVIDERS__CORP__CLIENT_SECRET="canary-of-the-variable")
    (origin,) = document["providers.corp.client_secret"]["origins"]
    assert origin["kind"] == "environment"
    assert document["providers.corp.client_secret_file"]["value"] is None


def test_the_text_is_toml_and_says_what_the_json_says(tmp_path: Path) -> None:
    odd = 'label = "Ac\\"me \\U0001F600 # x"\nauthorization_params = { "a.b" = "c \\u007f" }\n'
    text = FILE.replace("[session]", f"{odd}[session]", 1)
    tables = tomllib.loads(show(tmp_path, text=text).stdout)
    for key, entry in shown(tmp_path, text).items():
        at: Any = tables
        *outer, last = re.findall(r"[^.\[\]]+", key)
        for part in outer:
            at = at[int(part) if part.isdigit() else part]
        assert at.get(last) == entry["value"], key


def test_every_key_is_shown(tmp_path: Path) -> None:
    """Those of a model that is added later as well; of [tenants] where their keys have gone to."""
    document = shown(tmp_path)
    at = {"providers": "providers.corp", "routes": "routes[0]", "frontends": "frontends[0]"}
    for table, known in Settings.model_fields.items():
        model = section_of(known.annotation)
        assert model is not None
        for key, inner in model.model_fields.items():
            if table not in ("oidc", "tenants") and section_of(inner.annotation) is None:
                assert f"{at.get(table, table)}.{key}" in document


def secret_keys(model: type[Section]) -> set[str]:
    found = set()
    for name, known in model.model_fields.items():
        section = section_of(known.annotation)
        if section is not None:
            found |= secret_keys(section)
        elif SecretStr.__name__ in str(annotated(known)):
            found.add(name)
    return found


def test_every_kind_of_secret_is_among_the_canaries() -> None:
    """A key that is added later has to be looked at."""
    assert secret_keys(Settings) == {
        "client_secret",
        "proxy",
        "store",
        "secrets",
        "webhook_token",
    }


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("memory://", "memory://"),
        ("environment", "environment"),
        ("redis://h:1/2", "redis://h:1/2"),
        ("redis://:p%40w@h/0", "redis://(hidden)@h/0"),
        ("unix://u:p@/run/redis.sock?db=1", "unix://(hidden)@/run/redis.sock?db=1"),
        ("redis+sentinel://h/m?sentinel_password=p&db=1", "redis+sentinel://h/m?db=1"),
        ("redis+sentinel://user:12/p@h", "redis+sentinel://(hidden)"),
        ("http://user:12?p@h:3128", "http://(hidden)"),
        ("http://user:12#p@h:3128", "http://(hidden)"),
        ("http://u:p@w@h:3128", "http://(hidden)@h:3128"),
    ],
)
def test_a_url_is_shown_without_its_passwords(url: str, text: str) -> None:
    assert without_passwords(url) == text


def test_a_configuration_that_is_not_valid_is_told_as_ever(tmp_path: Path) -> None:
    file = str(write(tmp_path, FILE.replace("20m", "20 minutes")))
    result = CliRunner().invoke(main, ["config", "show", "--config", file])
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"{file}:20: session.idle_timeout:" in result.stderr


def test_a_key_or_a_table_is_shown_alone(tmp_path: Path) -> None:
    """Named as the JSON document names it, and not by the beginning of another's name."""
    assert set(json.loads(show(tmp_path, "session.idle_timeout", "--json").stdout)) == {
        "session.idle_timeout"
    }
    several = json.loads(show(tmp_path, "log", "frontends[1].session", "--json").stdout)
    assert {key.rpartition(".")[0] for key in several} == {"log", "frontends[1].session"}
    everything = shown(tmp_path)
    whole = json.loads(show(tmp_path, "frontends", "--json").stdout)
    assert list(whole) == [key for key in everything if key.startswith("frontends[")]
    file = str(tmp_path / "bff.toml")
    for key in ("session.idle", "frontends[9]", "oidcs", ""):
        result = CliRunner().invoke(main, ["config", "show", "--config", file, key])
        assert (result.exit_code, result.stdout) == (2, ""), key
        assert "KEY" in result.stderr
