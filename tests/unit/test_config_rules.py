"""What must hold between keys: each rule broken, kept, and still judged beside other problems."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bff.config import Settings
from bff.config.problems import Fault
from bff.config.rules.rulebook import Routes, Rule, route_rule, rule
from tests.parts.config_files import Tables, loaded, problems, toml

REDIS = '"redis://127.0.0.1"'
HTTP = '"http://localhost:8080"'

BROKEN: list[tuple[Tables, str, str]] = [
    ({"server": {"workers": "2"}}, "server.workers", "redis://"),
    (
        {"server": {"workers": "2"}, "session": {"store": '"memory://"'}},
        "server.workers",
        "memory://",
    ),
    ({"server": {"listen": '"127.0.0.1:9090"'}}, "server.admin_listen", "server.listen"),
    ({"server": {"admin_listen": '"127.0.0.1:8080"'}}, "server.admin_listen", "server.listen"),
    (
        {"server": {"auth_listen": '"127.0.0.1:8080"', "trusted_proxies": '["127.0.0.1"]'}},
        "server.auth_listen",
        "server.listen",
    ),
    (
        {"server": {"auth_listen": '"127.0.0.1:9090"', "trusted_proxies": '["127.0.0.1"]'}},
        "server.auth_listen",
        "server.admin_listen",
    ),
    ({"metrics": {"listen": '"127.0.0.1:8080"'}}, "metrics.listen", "server.listen"),
    ({"metrics": {"listen": '"127.0.0.1:9090"'}}, "metrics.listen", "server.admin_listen"),
    (
        {
            "server": {"health_listen": '"127.0.0.1:8082"'},
            "metrics": {"listen": '"127.0.0.1:8082"'},
        },
        "metrics.listen",
        "server.health_listen",
    ),
    ({"server": {"auth_listen": '"127.0.0.1:8081"'}}, "server.trusted_proxies", "auth_listen"),
    (
        {
            "server": {"auth_listen": '"127.0.0.1:8081"', "trusted_proxies": '["127.0.0.1"]'},
            "oidc": {"dpop": "true"},
        },
        "oidc.dpop",
        "auth_listen",
    ),
    ({"session": {"idle_timeout": '"13h"'}}, "session.idle_timeout", "absolute_timeout"),
    ({"session": {"absolute_timeout": '"29m"'}}, "session.idle_timeout", "absolute_timeout"),
    ({"session": {"cookie_name": '"session"'}}, "session.cookie_name", "__Host-"),
    ({"session": {"cookie_name": '"__Secure-bff"'}}, "session.cookie_name", "__Host-"),
    ({"session": {"cookie_name": '"__host-bff"'}}, "session.cookie_name", "__Host-"),
    (
        {"server": {"public_url": HTTP}, "session": {"cookie_name": '"__Host-bff"'}},
        "session.cookie_name",
        "https",
    ),
    (
        {"server": {"public_url": HTTP}, "session": {"cookie_name": '"__SECURE-bff"'}},
        "session.cookie_name",
        "https",
    ),
    ({"oidc": {"post_logout_path": '"/bff/logout"'}}, "oidc.post_logout_path", "server.prefix"),
    ({"oidc": {"post_logout_path": '"/bff"'}}, "oidc.post_logout_path", "server.prefix"),
    (
        {"session": {"logout_return_paths": '["/bye", "/bff/user"]'}},
        "session.logout_return_paths[1]",
        "server.prefix",
    ),
    (
        {"oidc": {"allow_frontchannel_logout_without_iss": "true"}},
        "oidc.allow_frontchannel_logout_without_iss",
        "frontchannel_logout",
    ),
    (
        {"spa": {"root": '"site"', "dev_server": '"http://localhost:5173"'}},
        "spa.dev_server",
        "spa.root",
    ),
    ({"routes": {"path": '"/bff"'}}, "routes[0].path", "server.prefix"),
    ({"routes": {"path": '"/bff/x/"'}}, "routes[0].path", "server.prefix"),
    (
        {"server": {"prefix": '"/api"'}, "oidc": {}},
        "routes[0].path",
        "server.prefix",
    ),
    ({"routes": {"path": '"/"'}, "spa": {"root": '"site"'}}, "routes[0].path", "hide"),
    (
        {"routes": {"path": '"/"'}, "spa": {"dev_server": '"http://localhost:1"'}},
        "routes[0].path",
        "hide",
    ),
    ({"routes": {"scope": '"x"', "token": '"none"'}}, "routes[0].scope", "sends none"),
    ({"routes": {"resource": '"urn:a"', "token": '"none"'}}, "routes[0].resource", "sends none"),
    ({"routes": {"audience": '"a"', "token": '"none"'}}, "routes[0].audience", "sends none"),
    (
        {"routes": {"authorization_details": '[{ type = "a" }]'}},
        "routes[0].authorization_details",
        'is for token = "client" only',
    ),
    (
        {"oidc": {"authorization_details": '[{ type = "a", at = 2026-01-01 }]'}},
        "oidc.authorization_details",
        "must hold texts, numbers",
    ),
    (
        {"oidc": {"authorization_details": '[{ actions = ["read"] }]'}},
        "oidc.authorization_details",
        "must have a type",
    ),
    (
        {"oidc": {"authorization_params": '{ authorization_details = "[]" }'}},
        "oidc.authorization_params.authorization_details",
        "is set by the gateway",
    ),
    ({"routes": {"token": '"exchange"'}}, "routes[0].token", "what it is for"),
    (
        {"routes": {"token": '"exchange"', "scope": '"x"', "anonymous": "true"}},
        "routes[0].anonymous",
        "client",
    ),
    (
        {"oidc": {"resource": '["urn:a"]', "authorization_params": '{ Resource = "urn:b" }'}},
        "oidc.authorization_params",
        "resource",
    ),
    (
        {"oidc": {"resource": '["urn:a"]', "login_params": '["resource"]'}},
        "oidc.login_params",
        "resource",
    ),
    ({"routes": {"anonymous": "true"}}, "routes[0].anonymous", "client"),
    ({"routes": {"introspect": "true", "token": '"client"'}}, "routes[0].introspect", "is for"),
    ({"routes": {"introspect": "true", "token": '"none"'}}, "routes[0].introspect", "is for"),
    (
        {"routes": {"require_acr": '["gold"]', "token": '"none"'}},
        "routes[0].require_acr",
        "needs a session",
    ),
    (
        {"routes": {"max_auth_age": '"5m"', "token": '"client"', "anonymous": "true"}},
        "routes[0].max_auth_age",
        "needs a session",
    ),
    ({"routes": {"csrf": '"off"'}}, "routes[0].csrf", 'token = "none"'),
    ({"routes": {"csrf": '"off"', "token": '"client"'}}, "routes[0].csrf", 'token = "none"'),
    (
        {"routes": {"csrf": '"off"', "token": '"none"', "forward_cookies": '["a"]'}},
        "routes[0].csrf",
        "forward_cookies",
    ),
    (
        {"routes": {"forward_cookies": '["a", "__Host-Http-bff"]'}},
        "routes[0].forward_cookies",
        "gateway's",
    ),
    (
        {"routes": {"forward_cookies": '["__host-http-BFF-login"]'}},
        "routes[0].forward_cookies",
        "gateway's",
    ),
    (
        {
            "session": {"cookie_name": '"__Host-acme"'},
            "routes": {"forward_cookies": '["__Host-acme"]'},
        },
        "routes[0].forward_cookies",
        "gateway's",
    ),
]

KEPT: list[Tables] = [
    {"metrics": {"listen": '"127.0.0.1:9464"'}},
    {"metrics": {"listen": '"unix:/run/metrics.sock"'}},
    {"server": {"workers": "2"}, "session": {"store": REDIS}},
    {"server": {"listen": '"127.0.0.1:9090"', "admin_listen": '"127.0.0.1:9091"'}},
    {"server": {"listen": '"127.0.0.1:0"', "admin_listen": '"127.0.0.1:0"'}},
    {"server": {"auth_listen": '"127.0.0.1:8081"', "trusted_proxies": '["127.0.0.1"]'}},
    {"server": {"auth_listen": '"unix:/run/auth.sock"'}},
    {"session": {"idle_timeout": '"12h"'}},
    {"session": {"cookie_name": '"__Host-acme"'}},
    {"session": {"cookie_name": '"__Host-Http-acme"'}},
    {"server": {"public_url": HTTP}, "session": {"cookie_name": '"acme"'}},
    {"oidc": {"post_logout_path": '"/bffx"'}},
    {"routes": {"path": '"/bffx"'}},
    {"routes": {"require_acr": '["gold"]', "max_auth_age": '"5m"', "token": '"client"'}},
    {"routes": {"introspect": "true"}},
    {"routes": {"introspect": "true", "token": '"exchange"', "audience": '"a"'}},
    {"routes": {"path": '"/"'}},
    {"routes": {"scope": '"x"', "token": '"client"', "anonymous": "true"}},
    {"routes": {"resource": '"urn:a"', "audience": '"a"', "token": '"client"'}},
    {"routes": {"resource": '"urn:a"', "audience": '"a"', "scope": '"x"'}},
    {"routes": {"token": '"exchange"', "audience": '"a"'}},
    {"oidc": {"authorization_params": '{ resource = "urn:b" }'}},
    {"routes": {"forward_cookies": '["bff"]'}},
    {"routes": {"csrf": '"off"', "token": '"none"'}},
    {"spa": {"root": '"site"'}},
]


@pytest.fixture(autouse=True)
def site(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "index.html").touch()


@pytest.mark.parametrize(("changes", "key", "reason"), BROKEN)
def test_a_broken_rule_is_one_problem(
    tmp_path: Path, changes: Tables, key: str, reason: str
) -> None:
    """Named at the key that has to give way."""
    [problem] = problems(tmp_path, toml(changes))
    assert problem.key == key
    assert reason in problem.message


@pytest.mark.parametrize("changes", KEPT)
def test_what_the_rules_allow_loads(tmp_path: Path, changes: Tables) -> None:
    """The other side of each rule's line."""
    assert problems(tmp_path, toml(changes)) == ()


