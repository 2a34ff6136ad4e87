"""Each key of the configuration by itself: what it accepts, as what, and what it refuses."""

from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from bff.config.reference import file_schema
from bff.gate.csrf import CsrfGuard
from bff.gate.routes import CsrfMode, Route, Spelling, TokenKind, Upstream
from bff.oidc.jwt.jwks import KEY_OF_ALG
from bff.oidc.settings import RelyingPartySettings
from bff.oidc.steps import end_session
from bff.oidc.steps.authorization import RESERVED_PARAMETERS
from bff.sessions.sessions import SessionPolicy
from tests.parts.config_files import OTHER_SECRET, SECRET, line_of, loaded, problems, toml

ACCEPTED: list[tuple[str, str, object]] = [
    ("server.public_url", '"https://App.Example.com:443/"', "https://app.example.com"),
    ("server.public_url", '"https://app.example.com:8443"', "https://app.example.com:8443"),
    ("server.public_url", '"http://localhost:8080"', "http://localhost:8080"),
    ("server.public_url", '"http://app.localhost"', "http://app.localhost"),
    ("server.public_url", '"http://127.3.2.1:80"', "http://127.3.2.1"),
    ("server.public_url", '"http://[::1]:8080/"', "http://[::1]:8080"),
    ("server.listen", '"0.0.0.0:0"', "0.0.0.0:0"),
    ("server.listen", '"[::]:8080"', "[::]:8080"),
    ("server.listen", '"unix:/run/bff/bff.sock"', "unix:/run/bff/bff.sock"),
    (
        "server.trusted_proxies",
        '["10.0.0.0/8", "127.0.0.1", "::1/128"]',
        (ip_network("10.0.0.0/8"), ip_network("127.0.0.1/32"), ip_network("::1/128")),
    ),
    ("server.additional_hosts", '["Gateway.internal:8080"]', ("gateway.internal:8080",)),
    ("server.prefix", '"/auth/bff"', "/auth/bff"),
    ("server.max_body", '"10MB"', 10_000_000),
    ("server.shutdown_timeout", '"1m"', 60.0),
    ("oidc.issuer", '"https://tenant.example.com/"', "https://tenant.example.com/"),
    ("oidc.issuer", '"http://127.0.0.1:9400"', "http://127.0.0.1:9400"),
    ("oidc.client_auth", '"client_secret_post"', "client_secret_post"),
    ("oidc.scope", '"openid"', "openid"),
    (
        "oidc.resource",
        '["https://a.test/v1?x=%20", "urn:demo:api"]',
        ("https://a.test/v1?x=%20", "urn:demo:api"),
    ),
    ("oidc.id_token_algs", '["ES256", "EdDSA"]', ("ES256", "EdDSA")),
    (
        "oidc.authorization_params",
        '{ audience = "x", prompt = "" }',
        {"audience": "x", "prompt": ""},
    ),
    ("oidc.trusted_audiences", '["https://api.example.com"]', ("https://api.example.com",)),
    ("oidc.end_session_params", '{ returnTo = "x" }', {"returnTo": "x"}),
    ("oidc.leeway", '"60s"', 60.0),
    ("oidc.leeway", '"0s"', 0.0),
    ("session.store", '"redis://user:wonderland@redis.internal:6379/1"', "secret"),
    ("session.store", '"redis+sentinel://a:26379,b:26379/main"', "secret"),
    ("session.store", '"redis+cluster://a,b"', "secret"),
    ("session.store", '"unix:///run/redis.sock"', "secret"),
    ("session.login_timeout", '"10m"', 600.0),
    ("session.cookie_name", '"__Host-acme"', "__Host-acme"),
    ("user.claims", "[]", ()),
    ("user.anonymous", '"null"', "null"),
    ("routes.path", '"/"', "/"),
    ("routes.upstream", '"http://api.internal"', (Upstream("http", "api.internal", ""),)),
    (
        "routes.upstream",
        '["https://a:443/v1/", "http://[::1]:9000"]',
        (Upstream("https", "a", "/v1"), Upstream("http", "[::1]:9000", "")),
    ),
    ("routes.resource", '"https://a.test:8443/"', "https://a.test:8443/"),
    ("routes.audience", '"orders api"', "orders api"),
    ("routes.token", '"none"', TokenKind.NONE),
    ("routes.methods", '["GET", "PROPFIND"]', ("GET", "PROPFIND")),
    ("routes.csrf", '"same-origin"', CsrfMode.SAME_ORIGIN),
    ("routes.require_acr", '["gold", "urn:mfa"]', ("gold", "urn:mfa")),
    ("routes.max_auth_age", '"10s"', 10.0),
    ("routes.introspect_cache", '"10m"', 600.0),
    ("routes.introspect_when_op_down", '"allow"', "allow"),
    ("routes.strip_headers", '["X-Tenant-Id"]', ("X-Tenant-Id",)),
    ("routes.allow_in_path", '["%2F", "//"]', (Spelling.SLASH, Spelling.EMPTY)),
    ("routes.timeout", '"2.5s"', 2.5),
    ("routes.forward_cookies", '["locale"]', ("locale",)),
    ("spa.dev_server", '"http://localhost:5173/"', Upstream("http", "localhost:5173", "")),
    ("spa.dev_server", '"http://vite:5173"', Upstream("http", "vite:5173", "")),
    ("spa.dev_server", '"http://web.internal"', Upstream("http", "web.internal", "")),
    ("spa.dev_server", '"http://172.18.0.3:5173"', Upstream("http", "172.18.0.3:5173", "")),
    ("spa.dev_server", '"http://[fd00::3]:5173"', Upstream("http", "[fd00::3]:5173", "")),
    ("csrf.header_name", '"X-Requested-With"', "X-Requested-With"),
    ("log.format", '"text"', "text"),
]

