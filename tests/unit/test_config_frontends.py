"""[[frontends]]: what each inherits, and what is refused with its key and line."""

import pickle
import re
from pathlib import Path

import pytest

from bff.config import ConfigError, load
from bff.config.frontends import Frontend, frontends_of
from bff.config.settings import Settings
from tests.parts.configuration import settings_from

TOP = """\
[server]
trusted_proxies = ["127.0.0.1/32"]
[providers.corp]
issuer = "https://id.example.com"
client_id = "spa"
client_secret = "Jq3vK8nT5xY1cW7zB2mL9rD4"
[providers.other]
issuer = "https://other.example.com"
client_id = "spa"
client_secret = "Wq3vK8nT5xY1cW7zB2mL9rD4"
[session]
secrets = ["Zk3vJ8qT5nY1cW7xB2mL9rD4sF6hG0pA"]
idle_timeout = "20m"
same_site = "lax"
[user]
claims = ["name"]
anonymous = "null"
[[routes]]
path = "/api/"
upstream = "http://127.0.0.1:9000/"
"""


def a_frontend(name: str, url: str, more: str = "") -> str:
    return f'[[frontends]]\nname = "{name}"\npublic_url = "{url}"\n{more}\n'


def resolved(*frontends: str, top: str = TOP) -> tuple[Frontend, ...]:
    return frontends_of(settings_from(top + "".join(frontends)))


def problems_of(text: str) -> list[tuple[str, str, int | None]]:
    with pytest.raises(ConfigError) as raised:
        settings_from(text)
    return [(one.key, one.message, one.line) for one in raised.value.problems]


def test_without_frontends_the_top_level_is_the_only_one() -> None:
    top = TOP.replace("[server]\n", '[server]\npublic_url = "https://app.example.com"\n')
    [only] = resolved(top=top)
    assert (only.name, only.base_path, only.url) == ("default", "", "https://app.example.com")
    assert (only.session_cookie, only.binder_cookie) == ("__Host-Http-bff", "__Host-Http-bff-login")


def test_what_a_frontend_does_not_say_is_as_the_top_level_says_it() -> None:
    shop, wiki = resolved(
        a_frontend(
            "shop",
            "https://shop.example.com",
            'session = { idle_timeout = "5m" }\nuser = { claims = ["email"] }',
        ),
        a_frontend(
            "wiki",
            "https://intra.example.com/wiki/",
            'providers = ["other"]\nhosts = ["intra"]\n[[frontends.routes]]\npath = "/pages/"\n'
            'upstream = "http://127.0.0.1:9001/"',
        ),
    )
    assert (shop.settings.session.idle_timeout, wiki.settings.session.idle_timeout) == (300, 1200)
    assert shop.settings.session.same_site == wiki.settings.session.same_site == "lax"
    assert (shop.settings.user.claims, wiki.settings.user.claims) == (("email",), ("name",))
    assert shop.settings.user.anonymous == "null"
    assert [route.path for route in shop.settings.routes] == ["/api/"]
    assert [route.path for route in wiki.settings.routes] == ["/pages/"]
    assert [*shop.settings.providers] == ["corp", "other"]
    assert [*wiki.settings.providers] == ["other"]
    assert b"intra" in wiki.settings.server.hosts


def test_a_frontend_below_a_path_has_all_of_its_addresses_there() -> None:
    [wiki] = resolved(a_frontend("wiki", "https://intra.example.com/wiki/"))
    assert (wiki.base_path, wiki.prefix) == ("/wiki", "/wiki/bff")
    assert wiki.redirect_uri_of("corp") == "https://intra.example.com/wiki/bff/callback/corp"
    assert wiki.post_logout_path_of("corp") == "/wiki/"
    assert (wiki.session_cookie, wiki.binder_cookie) == (
        "__Secure-bff-wiki",
        "__Secure-bff-wiki-login",
    )
    assert wiki.post_logout_uri_of("corp") == "https://intra.example.com/wiki/"
    [plain] = resolved(a_frontend("wiki", "http://localhost/wiki"))
    assert plain.session_cookie == "bff-wiki"


def test_the_op_returns_to_one_address_where_logouts_may_name_pages() -> None:
    """Each application says so for itself."""
    shop, wiki = resolved(
        a_frontend("shop", "https://shop.example.com"),
        a_frontend(
            "wiki", "https://intra.example.com/wiki", 'session = { logout_return_paths = ["/bye"] }'
        ),
    )
    assert shop.post_logout_uri_of("corp") == "https://shop.example.com/"
    assert wiki.post_logout_uri_of("corp") == "https://intra.example.com/wiki/bff/logged-out"
    assert wiki.post_logout_path_of("corp") == "/wiki/"
    assert wiki.logout_cookie == "__Secure-bff-wiki-logout"


