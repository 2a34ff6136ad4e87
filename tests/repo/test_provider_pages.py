"""docs/providers: each page's configuration loads, and says what the OP was run with, if it was."""

import re
from pathlib import Path

import pytest

from bff.config import Settings
from bff.config.reference import toml_value
from bff.oidc.presets import PRESETS
from tests.interop.ops.certified import OidcProvider
from tests.interop.ops.keycloak import Keycloak
from tests.interop.ops.provider import Provider
from tests.interop.ops.toolkit import DjangoOAuthToolkit
from tests.interop.ops.zitadel import Zitadel
from tests.parts.config_files import SECRET, loaded

FOLDER = Path(__file__).parents[2] / "docs" / "providers"
INDEX = (FOLDER / "README.md").read_text()
PAGES = {page.stem: page.read_text() for page in FOLDER.glob("*.md") if page.stem != "README"}
RUN: dict[str, type[Provider]] = {
    "django-oauth-toolkit": DjangoOAuthToolkit,
    "keycloak": Keycloak,
    "oidc-provider": OidcProvider,
    "zitadel": Zitadel,
}
SECRETS = {"BFF_OIDC__CLIENT_SECRET": "given-by-the-provider", "BFF_SESSION__SECRETS": SECRET}
OTHER_TABLES = """
[server]
public_url = "https://app.example.com"
[[routes]]
path = "/api/"
upstream = "http://127.0.0.1:9000/"
"""


def configurations_on(page: str) -> list[str]:
    """The page's TOML blocks. The first is what most users of the OP want."""
    return re.findall(r"^```toml\n(.*?)^```", PAGES[page], re.MULTILINE | re.DOTALL)


def settings_of(page: str, directory: Path, number: int = 0) -> Settings:
    """What a block means, with the tables that are the same for all OPs."""
    block = configurations_on(page)[number]
    return loaded(directory, f"{block}{OTHER_TABLES}", SECRETS)


@pytest.mark.parametrize("page", sorted(PAGES))
def test_the_configuration_on_each_page_loads(page: str, tmp_path: Path) -> None:
    for number in range(len(configurations_on(page))):
        settings = settings_of(page, tmp_path, number)
        assert settings.providers["default"].issuer.startswith("https://")


def test_each_preset_has_its_page(tmp_path: Path) -> None:
    """Which is what a reader copies, and the index says what the preset sets."""
    used = {settings_of(page, tmp_path).providers["default"].preset for page in PAGES}
    assert used - {None} == set(PRESETS)
    section = INDEX.partition("## Presets")[2].partition("\n## ")[0]
    told = "".join(line for line in section.splitlines() if line.startswith("|"))
    for name, values in PRESETS.items():
        assert f"`{name}`" in section
        for key, value in values.items():
            if key != "allow_frontchannel_logout_without_iss":
                shown = toml_value(value)
                assert f"`{key} = {shown}`" in told, (name, key)


@pytest.mark.parametrize("page", sorted(PAGES))
def test_each_page_says_whether_its_op_was_run(page: str) -> None:
    first = PAGES[page].split("\n\n")[1]
    assert ("make interop" in first) == (page in RUN)
    assert first.startswith("Not run") == (page not in RUN)


@pytest.mark.parametrize("page", sorted(RUN))
def test_an_op_was_run_with_what_its_page_says(page: str, tmp_path: Path) -> None:
    """What the story adds to `[oidc]`; addresses and secrets are each installation's own."""
    op = RUN[page]
    own = f'[oidc]\nissuer = "https://op.example"\nclient_id = "x"\nscope = "{op.scope}"\n'
    ran = loaded(tmp_path, f"{own}{op.further_toml}{OTHER_TABLES}", SECRETS).oidc
    told = settings_of(page, tmp_path).oidc
    for name in ("scope", "userinfo", "authorization_params", "client_auth", "id_token_algs"):
        assert getattr(told, name) == getattr(ran, name), name


def test_the_index_lists_every_page_with_its_scope(tmp_path: Path) -> None:
    rows = dict(re.findall(r"^\| \[[^]]+\]\(([\w-]+)\.md\)[^|]*\| ([^|]+) \|", INDEX, re.MULTILINE))
    assert set(rows) == set(PAGES)
    for page, scope in rows.items():
        asks = "offline_access" in settings_of(page, tmp_path).providers["default"].scope.split()
        assert scope.startswith("with `offline_access`") == asks, page