REFUSED = [
    # server
    ("server.public_url", '"http://app.example.com"', "https"),
    ("server.public_url", '"http://localhost.example.com"', "https"),
    ("server.public_url", '"http://0.0.0.0"', "https"),
    ("server.public_url", '"https://app.example.com/app"', "path"),
    ("server.public_url", '"https://app.example.com/?a"', "query"),
    ("server.public_url", '"https://app.example.com/#"', "fragment"),
    ("server.public_url", '"https://user@app.example.com"', "user name"),
    ("server.public_url", '"https://app.example.com:0"', "absolute URL"),
    ("server.public_url", '"https://app.example.com:65536"', "URL"),
    ("server.public_url", '"https://bücher.example"', "punycode"),
    ("server.public_url", '"https://my_app.example"', "host"),
    ("server.public_url", '"https://[::1%25eth0]"', "IPv6"),
    ("server.public_url", '"https://a..b"', "host"),
    ("server.public_url", '"https://a\\\\b"', "URL"),
    ("server.public_url", '"https:///x"', "absolute URL"),
    ("server.public_url", '"//app.example.com"', "absolute URL"),
    ("server.public_url", '"ftp://app.example.com"', "absolute URL"),
    ("server.public_url", "3", "string"),
    ("server.listen", '":8080"', "host:port"),
    ("server.listen", '"8080"', "host:port"),
    ("server.listen", '"127.0.0.1:65536"', "host:port"),
    ("server.listen", '"[::g]:80"', "host:port"),
    ("server.listen", '"[1:2]:80"', "IPv6"),
    ("server.listen", '"unix:bff.sock"', "absolute path"),
    ("server.listen", f'"unix:/{"x" * 107}"', "107 bytes"),
    ("server.trusted_proxies", '["10.0.0.1/8"]', '"10.0.0.0/8"'),
    ("server.trusted_proxies", '["proxy"]', "network"),
    ("server.trusted_proxies", "[1]", "string"),
    ("server.trusted_proxies", '"10.0.0.0/8"', "array"),
    ("server.additional_hosts", '["http://x"]', "host:port"),
    ("server.prefix", '"/"', "segment"),
    ("server.prefix", '"/bff/"', "end with"),
    ("server.prefix", '"bff"', "start with"),
    ("server.prefix", '"/bff/../x"', "dot segment"),
    ("server.prefix", '"/a%2fb"', "percent-encoded"),
    ("server.prefix", '"/ä"', "canonical"),
    ("server.prefix", '"/b@f"', "two spellings"),
    ("server.workers", "0", "at least 1"),
    ("server.workers", "129", "at most 128"),
    ("server.workers", '"2"', "whole number"),
    ("server.workers", "true", "whole number"),
    ("server.max_body", "1000", "size"),
    ("server.max_body", '"1 MB"', "size"),
    ("server.shutdown_timeout", '"11m"', "between 0s and 10m"),
    # oidc
    ("oidc.issuer", '"http://idp.example.com"', "https"),
    ("oidc.issuer", '"https://idp.example.com?x=1"', "query"),
    ("oidc.issuer", '"https://idp.example.com/.well-known/openid-configuration"', "before"),
    ("oidc.issuer", "'https://idp.example.com/\"a\"'", "without user, query or fragment"),
    pytest.param(
        "oidc.issuer", f'"https://idp.example.com/{"a" * 2048}"', "without user", id="a long issuer"
    ),
    ("oidc.client_id", '""', "empty"),
    ("oidc.client_secret", '"  "', "empty"),
    ("oidc.client_secret", '"a\\nb"', "line breaks"),
    ("oidc.client_auth", '"none"', "confidential client"),
    ("oidc.client_auth", '"client_secret"', "'client_secret_basic', 'client_secret_post'"),
    ("oidc.scope", '"profile"', '"openid"'),
    ("oidc.resource", '["https://a.test", "https://a.test"]', "twice"),
    ("oidc.resource", '["https://a.test/#x"]', "fragment"),
    ("routes.resource", '"https://a.test/#"', "fragment"),
    ("routes.resource", '"/orders"', "absolute URI"),
    ("routes.resource", '"orders.test"', "absolute URI"),
    ("routes.resource", '"https:"', "absolute URI"),
    ("routes.resource", '"https://"', "absolute URI"),
    ("routes.resource", '"https:///x"', "absolute URI"),
    ("routes.resource", '"https:a.test"', "absolute URI"),
    ("routes.resource", '"urn:a b"', "absolute URI"),
    ("routes.resource", '"urn:a%2"', "absolute URI"),
    ("routes.resource", '""', "absolute URI"),
    ("routes.audience", '""', "empty"),
    ("oidc.scope", '"openid  profile"', "one space"),
    ("oidc.id_token_algs", "[]", "empty"),
    ("oidc.id_token_algs", '["none"]', "RS256"),
    ("oidc.id_token_algs", '["HS256"]', "RS256"),
    ("oidc.authorization_params", '"a=b"', "table"),
    ("oidc.authorization_params", "{ audience = 1 }", "string"),
    ("oidc.trusted_audiences", '"https://api.example.com"', "array"),
    ("oidc.trusted_audiences", '[""]', "empty"),
    ("oidc.end_session_params", '["a"]', "table"),
    ("oidc.userinfo", '"yes"', "true or false"),
    ("oidc.userinfo", "1", "true or false"),
    ("oidc.post_logout_path", '"https://evil.example"', "start with"),
    ("oidc.post_logout_path", '"//evil.example"', "empty segment"),
    ("oidc.leeway", '"61s"', "between 0s and 60s"),
    ("oidc.timeout", '"0s"', "between 100ms and 60s"),
    # session
    ("session.store", '"memory"', "memory://"),
    ("session.store", '"memory://x"', "memory://"),
    ("session.store", '"postgres://a"', "redis://"),
    ("session.store", '"redis+sentinel://a:26379"', "service"),
    ("session.store", '"redis://"', "host"),
    ("session.secrets", "[]", "empty"),
    ("session.secrets", f'"{SECRET}"', "array"),
    ("session.secrets", '["too-short"]', "32 bytes"),
    ("session.secrets", f'["{SECRET}", "{SECRET}"]', "twice"),
    ("session.idle_timeout", "1800", "duration"),
    ("session.idle_timeout", '"31d"', "between 1s and 30d"),
    ("session.login_timeout", '"11m"', "between 10s and 10m"),
    ("session.logins_per_browser", "0", "at least 1"),
    ("session.same_site", '"none"', "'strict' or 'lax'"),
    ("session.cookie_name", '"__Host-a b"', "letters"),
    ("session.cache_max_age", '"2m"', "between 100ms and 60s"),
    ("session.cache_entries", "0", "at least 1"),
    # user
    ("user.claims", '["bff"]', "not for the browser"),
    ("user.claims", '["sid"]', "not for the browser"),
    ("user.anonymous", "401", "'401' or 'null'"),
    # routes
    ("routes.path", '"api"', "start with"),
    ("routes.path", '"/api//x"', "empty segment"),
    ("routes.path", '"/api;x"', "canonical"),
    ("routes.path", '"/api:v1/"', "two spellings"),
    ("routes.path", '"/%C3%A4/"', "two spellings"),
    ("routes.upstream", "[]", "empty"),
    ("routes.upstream", '"127.0.0.1:9000"', "absolute URL"),
    ("routes.upstream", '"http://user:pass@api"', "user name"),
    ("routes.upstream", '"http://api/?x=1"', "query"),
    ("routes.upstream", '"http://api/#x"', "fragment"),
    ("routes.upstream", '"http://api/../x"', "dot segment"),
    ("routes.upstream", '"unix:/run/api.sock"', "absolute URL"),
    ("routes.upstream", '["http://api", "http://api:80/"]', "twice"),
    ("routes.token", '"machine"', "'user', 'exchange', 'client' or 'none'"),
    ("routes.methods", "[]", "empty"),
    ("routes.methods", '["get"]', "upper case"),
    ("routes.methods", '["CONNECT"]', "never forwarded"),
    ("routes.methods", '["TRACE"]', "never forwarded"),
    ("routes.methods", '["GET POST"]', "separators"),
    ("routes.csrf", '"none"', "'header', 'same-origin' or 'off'"),
    ("routes.require_acr", "[]", "empty"),
    ("routes.require_acr", '["gold silver"]', "without spaces"),
    ("routes.require_acr", '["gold", "gold"]', "twice"),
    ("routes.introspect_cache", '"0s"', "between 1s and 10m"),
    ("routes.introspect_when_op_down", '"pass"', "'refuse' or 'allow'"),
    ("routes.max_auth_age", '"0s"', "between 10s and 365d"),
    ("oidc.acr_order", '["silver", "gold", "silver"]', "twice"),
    ("oidc.acr_order", '["silver gold"]', "without spaces"),
    ("routes.anonymous", '"true"', "true or false"),
    ("routes.timeout", '"30"', "duration"),
    ("routes.connect_timeout", '"61s"', "between 10ms and 60s"),
    ("routes.forward_cookies", '["a;b"]', "separators"),
    ("routes.ca_file", '"missing.pem"', "cannot be read: No such file"),
    # the rest
    ("spa.root", '"missing"', "not a directory"),
    ("spa.root", '"."', "index.html"),
    ("spa.dev_server", '"http://vite.example.com:5173"', "private network"),
    ("spa.dev_server", '"http://8.8.8.8:5173"', "private network"),
    ("spa.dev_server", '"http://0.0.0.0:5173"', "private network"),
    ("spa.dev_server", '"http://[2001:4860::1]:5173"', "private network"),
    ("spa.dev_server", '"https://localhost:5173"', "plain http"),
    ("spa.dev_server", '"http://localhost:5173/app"', "path"),
    ("spa.content_security_policy", "\"default-src 'self'\\r\\nX: y\"", "line breaks"),
    ("routes.strip_headers", '["X Tenant"]', "separators"),
    ("routes.strip_headers", '["content_length"]', "body"),
    ("routes.strip_headers", '["Sec-WebSocket-Key"]', "handshake"),
    ("routes.allow_in_path", '["%2e"]', "escapes"),
    ("csrf.header_name", '"X CSRF"', "separators"),
    ("csrf.header_name", '"Content-Type"', "would not guard"),
    ("csrf.header_name", '"sec-fetch-site"', "script"),
    ("csrf.header_name", '"X-Forwarded-For"', "script"),
    ("csrf.header_value", '" 1"', "around"),
    ("csrf.header_value", '"ä"', "ASCII"),
    ("log.level", '"trace"', "'debug'"),
    ("log.format", '"xml"', "'json' or 'text'"),
]


