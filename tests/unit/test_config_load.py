"""Loading: every problem at once, each with its place; the environment over the file; secrets from
files; and no secret in any text.
"""

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.config import ConfigError, Settings, load
from bff.config.reference import file_schema
from bff.config.sources.environment import read_environment
from tests.parts.config_files import (
    OTHER_SECRET,
    SECRET,
    VALID,
    line_of,
    loaded,
    problems,
    toml,
    write,
)

ENVIRONMENT = {
    "BFF_SERVER__PUBLIC_URL": "https://app.example.com",
    "BFF_OIDC__ISSUER": "https://idp.example.com",
    "BFF_OIDC__CLIENT_ID": "spa",
    "BFF_OIDC__CLIENT_SECRET": "given-by-the-environs",
    "BFF_SESSION__SECRETS": f"{SECRET},{OTHER_SECRET}",
}


# --- all at once


def test_every_problem_is_told_at_once_with_its_line(tmp_path: Path) -> None:
    """Values, missing and unknown keys, and rules between keys: in one go, in the file's order."""
    text = """\
[server]
publik_url = "https://app.example.com"
workers = 2

[oidc]
issuer = "http://idp.example.com"
client_id = "spa"
isuer = "x"

[session]
secrets = [
  "short",
]
idle_timeout = "2h"
absolute_timeout = "1h"

[[routes]]
path = "/api/"
upstream = "nowhere"

[[routes]]
path = "/api"
upstream = "http://127.0.0.1:1"
methods = ["GET",
           "TRACE"]

[unknown]
x = 1
"""
    assert [(problem.line, problem.key) for problem in problems(tmp_path, text)] == [
        (1, "server.public_url"),
        (2, "server.publik_url"),
        (3, "server.workers"),
        (5, "oidc.client_secret"),
        (6, "oidc.issuer"),
        (8, "oidc.isuer"),
        (12, "session.secrets[0]"),
        (14, "session.idle_timeout"),
        (19, "routes[0].upstream"),
        (22, "routes[1].path"),
        (25, "routes[1].methods[1]"),
        (27, "unknown"),
    ]


def test_a_problem_is_one_line_that_an_editor_can_jump_to(tmp_path: Path) -> None:
    """`file:line: key: message`, one a line, the likely word named."""
    text = toml({"oidc": {"isuer": '"x"'}})
    with pytest.raises(ConfigError) as error:
        loaded(tmp_path, text)
    line = line_of(text, "isuer")
    expected = f'{tmp_path}/bff.toml:{line}: oidc.isuer: unknown key, did you mean "issuer"?'
    assert str(error.value) == expected


def test_an_unknown_key_without_a_likely_word_gets_no_suggestion(tmp_path: Path) -> None:
    [problem] = problems(tmp_path, toml({"log": {"zzz": "1"}}))
    assert problem.message == "unknown key"


@pytest.mark.parametrize("table", ["server", "oidc", "session", "user", "spa", "csrf", "log"])
def test_a_key_where_a_table_belongs_is_one_problem_of_it(tmp_path: Path, table: str) -> None:
    """A table's name with a value: told, not crashed over."""
    text = f"{table} = 3\n" + toml().replace(f"[{table}]", f"[{table}_gone]")
    assert (table, "must be a table") in {
        (problem.key, problem.message) for problem in problems(tmp_path, text)
    }


@pytest.mark.parametrize("table", ["server", "oidc", "session", "user", "spa", "csrf", "log"])
def test_an_array_of_tables_where_a_table_belongs_is_one_problem_of_it(
    tmp_path: Path, table: str
) -> None:
    """`[[oidc]]` for `[oidc]`: the rules between keys know nothing of it, and judge the rest."""
    text = toml({"server": {"listen": '"127.0.0.1:9090"'}}).replace(
        f"[{table}]\n", f"[[{table}]]\n"
    )
    found = {(problem.key, problem.message) for problem in problems(tmp_path, text)}
    assert (table, "must be a table") in found
    assert ("server.admin_listen" in dict(found)) == (table != "server")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("3", "must be an array"),
        ("[1]", "must be a table"),
        ('{ path = "/api/", upstream = "http://127.0.0.1:9000" }', "must be an array"),
    ],
)
def test_routes_that_are_no_tables_are_told(tmp_path: Path, value: str, message: str) -> None:
    text = f"routes = {value}\n" + toml().partition("[[routes]]")[0]
    [problem] = problems(tmp_path, text)
    assert problem.message == message
    assert problem.line == 1


