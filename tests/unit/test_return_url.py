"""The gateway is no open redirector (RFC 9700 section 4.11.1)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from bff.endpoints.return_url import HOME, MAX_LENGTH, ReturnRules, safe_return_url, with_error

ORIGIN = "https://app.example"


def safe(offered: str | None) -> str:
    return safe_return_url(offered, public_origin=ORIGIN, own_prefix="/bff")


@pytest.mark.parametrize(
    "offered",
    [
        "/items",
        "/items/7?tab=a%20b&x=/y",
        "/items#top",
        "/items?x#a/b?c",
        "/%C3%A4",
        "/bffx",
        "/@evil",
        "/".ljust(MAX_LENGTH, "a"),
    ],
)
def test_paths_of_the_application_are_kept(offered: str) -> None:
    assert safe(offered) == offered


@pytest.mark.parametrize(
    "offered",
    [
        "/heroes;id=15",
        "/files/a%2Fb",
        "/x/50%25",
        "/a/%7Euser",
        "//x",
        "///x",
        "/users/john.doe;v=1",
    ],
)
def test_paths_with_a_second_reading_are_said_in_full(offered: str) -> None:
    assert safe(offered) == safe(ORIGIN + offered) == ORIGIN + offered


def test_our_own_origin_counts_as_its_path() -> None:
    assert safe(f"{ORIGIN}/items?x=1#y") == "/items?x=1#y"


@pytest.mark.rule("AZ-12")
@pytest.mark.parametrize(
    "offered",
    [
        None,
        "",
        "/\\evil",
        "\\/evil",
        "\\\\evil",
        "/\\/evil",
        "https:evil",
        "https:/evil",
        "https://evil",
        "https://app.example.evil/",
        "https://app.example@evil/",
        "https://app.example:444/",
        "http://app.example/",
        "HTTPS://evil",
        "/..//evil",
        "/./evil",
        "/../evil",
        "/x/..//evil",
        "\t//evil",
        "/\t/evil",
        "/\n/evil",
        "/%09/evil",
        "/%0d%0aSet-Cookie:x=y",
        "/x\r\nSet-Cookie: x=y",
        " /items",
        "/items ",
        "javascript:alert(1)",
        "data:text/html,x",
        "items",
        "?x",
        "#x",
        "/\u2028evil",
        "/ä",
        "/\uff0fevil",
        "https://app。example/",
        "/bff/logout",
        "/bff",
        "/bff/login?returnUrl=/x",
        "/x#a\nb",
        "/" + "a" * MAX_LENGTH,
    ],
)
def test_everything_else_goes_home(offered: str | None) -> None:
    assert safe(offered) == HOME


@pytest.mark.rule("AZ-12")
@given(st.text(alphabet="/\\.@:%25fe#?evil\t ;", max_size=24))
def test_no_text_leads_to_another_origin(offered: str) -> None:
    found = safe(offered)
    assert found.startswith(("/", f"{ORIGIN}/"))
    assert not found.startswith("//")
    assert URL(ORIGIN).join(URL(found)).origin() == URL(ORIGIN)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("/x", "/x?bff_error=code"),
        ("/x?", "/x?bff_error=code"),
        ("/x?a=1&b", "/x?a=1&b&bff_error=code"),
        ("/x?a=1&&b=2#top?c", "/x?a=1&b=2&bff_error=code#top?c"),
        ("/x?bff_error=old&a=1", "/x?a=1&bff_error=code"),
        ("/x#", "/x?bff_error=code#"),
    ],
)
def test_the_application_is_told_by_one_parameter_of_its_query(before: str, after: str) -> None:
    assert with_error(before, "code") == after


@pytest.mark.parametrize(
    ("parameters", "found"),
    [
        ({"returnUrl": "/a", "return_to": "/b"}, "/a"),
        ({"return_to": "/b"}, "/b"),
        ({"return_to": "/own/logout"}, HOME),
        ({}, HOME),
    ],
)
def test_it_goes_by_two_names(parameters: dict[str, str], found: str) -> None:
    assert ReturnRules(ORIGIN, "/own").offered_in(parameters) == found


@pytest.mark.rule("AZ-12")
@pytest.mark.parametrize(
    ("offered", "found"),
    [
        ("/shop/bye", "/shop/bye"),
        ("/shop/bye/", "/shop/bye/"),
        (f"{ORIGIN}/shop/bye?x#y", "/shop/bye?x#y"),
        ("/shop/bye/now", "/shop/bye/now"),
        ("/shop/byes", "/left"),
        ("/shop/", "/left"),
        ("/bye", "/left"),
        ("/shop/bye/../cart", "/left"),
        ("/shop/bye/crm/x", "/left"),
        (None, "/left"),
    ],
)
def test_only_some_pages_may_be_named(offered: str | None, found: str) -> None:
    """With what lies below them, below the application's path; in no other one's."""
    rules = ReturnRules(ORIGIN, "/shop/bff", "/shop", ("/shop/bye/crm",), ("/bye", "/account/"))
    assert rules.safe(offered, "/left") == found