def changed(key: str, value: str) -> str:
    table, _, name = key.partition(".")
    return toml({table: {name: value}})


@pytest.mark.parametrize(("key", "text", "value"), ACCEPTED)
def test_a_value_is_accepted_and_normalised(
    tmp_path: Path, key: str, text: str, value: object
) -> None:
    """What a user may write, and what the rest of the gateway gets to see."""
    settings: Any = loaded(tmp_path, changed(key, text))
    table, _, name = key.partition(".")
    section = settings.routes[0] if table == "routes" else getattr(settings, table)
    found = getattr(section, name)
    if value == "secret":
        found, value = found.get_secret_value(), text.strip('"')
    assert found == value
    assert type(found) is type(value) or isinstance(found, str)


@pytest.mark.parametrize(("key", "text", "reason"), REFUSED)
def test_a_value_is_refused_with_its_reason_key_and_line(
    tmp_path: Path, key: str, text: str, reason: str
) -> None:
    """One wrong value gives one problem, at its key, on its line."""
    content = changed(key, text)
    found = problems(tmp_path, content)
    assert len(found) == 1, found
    shown = key.replace("routes.", "routes[0].")
    assert found[0].key.startswith(shown)
    assert reason in found[0].message
    assert found[0].line == line_of(content, f"{key.partition('.')[2]} =")