def test_a_missing_table_is_told_by_its_required_keys(tmp_path: Path) -> None:
    """ "server is required" would only be the first of several rounds."""
    found = problems(tmp_path, "")
    assert {problem.key for problem in found} == {
        "server.public_url",
        "oidc.issuer",
        "oidc.client_id",
        "oidc.client_secret",
        "session.secrets",
    }
    assert all("BFF_" in problem.message for problem in found)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[server\n", 1),
        ("[server]\n\npublic_url = \n", 3),
        ('a = 1\na = 2\nb = "', None),
        ('[server]\npublic_url = "x"\npublic_url = "y"\n', 3),
    ],
)
def test_a_syntax_error_is_a_problem_with_its_line(
    tmp_path: Path, text: str, line: int | None
) -> None:
    """And no key is called missing, since none could be read."""
    [problem] = problems(tmp_path, text)
    assert "is not valid TOML" in problem.message
    assert line is None or problem.line == line


DEPTH = 5_000


@pytest.mark.parametrize(
    "text",
    [
        f"a = {'[' * DEPTH}{']' * DEPTH}",
        f"a = {'{ a = ' * DEPTH}1{' }' * DEPTH}",
        f"{'.'.join('a' * DEPTH)} = 1",
        f"[{'.'.join('a' * DEPTH)}]",
        f"a = {'[' * 65}{']' * 65}",
        f"[routes]\nupstream = {'[' * 200}{']' * 200}",
    ],
    ids=["arrays", "inline", "dotted", "heading", "a level too many", "known"],
)
def test_a_text_that_is_nested_too_deeply_is_a_problem(tmp_path: Path, text: str) -> None:
    """Of this file, in words; not of the program that reads it."""
    [problem] = problems(tmp_path, text)
    assert problem.source.endswith(".toml")
    assert problem.message.startswith("has tables or arrays in each other, more than 64 levels")


def test_a_text_that_is_nested_a_little_is_judged_by_its_keys(tmp_path: Path) -> None:
    said = problems(tmp_path, f"a = {'[' * 63}{']' * 63}")
    assert any(one.message == "unknown key" for one in said)


def test_a_variable_that_is_nested_too_deeply_is_a_problem() -> None:
    """Below what the JSON parser itself bears."""
    text = f"{'[' * 900}{']' * 900}"
    with pytest.raises(ConfigError, match="BFF_ROUTES: routes: must be a JSON array of objects"):
        load(None, {"BFF_ROUTES": text})


def test_a_file_that_cannot_be_read_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"missing\.toml: cannot be read: No such file"):
        load(tmp_path / "missing.toml", {})


def test_a_file_that_is_not_text_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "bff.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="is not UTF-8 text"):
        load(tmp_path / "bff.toml", {})


# --- the environment


def test_the_environment_is_enough() -> None:
    """No file at all: every key has a variable."""
    settings = load(
        None,
        ENVIRONMENT
        | {
            "BFF_ROUTES__0__PATH": "/api/",
            "BFF_ROUTES__0__UPSTREAM": "http://a:1, http://b:2",
            "BFF_ROUTES__0__METHODS": "GET,HEAD",
            "BFF_ROUTES__1__PATH": "/other",
            "BFF_ROUTES__1__UPSTREAM": '["http://c"]',
            "BFF_ROUTES__1__STRIP_PREFIX": "false",
            "BFF_OIDC__AUTHORIZATION_PARAMS__AUDIENCE": "api",
            "BFF_OIDC__USERINFO": "True",
            "BFF_SESSION__LOGINS_PER_BROWSER": "3",
            "BFF_SERVER__TRUSTED_PROXIES": "",
            "BFF_USER__CLAIMS": '["name"]',
            "HOME": "/",
        },
    )
    assert [str(upstream) for upstream in settings.routes[0].upstream] == [
        "http://a:1",
        "http://b:2",
    ]
    assert settings.routes[0].methods == ("GET", "HEAD")
    assert settings.routes[1].strip_prefix is False
    assert settings.providers["default"].authorization_params == {"audience": "api"}
    assert settings.providers["default"].userinfo is True
    assert settings.session.logins_per_browser == 3
    assert settings.server.trusted_proxies == ()
    assert settings.user.claims == ("name",)
    assert [secret.get_secret_value() for secret in settings.session.secrets] == [
        SECRET,
        OTHER_SECRET,
    ]