@pytest.mark.rule("CK-05")
@pytest.mark.parametrize("name", ["session", "__Secure-bff", "__host-bff", "__HOST-bff"])
def test_a_cookie_name_that_a_sibling_domain_could_set_is_refused(
    tmp_path: Path, name: str
) -> None:
    """RFC 6265bis section 4.1.3.2: only `__Host-` keeps the cookie to this host."""
    [problem] = problems(tmp_path, toml({"session": {"cookie_name": f'"{name}"'}}))
    assert problem.key == "session.cookie_name"


@pytest.mark.parametrize(("changes", "key", "reason"), BROKEN)
def test_a_rule_is_judged_beside_other_problems(
    tmp_path: Path, changes: Tables, key: str, reason: str
) -> None:
    """All at once: an unrelated typing error in the same tables hides no rule."""
    spoiled = {table: {**keys, "typo": "1"} for table, keys in changes.items()}
    found = problems(tmp_path, toml({**spoiled, "log": {"level": '"loud"'}}))
    assert key in {problem.key for problem in found if reason in problem.message}


def test_a_rule_is_not_judged_on_a_value_that_is_not_valid(tmp_path: Path) -> None:
    """Nor on the default in its place: that would be a problem the user does not have."""
    changes = {
        "server": {"workers": "2"},
        "session": {"store": '"postgres://x"', "idle_timeout": "3", "absolute_timeout": '"5m"'},
    }
    found = {problem.key for problem in problems(tmp_path, toml(changes))}
    assert found == {"session.store", "session.idle_timeout"}