@pytest.mark.rule("AZ-15")
@pytest.mark.parametrize("name", sorted(RESERVED_PARAMETERS))
def test_no_reserved_authorization_parameter_can_be_configured(tmp_path: Path, name: str) -> None:
    """What the gateway says itself in an authorization request is not up to the configuration."""
    [problem] = problems(tmp_path, changed("oidc.authorization_params", f'{{ {name} = "x" }}'))
    assert problem.key == f"oidc.authorization_params.{name}"


@pytest.mark.parametrize("name", sorted(end_session.RESERVED_PARAMETERS))
def test_no_reserved_logout_parameter_can_be_configured(tmp_path: Path, name: str) -> None:
    """Where the OP sends the browser after a logout is not up to a stray parameter."""
    for spelling in (name, name.upper()):
        text = changed("oidc.end_session_params", f'{{ {spelling} = "x" }}')
        [problem] = problems(tmp_path, text)
        assert problem.key == f"oidc.end_session_params.{spelling}"


@pytest.mark.rule("TK-01")
def test_there_is_no_public_client(tmp_path: Path) -> None:
    """OAuth for browser-based apps, section 6.1.3.1: a BFF is a confidential client."""
    found = problems(tmp_path, toml({"oidc": {"client_auth": '"none"', "client_secret": None}}))
    assert {problem.key for problem in found} == {"oidc.client_auth"}