def test_a_cookie_name_of_the_top_level_is_for_whole_hosts() -> None:
    """`__Host-` names no path (RFC 6265bis section 4.1.3.2)."""
    top = TOP.replace("[session]\n", '[session]\ncookie_name = "__Host-acme"\n')
    shop, wiki = resolved(
        a_frontend("shop", "https://shop.example.com"),
        a_frontend("wiki", "https://intra.example.com/wiki"),
        top=top,
    )
    assert (shop.session_cookie, wiki.session_cookie) == ("__Host-acme", "__Secure-bff-wiki")


def test_settings_with_frontends_can_be_handed_to_a_worker() -> None:
    settings = settings_from(
        TOP + a_frontend("shop", "https://shop.example.com", 'session = { idle_timeout = "5m" }')
    )
    again = pickle.loads(pickle.dumps(settings))  # noqa: S301 - our own
    assert isinstance(again, Settings)
    assert frontends_of(again) == frontends_of(settings)


def test_a_frontend_may_come_from_the_environment() -> None:
    environ = {
        "BFF_FRONTENDS__0__NAME": "shop",
        "BFF_FRONTENDS__0__PUBLIC_URL": "https://shop.example.com",
        "BFF_FRONTENDS__0__SESSION__IDLE_TIMEOUT": "5m",
        "BFF_FRONTENDS__0__ROUTES__0__PATH": "/x/",
        "BFF_FRONTENDS__0__ROUTES__0__UPSTREAM": "http://127.0.0.1:9002/",
    }
    [shop] = frontends_of(settings_from(TOP, environ))
    assert shop.settings.session.idle_timeout == 300
    assert [route.path for route in shop.settings.routes] == ["/x/"]
    with pytest.raises(ConfigError, match="BFF_FRONTENDS__0__SESSION__STORE"):
        load(None, {"BFF_FRONTENDS__0__SESSION__STORE": "memory://"})


def test_the_example_of_the_document_loads(tmp_path: Path) -> None:
    """docs/many-apps.md, as a whole, to be copied; the other examples there are of tenants."""
    text = (Path(__file__).parents[2] / "docs" / "many-apps.md").read_text()
    example, *_ = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    for name in ("corp_client_secret", "google_client_secret"):
        (tmp_path / name).write_text(f"given-by-the-provider-of-{name}\n")
    (tmp_path / "session_secrets").write_text("Zk3vJ8qT5nY1cW7xB2mL9rD4sF6hG0pA\n")
    for name in ("shop", "crm", "wiki"):
        (tmp_path / name / "dist").mkdir(parents=True)
        (tmp_path / name / "dist" / "index.html").touch()
    (tmp_path / "bff.toml").write_text(example.replace("/run/secrets", str(tmp_path)))
    known = frontends_of(load(tmp_path / "bff.toml", {}))
    assert [one.url for one in known] == [
        "https://shop.example.com",
        "https://crm.example.com",
        "https://intranet.example.com/wiki",
    ]
    assert known[2].redirect_uri_of("corp") in text


SHOP = a_frontend("shop", "https://shop.example.com")
LEAK = 'forward_cookies = ["__Host-Http-bff"]'
LINE = TOP.count("\n") + SHOP.count("\n") + 1  # of the second [[frontends]]