@pytest.mark.parametrize("path", ["/api", "/api/"])
def test_two_routes_of_one_path_are_refused(tmp_path: Path, path: str) -> None:
    """A slash at the end makes no other route: both match the same requests."""
    second = f'[[routes]]\npath = "{path}"\nupstream = "http://b"'
    [problem] = problems(tmp_path, toml(extra=second))
    assert problem.key == "routes[1].path"


def test_a_longer_path_is_another_route(tmp_path: Path) -> None:
    second = '[[routes]]\npath = "/api/orders"\nupstream = "http://b"'
    assert len(loaded(tmp_path, toml(extra=second)).routes) == 2


@pytest.mark.rule("CK-05")
@pytest.mark.parametrize(
    ("public_url", "name"), [('"https://a.example"', "__Host-Http-bff"), (HTTP, "bff")]
)
def test_the_cookies_name_follows_the_scheme(tmp_path: Path, public_url: str, name: str) -> None:
    """A prefix where the browser enforces it, none where some browsers would drop the cookie."""
    assert loaded(tmp_path, toml({"server": {"public_url": public_url}})).cookie_name == name


def no_faults(*_: object) -> Iterator[Fault]:
    yield from ()


@pytest.mark.parametrize("key", ["server.lisen", "sever.listen", "listen", "routes", "server."])
def test_a_rule_can_not_name_a_key_that_does_not_exist(key: str) -> None:
    """A rule with a misspelt key would never be judged, and nothing else would show it."""
    with pytest.raises(LookupError, match=key):
        rule(key, among=[])(no_faults)


@pytest.mark.parametrize("key", ["pfad", "routes.path", ""])
def test_a_rule_about_routes_can_not_name_a_key_that_does_not_exist(key: str) -> None:
    with pytest.raises(LookupError):
        route_rule(key, among=[])(no_faults)


def test_a_rule_can_not_read_a_key_that_it_does_not_name(tmp_path: Path) -> None:
    """It fails on settings in which everything is valid, not only where that key is missing."""
    rules: list[Rule] = []

    @rule("server.listen", among=rules)
    def reads_another_key(settings: Settings) -> Iterator[Fault]:
        if settings.server.workers > 1:
            yield Fault(("server", "listen"), "")

    @rule("server.listen", among=rules)
    def reads_another_table(settings: Settings) -> Iterator[Fault]:
        if settings.session.is_in_memory:
            yield Fault(("server", "listen"), "")

    @rule("server.listen", among=rules)
    def reads_routes(settings: Settings) -> Iterator[Fault]:
        if settings.routes:
            yield Fault(("server", "listen"), "")

    @route_rule("path", among=rules)
    def reads_another_key_of_routes(_: Settings, routes: Routes) -> Iterator[Fault]:
        yield from (Fault(("routes", 0), "") for route in routes.values() if route.anonymous)

    settings = loaded(tmp_path)
    assert len(rules) == 4
    for one in rules:
        with pytest.raises(AttributeError):
            list(one.faults(settings))


def test_a_route_keeps_its_number_when_another_one_is_not_valid(tmp_path: Path) -> None:
    """Problems name the route as it stands in the file."""
    spoiled = '[[routes]]\npath = "x"\nupstream = "http://b"\n'
    last = '[[routes]]\npath = "/bff/x"\nupstream = "http://b"'
    found = [problem.key for problem in problems(tmp_path, toml(extra=spoiled + last))]
    assert found == ["routes[1].path", "routes[2].path"]