@pytest.mark.rule("ID-06")
def test_the_algorithms_on_offer_are_those_that_the_relying_party_knows() -> None:
    """RFC 8725 section 3.1: neither `none` nor HMAC, and nothing that would fail later."""
    on_offer = file_schema()["properties"]["oidc"]["properties"]["id_token_algs"]["items"]["enum"]
    assert set(on_offer) == set(KEY_OF_ALG)


@pytest.mark.rule("TK-15")
def test_certificates_are_verified_whatever_is_configured() -> None:
    """There is no key that switches verification off, only one for another CA."""
    keys = [
        key
        for name, table in file_schema()["properties"].items()
        if name != "providers"  # each has the keys of [oidc]
        for key in table.get("items", table)["properties"]
    ]
    assert not [key for key in keys if "verify" in key or "insecure" in key or "tls" in key]


def test_a_file_without_certificates_is_no_ca_file(tmp_path: Path) -> None:
    """A wrong path would otherwise show at the first login."""
    (tmp_path / "ca.pem").write_text("no certificate")
    [problem] = problems(tmp_path, changed("oidc.ca_file", '"ca.pem"'))
    assert "PEM" in problem.message


def test_secrets_rotate_newest_first(tmp_path: Path) -> None:
    """The order of the list is kept: the first signs."""
    settings = loaded(tmp_path, changed("session.secrets", f'["{OTHER_SECRET}", "{SECRET}"]'))
    values = [secret.get_secret_value() for secret in settings.session.secrets]
    assert values == [OTHER_SECRET, SECRET]


def test_what_a_file_leaves_out_is_as_the_domain_has_it(tmp_path: Path) -> None:
    """Each default stands once."""
    settings = loaded(tmp_path)
    [route] = settings.routes
    assert route.as_route() == Route("/api", (Upstream("http", "127.0.0.1:9000", "/v1"),))
    [oidc] = settings.relying_parties()
    assert oidc == RelyingPartySettings(
        issuer="https://idp.example.com/realms/acme",
        client_id="spa",
        client_secret="given-by-the-provider",
        redirect_uri="https://app.example.com/bff/callback",
        post_logout_redirect_uri="https://app.example.com/",
        scope="openid profile email",
        label="default",
    )
    assert settings.session.policy() == SessionPolicy(
        idle_seconds=settings.session.idle_timeout,
        absolute_seconds=settings.session.absolute_timeout,
    )
    origin = "https://app.example.com"
    assert settings.csrf.guard(origin) == CsrfGuard(origin.encode())
