"""Session administration is closed to browsers: whatever page they show, whatever name it has."""

import pytest

from bff.admin.browsers import require_no_browser, require_own_host
from bff.errors import CsrfRefused, MisdirectedHost


@pytest.mark.parametrize(
    "name", ["Origin", "origin", "Sec-Fetch-Site", "sec-fetch-site", "Sec-Fetch-Mode"]
)
def test_what_only_browsers_send_is_refused(name: str) -> None:
    """CSRF: a page of any site can have its reader's browser send requests to loopback."""
    with pytest.raises(CsrfRefused):
        require_no_browser(["Host", name, "Accept"])


def test_programs_pass() -> None:
    require_no_browser(["Host", "User-Agent", "Accept", "Accept-Encoding"])


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:9090",
        "LOCALHOST",
        "127.0.0.1:9090",
        "10.1.2.3",
        "[::1]:9090",
        "admin.internal",
        "Admin.Internal:9090",
    ],
)
def test_the_listeners_own_name_and_addresses_pass(host: str) -> None:
    require_own_host([host], "admin.internal")


@pytest.mark.parametrize(
    "values",
    [
        ["attacker.example"],
        ["attacker.example:9090"],
        ["localhost.attacker.example"],
        ["127.0.0.1.attacker.example"],
        ["localhost", "localhost"],
        [],
        [""],
        ["localhost:9090:1"],
        ["user@localhost"],
        ["localhost/"],
        ["127.1"],
        ["[::1"],
        ["localhost\n"],
    ],
)
def test_every_other_name_is_refused(values: list[str]) -> None:
    """DNS rebinding: the attacker's name leads to loopback, but is still the attacker's."""
    with pytest.raises(MisdirectedHost):
        require_own_host(values, "admin.internal")
