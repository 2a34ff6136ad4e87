"""Which URLs of an OP may be used."""

from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from yarl import URL

from bff.oidc.provider.endpoint_url import (
    PlainHttp,
    is_endpoint_url,
    is_loopback,
    plain_http_policy,
    with_parameters,
)


@pytest.mark.rule("AZ-17")
@pytest.mark.parametrize(
    ("url", "policy", "allowed"),
    [
        ("https://op.example.test/token", PlainHttp.NEVER, True),
        ("https://op.example.test:8443/token?tenant=a", PlainHttp.NEVER, True),
        ("http://127.0.0.1:8080/token", PlainHttp.NEVER, False),
        ("http://127.0.0.1:8080/token", PlainHttp.LOOPBACK, True),
        ("http://[::1]:8080/token", PlainHttp.LOOPBACK, True),
        ("http://op.localhost/token", PlainHttp.LOOPBACK, True),
        ("http://op.example.test/token", PlainHttp.LOOPBACK, False),
        ("http://127.0.0.1.example.test/token", PlainHttp.LOOPBACK, False),
        ("http://op.example.test/token", PlainHttp.ANYWHERE, True),
        ("ftp://op.example.test/token", PlainHttp.ANYWHERE, False),
        ("file:///etc/passwd", PlainHttp.ANYWHERE, False),
        ("//op.example.test/token", PlainHttp.ANYWHERE, False),
        ("/token", PlainHttp.ANYWHERE, False),
        ("https://", PlainHttp.ANYWHERE, False),
        ("https://user@op.example.test/", PlainHttp.NEVER, False),
        ("https://op.example.test/#f", PlainHttp.NEVER, False),
        ("https://op.example.test/#", PlainHttp.NEVER, False),
        ("https://op.example.test:99999/", PlainHttp.NEVER, False),
        ("https://op.example.test/a b", PlainHttp.NEVER, False),
        ("https://op.example.test/\r\nHost: x", PlainHttp.NEVER, False),
        ("https://evil.test\\@op.example.test/", PlainHttp.NEVER, False),
        ("https://op.example.test/a\\b", PlainHttp.NEVER, False),
        ('https://op.example.test/"><b>', PlainHttp.NEVER, False),
        ("https://öp.example.test/", PlainHttp.NEVER, False),
        ("https://[::1/", PlainHttp.NEVER, False),
        ("https://op%2eexample.test/", PlainHttp.NEVER, False),
        ("http://[::1%25lo]/", PlainHttp.LOOPBACK, False),
        ("https://op.example.test/" + "a" * 2048, PlainHttp.NEVER, False),
        ("", PlainHttp.ANYWHERE, False),
        (None, PlainHttp.ANYWHERE, False),
        (["https://op.example.test/"], PlainHttp.ANYWHERE, False),
    ],
)
def test_an_endpoint_is_https_unless_loopback(
    url: object, policy: PlainHttp, allowed: bool
) -> None:
    """RFC 8414 section 2, RFC 6749 section 3.1.2.1, CVE-2023-1584."""
    assert is_endpoint_url(url, policy) is allowed


@pytest.mark.rule("AZ-17")
@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("http://keycloak:8080/token", True),
        ("http://KeyCloak:8080/token", True),
        ("http://keycloak:8081/token", False),
        ("http://keycloak/token", False),
        ("http://keycloak:8080.example.test/token", False),
        ("http://user@keycloak:8080/token", False),
        ("ftp://keycloak:8080/token", False),
        ("http://127.0.0.1:8080/token", False),
    ],
)
def test_http_is_for_the_very_hosts_that_are_named(url: str, *, allowed: bool) -> None:
    assert is_endpoint_url(url, PlainHttp.NEVER, {"keycloak:8080"}) is allowed


@pytest.mark.rule("AZ-17")
@pytest.mark.parametrize(
    ("issuer", "relaxed", "policy"),
    [
        ("https://op.example.test", False, PlainHttp.NEVER),
        ("http://127.0.0.1:9000", False, PlainHttp.LOOPBACK),
        ("https://127.0.0.1:9000", False, PlainHttp.NEVER),
        ("http://op.example.test", False, PlainHttp.NEVER),
        ("https://op.example.test", True, PlainHttp.ANYWHERE),
    ],
)
def test_an_https_issuer_cannot_be_talked_down(
    issuer: str, relaxed: bool, policy: PlainHttp
) -> None:
    assert plain_http_policy(issuer, allow_insecure_http=relaxed) is policy


@given(st.text(alphabet="tps:/@\\?#[]%.0129aAxX-_ &,;=+*", max_size=30).map("http://{}".format))
@example("https://a\\@b/")
@example("https://[::1]:80/x")
@example("https://a.b?@c")
def test_what_is_judged_is_what_is_requested(url: str) -> None:
    """No two parsers that disagree about the host (server-side request forgery)."""
    if not is_endpoint_url(url, PlainHttp.ANYWHERE):
        return
    requested = URL(url, encoded=True)
    assert (requested.host or "").lower() == urlsplit(url).hostname
    assert requested.scheme == urlsplit(url).scheme


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("169.254.169.254", False),
        ("2130706433", False),
        ("localhost.example.test", False),
        ("evil-localhost", False),
    ],
)
def test_loopback_is_judged_by_address_or_reserved_name(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


def test_parameters_are_added_after_the_endpoints_own() -> None:
    """RFC 6749 section 3.1: the endpoint's query MUST be retained."""
    plain = with_parameters("https://op.test/a", {"x": "1 &=#\r\n"})
    extended = with_parameters("https://op.test/a?tenant=b", {"x": "1"})
    assert parse_qsl(urlsplit(plain).query) == [("x", "1 &=#\r\n")]
    assert "\r" not in plain
    assert extended == "https://op.test/a?tenant=b&x=1"