def test_routes_can_be_one_json_array() -> None:
    """With single keys laid over it."""
    settings = load(
        None,
        ENVIRONMENT
        | {
            "BFF_ROUTES": '[{"path": "/a", "upstream": "http://a"}]',
            "BFF_ROUTES__0__UPSTREAM": "http://b",
        },
    )
    assert [(route.path, str(route.upstream[0])) for route in settings.routes] == [
        ("/a", "http://b")
    ]


def test_more_than_ten_routes_keep_their_numeric_order() -> None:
    variables = {}
    for number in range(12):
        variables[f"BFF_ROUTES__{number}__PATH"] = f"/r{number}"
        variables[f"BFF_ROUTES__{number}__UPSTREAM"] = "http://a"
    routes = load(None, ENVIRONMENT | variables).routes
    assert [route.path for route in routes] == [f"/r{number}" for number in range(12)]


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    """Key by key: the rest of the file stays."""
    environ = {"BFF_SERVER__LISTEN": "0.0.0.0:80", "BFF_ROUTES__0__UPSTREAM": "http://b"}
    settings = loaded(tmp_path, toml({"server": {"listen": '"127.0.0.1:1"'}}), environ)
    assert settings.server.listen == "0.0.0.0:80"
    assert str(settings.routes[0].upstream[0]) == "http://b"
    assert settings.routes[0].path == "/api/"


def test_a_variable_is_named_as_the_place_of_its_problem(tmp_path: Path) -> None:
    """Not the line that it overrides."""
    text = toml({"server": {"listen": '"127.0.0.1:1"'}})
    [problem] = problems(tmp_path, text, {"BFF_SERVER__LISTEN": "nowhere"})
    assert (problem.source, problem.line) == ("BFF_SERVER__LISTEN", None)
    assert str(problem).startswith("BFF_SERVER__LISTEN: server.listen: ")


@pytest.mark.parametrize(
    ("name", "suggested"),
    [
        ("BFF_SERVER__TRUSTED_PROXY", "BFF_SERVER__TRUSTED_PROXIES"),
        ("BFF_OIDC_ISSUER", "BFF_OIDC__ISSUER"),
        ("BFF_ROUTES__3__UPSTREM", "BFF_ROUTES__3__UPSTREAM"),
        ("BFF_SERVER", "BFF_SERVER__PUBLIC_URL"),
        ("BFF_ROUTES__0", "BFF_ROUTES__0__PATH"),
        ("BFF_server__listen", None),
        ("BFF_SERVER__LISTEN__X", None),
        ("BFF_ROUTES__01__PATH", None),
        ("BFF_ROUTES__X__PATH", None),
        ("BFF_", None),
    ],
)
def test_a_variable_that_names_no_key_is_a_problem(
    tmp_path: Path, name: str, suggested: str | None
) -> None:
    """A typing error in a security setting must not go unseen (CVE-2021-21411 and its like)."""
    [problem] = problems(tmp_path, environ={name: "x"})
    assert problem.source == name
    assert suggested is None or suggested in problem.message


@pytest.mark.parametrize(
    "name",
    [
        "BFF_CONFIG",
        "BFF_SERVICE_HOST",
        "BFF_SERVICE_PORT",
        "BFF_SERVICE_PORT_HTTP",
        "BFF_PORT",
        "BFF_PORT_8080_TCP",
        "BFF_PORT_8080_TCP_ADDR",
        "BFF_REDIS_MASTER_SERVICE_HOST",
        "BFF_REDIS_PORT_6379_TCP_PROTO",
    ],
)
def test_variables_that_kubernetes_sets_are_passed_over(tmp_path: Path, name: str) -> None:
    """A Service called "bff" puts these into every pod; the gateway must start all the same."""
    assert problems(tmp_path, environ={name: "tcp://10.0.0.1:8080"}) == ()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("BFF_ROUTES", "/api=http://a"),
        ("BFF_ROUTES", "{}"),
        ("BFF_ROUTES", "[" * 100_000),
        ("BFF_OIDC__AUTHORIZATION_PARAMS", "a=b"),
        ("BFF_SESSION__SECRETS", '["unfinished'),
        ("BFF_SERVER__WORKERS", "two"),
        ("BFF_SERVER__WORKERS", ""),
        ("BFF_OIDC__USERINFO", "yes"),
        ("BFF_SPA__ROOT", ""),
    ],
)
def test_text_that_is_not_of_the_keys_type_is_one_problem(
    tmp_path: Path, name: str, text: str
) -> None:
    """The key is not called missing as well, and the text is not repeated."""
    without = toml({"session": {"secrets": None}}) if "SECRETS" in name else toml()
    [problem] = problems(tmp_path, without, {name: text})
    assert problem.source == name
    assert not text or text not in problem.message