@pytest.mark.rule("FE-08")
@pytest.mark.parametrize(
    ("second", "key", "line", "says"),
    [
        (("shop", "https://b.example.com"), "name", 1, "another frontend has this name"),
        (("b", "https://shop.example.com/"), "public_url", 2, "has the host and path of"),
        (("b", "https://SHOP.example.com:443"), "public_url", 2, "has the host and path of"),
        (
            ("b", "https://b.example.com", 'hosts = ["shop.example.com"]'),
            "public_url",
            2,
            "has the host and path of",
        ),
        (("b", "https://shop.example.com/bff"), "public_url", 2, "among the own endpoints"),
        (("b", "https://shop.example.com/bff/b"), "public_url", 2, "among the own endpoints"),
        (("b", "https://shop.example.com/api"), "public_url", 2, "hide /api/"),
        (
            ("b", "https://shop.example.com:8443"),
            "session.cookie_name",
            1,
            "is that of frontend shop too",
        ),
        (
            ("b", "https://shop.example.com/b", 'session = { cookie_name = "__Host-b" }'),
            "session.cookie_name",
            3,
            "must start with __Secure-",
        ),
        (
            ("b", "http://localhost:8080/b", 'session = { cookie_name = "__Secure-b" }'),
            "session.cookie_name",
            3,
            "need",
        ),
        (
            ("b", "https://b.example.com", 'session = { cookie_name = "b" }'),
            "session.cookie_name",
            3,
            "must start with __Host-",
        ),
        (
            ("b", "https://b.example.com", 'session = { idle_timeout = "13h" }'),
            "session.idle_timeout",
            3,
            "must not be longer",
        ),
        (
            ("b", "https://b.example.com", 'providers = ["corp", "othr"]'),
            "providers[1]",
            3,
            'is no provider, did you mean "other"?',
        ),
        (
            ("b", "https://b.example.com", 'email_domains = { "a.example" = "othr" }'),
            "email_domains.a.example",
            3,
            'must be a provider of this frontend, did you mean "other"?',
        ),
        (
            (
                "b",
                "https://b.example.com",
                'providers = ["corp"]\nemail_domains = { "a.example" = "other" }',
            ),
            "email_domains.a.example",
            4,
            "must be a provider of this frontend",
        ),
        (
            ("b", "https://b.example.com", 'session = { store = "memory://" }'),
            "session.store",
            3,
            "unknown key",
        ),
        (("B", "https://b.example.com"), "name", 1, "must be lower-case letters"),
        (("b", "http://b.example.com"), "public_url", 2, "https"),
        (("b", "https://b.example.com/a?b"), "public_url", 2, "query"),
        (("b", "https://b.example.com/a%20b"), "public_url", 2, "two spellings"),
        (
            (
                "b",
                "https://shop.example.com/b",
                '[[frontends.routes]]\npath = "/x/"\nupstream = "http://127.0.0.1:1/"\n' + LEAK,
            ),
            "routes[0].forward_cookies",
            6,
            "must not name a cookie of frontend shop",
        ),
        (
            (
                "b",
                "https://shop.example.com/b",
                '[[frontends.routes]]\npath = "/x/"\nupstream = "http://127.0.0.1:1/"\n'
                + LEAK.replace('bff"', 'bff-logout"'),
            ),
            "routes[0].forward_cookies",
            6,
            "must not name a cookie of frontend shop",
        ),
        (
            (
                "b",
                "https://b.example.com",
                '[[frontends.routes]]\npath = "/bff/x/"\nupstream = "http://127.0.0.1:1/"',
            ),
            "routes[0].path",
            4,
            "lies below server.prefix",
        ),
    ],
)
def test_what_is_wrong_with_a_frontend_is_said_with_its_line(
    second: tuple[str, ...], key: str, line: int, says: str
) -> None:
    found = problems_of(TOP + SHOP + a_frontend(*second))
    [(_, message, at)] = [one for one in found if one[0] == f"frontends[1].{key}"]
    assert says in message
    assert at == LINE + line or (key == "session.cookie_name" and at == LINE)


@pytest.mark.rule("FE-08")
def test_a_provider_that_no_frontend_uses_is_a_mistake() -> None:
    only = a_frontend("shop", "https://shop.example.com", 'providers = ["corp"]')
    [(where, message, line)] = problems_of(TOP + only)
    assert (where, line) == ("providers.other", 7)
    assert "used by no frontend" in message


@pytest.mark.rule("FE-08")
def test_one_application_may_lie_below_another_that_it_hides_nothing_of() -> None:
    resolved(SHOP, a_frontend("b", "https://shop.example.com/b"))
    resolved(
        a_frontend("a", "https://x.example.com/a"), a_frontend("ab", "https://x.example.com/ab")
    )


@pytest.mark.rule("FE-08")
@pytest.mark.parametrize("key", ['public_url = "https://x.example"', 'additional_hosts = ["x"]'])
def test_keys_that_each_frontend_has_are_not_given_above_them(key: str) -> None:
    name = key.partition(" ")[0]
    [(where, message, line)] = problems_of(TOP.replace("[server]\n", f"[server]\n{key}\n") + SHOP)
    assert (where, line) == (f"server.{name}", 2)
    assert "[[frontends]]" in message


@pytest.mark.rule("FE-08")
def test_guessable_secrets_are_for_frontends_of_this_machine_only() -> None:
    """One that other machines can reach is enough."""
    top = TOP.replace("Jq3vK8nT5xY1cW7zB2mL9rD4", "change-me-change-me")
    local = a_frontend("local", "http://localhost")
    assert resolved(local, top=top)
    keys = [one[0] for one in problems_of(top + local + SHOP)]
    assert keys == ["providers.corp.client_secret"]
