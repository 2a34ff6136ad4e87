"""The gateway is no open redirector (RFC 9700 section 4.11.1)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from bff.endpoints.return_url import HOME, safe_return_url

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
        "/" + "a" * 4096,
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