def test_routes_are_numbered_without_a_gap(tmp_path: Path) -> None:
    [problem] = problems(tmp_path, environ={"BFF_ROUTES__2__PATH": "/x"})
    assert problem.source == "BFF_ROUTES__2__PATH"
    assert "gap" in problem.message


@given(
    st.dictionaries(
        st.text("ABCOIDRSUTEVPH_01", max_size=30).map(lambda name: f"BFF_{name}"),
        st.text(max_size=20),
    )
)
def test_no_environment_crashes_the_reader(environ: Mapping[str, str]) -> None:
    """Whatever is set, each variable is a value, a problem, or passed over."""
    overlay = read_environment(environ)
    told = {problem.source for problem in overlay.problems} | set(overlay.names.values())
    assert told <= environ.keys()


# --- secrets from files


@pytest.mark.parametrize("ending", ["", "\n", "\r\n", "\n\n"])
def test_a_secret_file_loses_its_last_line_end(tmp_path: Path, ending: str) -> None:
    """Editors and `echo` add one; spaces stay, they may be part of the secret."""
    (tmp_path / "secret").write_bytes(b" s p a c e s inside " + ending.encode())
    changes = {"oidc": {"client_secret": None, "client_secret_file": '"secret"'}}
    settings = loaded(tmp_path, toml(changes))
    assert settings.relying_parties()[0].client_secret == " s p a c e s inside "


def test_secrets_lie_one_a_line(tmp_path: Path) -> None:
    (tmp_path / "secrets").write_text(f"{SECRET}\n\n{OTHER_SECRET}\n")
    settings = loaded(tmp_path, toml({"session": {"secrets": None, "secrets_file": '"secrets"'}}))
    assert [secret.get_secret_value() for secret in settings.session.secrets] == [
        SECRET,
        OTHER_SECRET,
    ]


def test_the_store_may_lie_in_a_file(tmp_path: Path) -> None:
    """Its URL may hold a password."""
    (tmp_path / "store").write_text("rediss://:wonderland@redis.internal\n")
    settings = loaded(tmp_path, toml({"session": {"store_file": '"store"'}}))
    assert settings.session.store.get_secret_value() == "rediss://:wonderland@redis.internal"


