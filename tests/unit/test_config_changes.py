"""What a reload says of a changed configuration: keys and no values, frontends and providers by
their names wherever they stand in the file."""

import pytest

from bff.config.changes import changed_keys
from tests.parts.configuration import settings_from
from tests.unit.test_config_frontends import TOP, a_frontend

SHOP = a_frontend("shop", "https://shop.example.com", "user = { claims = ['name'] }")
CRM = a_frontend("crm", "https://crm.example.com")
BASE = TOP + SHOP + CRM
ROUTE = '[[routes]]\npath = "/more/"\nupstream = "http://127.0.0.1:9001/"\n'
CORP = TOP[TOP.index("[providers.corp]") : TOP.index("[providers.other]")]


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ("", "", []),
        ('idle_timeout = "20m"', 'idle_timeout = "1200s"', []),
        ('idle_timeout = "20m"', "", ["session.idle_timeout"]),
        ("Zk3vJ8q", "Xk3vJ8q", ["session.secrets"]),
        ("Jq3vK8n", "Xq3vK8n", ["providers.corp.client_secret"]),
        ("Wq3vK8n", "Xq3vK8n", ["providers.other.client_secret"]),
        (":9000/", ":9002/", ["routes[0].upstream"]),
        ("[[routes]]", f"{ROUTE}[[routes]]", ["routes"]),
        ("claims = ['name']", "claims = ['name', 'email']", ["frontends.shop.user.claims"]),
        (SHOP, "", ["frontends.shop (removed)"]),
        (SHOP, a_frontend("new", "https://new.example.com") + SHOP, ["frontends.new (added)"]),
        (SHOP + CRM, CRM + SHOP, ["frontends (order)"]),
        (
            "providers.other",
            "providers.more",
            ["providers.other (removed)", "providers.more (added)"],
        ),
    ],
)
def test_keys_whose_values_differ(old: str, new: str, changed: list[str]) -> None:
    assert old in BASE
    before, after = settings_from(BASE), settings_from(BASE.replace(old, new) if old else BASE)
    assert list(changed_keys(before, after)) == changed


def test_the_order_of_providers_is_a_change() -> None:
    """The first is the default."""
    moved = BASE.replace(CORP, "").replace("[session]", f"{CORP}[session]", 1)
    assert list(changed_keys(settings_from(BASE), settings_from(moved))) == ["providers (order)"]


def test_the_short_form_is_told_once() -> None:
    short = BASE.replace("[providers.corp]", "[oidc]")
    short = short.replace(TOP[TOP.index("[providers.other]") : TOP.index("[session]")], "")
    changed = short.replace('client_id = "spa"', 'client_id = "app"')
    assert changed != short
    assert list(changed_keys(settings_from(short), settings_from(changed))) == ["oidc.client_id"]
