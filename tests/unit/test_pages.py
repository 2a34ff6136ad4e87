"""The pages a person can see: the way on that each offers, and what of a request it repeats."""

import base64
import hashlib
import re
from html import unescape

import pytest

from bff.endpoints.pages import Pages
from bff.endpoints.return_url import ReturnRules
from bff.errors import (
    BadRequest,
    BffError,
    LoginError,
    LoginExpired,
    NavigationRequired,
    NotAuthenticated,
    NotFound,
    OpUnavailable,
    RateLimited,
    StoreUnavailable,
)
from bff.gate.problem import Problem

PAGES = Pages(ReturnRules("https://app.example", "/own"))


class TemporaryLoginError(LoginError):
    """The way to begin anew is the application, also where the same may work a little later."""

    retryable = True


def links(page: Problem) -> list[tuple[str, str]]:
    found = re.findall(r'<a class="action" href="([^"]*)">([^<]*)</a>', page.body.decode())
    return [(unescape(href), text) for href, text in found]


def fields(page: Problem) -> dict[str, str]:
    """Of the form that the button sends."""
    found = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', page.body.decode())
    return {name: unescape(value) for name, value in found}


HOME = ("/", "Back to the application")


@pytest.mark.parametrize(
    ("error", "link"),
    [
        (BadRequest("x"), HOME),
        (NotFound(), HOME),
        (NotAuthenticated(), ("/own/login", "Log in")),
        (StoreUnavailable("x"), ("/", "Try again")),
        (OpUnavailable("x"), ("/", "Try again")),
        (TemporaryLoginError(), HOME),
        (
            LoginExpired(again={"returnUrl": "/a?b=1&c"}),
            ("/own/resume?returnUrl=%2Fa%3Fb%3D1%26c", "Continue"),
        ),
    ],
)
def test_each_error_has_one_way_on(error: BffError, link: tuple[str, str]) -> None:
    page = PAGES.error(error, "the-id")
    assert links(page) == [link]
    assert page.status == error.status
    text = page.body.decode()
    assert f"<title>{error.title}</title>" in text.replace("&#x27;", "'")
    assert f"<small>{error.code} · the-id</small>" in text
    assert fields(page) == {}
    assert "form-action 'none'" in page.headers["Content-Security-Policy"]


def test_only_a_login_that_is_no_longer_open_goes_on_by_itself() -> None:
    page = PAGES.error(LoginExpired(again={"returnUrl": "/a"}), "id").body.decode()
    assert '<meta http-equiv="refresh" content="0;url=/own/resume?returnUrl=%2Fa">' in page
    assert "refresh" not in PAGES.error(NotFound(), "id").body.decode()


def test_the_style_is_the_one_that_the_policy_allows() -> None:
    """Level 3 of CSP: a hash over the element's whole text."""
    page = PAGES.error(NotFound(), "id")
    style = page.body.decode().partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in page.headers["Content-Security-Policy"]


def test_how_long_to_wait_is_told_if_it_is_known() -> None:
    page = PAGES.error(RateLimited("login", retry_after=7), "id")
    assert page.headers["Retry-After"] == "7"
    assert "Retry-After" not in PAGES.error(NotFound(), "id").headers


LOGIN = b"prompt=login&login_hint=a%22%3E&acr_values=b&max_age=5&ui_locales=de&returnUrl=/x&other=1"
SAID = {
    "prompt": "login",
    "login_hint": 'a">',
    "acr_values": "b",
    "max_age": "5",
    "ui_locales": "de",
    "returnUrl": "/x",
}


@pytest.mark.parametrize(
    ("endpoint", "query", "said"),
    [
        ("login", LOGIN, SAID),
        ("resume", b"returnUrl=https://evil.example/", {"returnUrl": "/"}),
        ("logout", b"sid=s%22&other=1", {"sid": 's"'}),
        ("logout", b"sid=s&idp=corp", {"sid": "s", "idp": "corp"}),
        ("logout", b"", {"sid": ""}),
    ],
)
def test_a_button_says_once_more_what_was_asked_for(
    endpoint: str, query: bytes, said: dict[str, str]
) -> None:
    """And nothing that was not; the OP's own pages follow the form, whatever their hosts."""
    page = PAGES.error(NavigationRequired(endpoint, query), "id")
    assert fields(page) == said
    path = "/own/logout" if endpoint == "logout" else "/own/login"
    assert f'<form method="post" action="{path}">' in page.body.decode()
    assert links(page) == []
    assert "form-action" not in page.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    ("endpoint", "query"),
    [
        ("login", b"prompt=x"),
        ("login", b"max_age=5&max_age=6"),
        ("login", b"idp=%00"),
        ("login", b"org=%00"),
        ("resume", b"login_hint=%00"),
        ("logout", b"sid=1&sid=2"),
        ("logout", b"sid=1&idp=%00"),
        ("callback", b"state=s&code=c"),
    ],
)
def test_what_could_not_be_asked_for_again_has_no_button(endpoint: str, query: bytes) -> None:
    page = PAGES.error(NavigationRequired(endpoint, query), "id")
    assert links(page) == [HOME]
    assert b"<form" not in page.body