def test_relative_files_start_at_the_configurations_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of the environment start at the working directory, as in a shell."""
    inner = tmp_path / "etc"
    inner.mkdir()
    (inner / "secret").write_text("lies-beside-the-file")
    (tmp_path / "secret").write_text("lies-in-the-working-directory")
    monkeypatch.chdir(tmp_path)
    text = toml({"oidc": {"client_secret": None, "client_secret_file": '"secret"'}})
    of_file = load(write(inner, text), {})
    assert of_file.relying_parties()[0].client_secret == "lies-beside-the-file"
    of_environ = load(write(inner, text), {"BFF_OIDC__CLIENT_SECRET_FILE": "secret"})
    assert of_environ.relying_parties()[0].client_secret == "lies-in-the-working-directory"


def test_a_secret_and_its_file_exclude_each_other(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    [problem] = problems(tmp_path, toml({"oidc": {"client_secret_file": '"secret"'}}))
    assert problem.key == "oidc.client_secret_file"
    assert "together with client_secret" in problem.message


@pytest.mark.parametrize(
    ("file", "environ", "expected"),
    [
        (
            {"client_secret": '"given-in-the-file"'},
            {"_FILE": "{dir}/secret"},
            "given-in-the-secret-file",
        ),
        (
            {"client_secret": None, "client_secret_file": '"missing"'},
            {"": "given-in-the-environ"},
            "given-in-the-environ",
        ),
    ],
)
def test_a_secret_of_the_environment_replaces_either_form_of_the_file(
    tmp_path: Path, file: dict[str, str | None], environ: dict[str, str], expected: str
) -> None:
    """The environment wins, whichever of the two forms the file used."""
    (tmp_path / "secret").write_text("given-in-the-secret-file")
    variables = {
        f"BFF_OIDC__CLIENT_SECRET{ending}": text.format(dir=tmp_path)
        for ending, text in environ.items()
    }
    settings = loaded(tmp_path, toml({"oidc": file}), variables)
    assert settings.relying_parties()[0].client_secret == expected


def test_both_forms_in_the_environment_are_a_problem(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    variables = {
        "BFF_OIDC__CLIENT_SECRET": "x",
        "BFF_OIDC__CLIENT_SECRET_FILE": str(tmp_path / "secret"),
    }
    [problem] = problems(tmp_path, toml({"oidc": {"client_secret": None}}), variables)
    assert problem.source == "BFF_OIDC__CLIENT_SECRET_FILE"


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        ('"missing"', "No such file"),
        ('"."', "Is a directory"),
        ('"binary"', "not UTF-8"),
        ('"huge"', "too large"),
        ("3", "path of a file"),
        ('""', "path of a file"),
        ('"a\\u0000b"', "path of a file"),
    ],
)
def test_a_secret_file_that_cannot_be_read_is_one_problem(
    tmp_path: Path, file: str, reason: str
) -> None:
    """The secret is not called missing as well: its file is what is wrong."""
    (tmp_path / "binary").write_bytes(b"\xff\xff")
    (tmp_path / "huge").write_bytes(b"x" * 65_537)
    text = toml({"oidc": {"client_secret": None, "client_secret_file": file}})
    [problem] = problems(tmp_path, text)
    assert problem.key == "oidc.client_secret_file"
    assert reason in problem.message
    assert problem.line == line_of(text, "client_secret_file")


def test_a_weak_secret_in_a_file_is_told_at_the_files_key(tmp_path: Path) -> None:
    (tmp_path / "secrets").write_text(f"{SECRET}\nweak-canary\n")
    text = toml({"session": {"secrets": None, "secrets_file": '"secrets"'}})
    [problem] = problems(tmp_path, text)
    assert problem.key == "session.secrets[1]"
    assert problem.line == line_of(text, "secrets_file")


# --- nothing leaks


def all_keys() -> list[tuple[str, str]]:
    return [
        (name, key)
        for name, table in file_schema()["properties"].items()
        if name != "providers"  # each has the keys of [oidc]
        for key in table.get("items", table)["properties"]
    ]


@pytest.mark.rule("OP-01")
@pytest.mark.parametrize(("table", "key"), all_keys())
@pytest.mark.parametrize(
    "value",
    [
        '"https://user:canary@[canary"',
        '"redis://:canary@/ä"',
        '["canary", "canary"]',
        '{ canary = "canary" }',
        '"canary\\u0007"',
    ],
)
def test_no_problem_repeats_a_value(tmp_path: Path, table: str, key: str, value: str) -> None:
    """Any value may be a secret in the wrong place, and messages end up in logs and tickets."""
    text = toml({table: {key: value}})
    for problem in problems(tmp_path, text):
        assert "canary" not in problem.message
        # The name of an entry is no value.
        assert "canary" not in problem.key.removeprefix(f"{table}.{key}.canary")


@pytest.mark.rule("OP-01")
def test_no_text_of_settings_holds_a_secret(tmp_path: Path) -> None:
    """Neither `repr` nor `str` nor a dump as JSON."""
    changes = {
        "oidc": {"client_secret": '"canary-client-of-16"'},
        "session": {"store": '"redis://:canary-store@h"'},
    }
    settings = loaded(tmp_path, toml(changes))
    for text in (repr(settings), str(settings), settings.model_dump_json(), str(settings.oidc)):
        assert "canary" not in text
        assert SECRET not in text


def test_settings_are_frozen(tmp_path: Path) -> None:
    settings = loaded(tmp_path)
    with pytest.raises(ValueError, match="frozen"):
        settings.server.workers = 2  # type: ignore[misc]


def test_defaults_are_the_documented_ones(tmp_path: Path) -> None:
    """The least file: what a user gets who sets nothing."""
    settings: Settings = loaded(tmp_path)
    assert VALID["user"] == {}
    assert (settings.server.listen, settings.server.admin_listen) == (
        "127.0.0.1:8080",
        "127.0.0.1:9090",
    )
    assert settings.server.trusted_proxies == ()
    assert settings.session.same_site == "strict"
    assert (settings.session.idle_timeout, settings.session.absolute_timeout) == (1800, 43200)
    assert settings.session.refresh_before == 60
    assert settings.providers["default"].id_token_algs == ("RS256",)
    assert settings.routes[0].forward_cookies == ()
    assert settings.routes[0].methods == ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
    assert (settings.csrf.header_name, settings.csrf.header_value) == ("X-CSRF", "1")
