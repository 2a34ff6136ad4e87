"""[tenants]: what becomes of the files of a directory, and what is refused with its place."""

import os
import pickle
import re
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import FrameType

import pytest

from bff.config import ConfigError
from bff.config.changes import changed_keys
from bff.config.effective import effective_values
from bff.config.frontends import Frontend, frontends_of
from bff.config.load import Loaded, load_with_origins
from bff.config.sections.providers import ProviderSettings
from tests.parts.certificates import self_signed

TOP = """\
[providers.corp]
issuer = "https://id.example.com"
client_id = "spa"
client_secret = "Jq3vK8nT5xY1cW7zB2mL9rD4"
[session]
secrets = ["Zk3vJ8qT5nY1cW7xB2mL9rD4sF6hG0pA"]
[user]
claims = ["name"]
[[routes]]
path = "/api/"
upstream = "http://127.0.0.1:9000/"
[[frontends]]
name = "shop"
public_url = "https://shop.example.com"
[tenants]
directory = "tenants.d"
hosts = "{tenant}.app.example.com"
"""
OWN_OP = """\
issuer = "https://id.example.com/realms/{tenant}"
client_id = "gateway-{tenant}"
client_secret_file = "secrets/{tenant}"
[[tenants.routes]]
path = "/api/"
upstream = "http://{tenant}.apis.internal:9000/"
"""
Files = Mapping[str, str]


def loaded(
    directory: Path, files: Files, top: str = TOP, environ: Mapping[str, str] | None = None
) -> Loaded:
    folder = directory / "tenants.d"
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    (directory / "bff.toml").write_text(top)
    return load_with_origins(directory / "bff.toml", environ or {})


def frontends(
    directory: Path, files: Files, top: str = TOP, environ: Mapping[str, str] | None = None
) -> dict[str, Frontend]:
    found = frontends_of(loaded(directory, files, top, environ).settings)
    return {one.name: one for one in found}


def problems(directory: Path, files: Files, top: str = TOP) -> list[str]:
    """As an operator sees them; of the paths only what begins in the directory."""
    with pytest.raises(ConfigError) as raised:
        loaded(directory, files, top)
    return [str(one).replace(f"{directory}/", "") for one in raised.value.problems]


def secret_of(provider: ProviderSettings) -> str | None:
    secret = provider.client_secret
    return None if secret is None else secret.get_secret_value()


def with_secrets(directory: Path, *labels: str) -> None:
    (directory / "secrets").mkdir()
    for label in labels:
        (directory / "secrets" / label).write_text(f"Jq3vK8nT5xY1cW7zB2mL-{label}\n")


def test_an_empty_file_makes_a_frontend_as_the_top_level_says(tmp_path: Path) -> None:
    """And a login there is for the providers that are for all."""
    found = frontends(tmp_path, {"acme.toml": "", "3m.toml": ""})
    assert [*found] == ["shop", "3m", "acme"]
    acme = found["acme"]
    assert acme.url == "https://acme.app.example.com"
    assert acme.settings.user.claims == ("name",)
    assert [route.path for route in acme.settings.routes] == ["/api/"]
    assert [*acme.settings.providers] == ["corp"]


def test_the_label_stands_for_the_placeholder(tmp_path: Path) -> None:
    """In addresses, the client and names of files; two tenants have two clients, each its own
    frontend's only."""
    with_secrets(tmp_path, "acme", "globex")
    found = frontends(tmp_path, {"acme.toml": "", "globex.toml": ""}, TOP + OWN_OP)
    for label in ("acme", "globex"):
        settings = found[label].settings
        [(name, provider)] = settings.providers.items()
        assert (name, provider.issuer) == (label, f"https://id.example.com/realms/{label}")
        assert provider.client_id == f"gateway-{label}"
        assert secret_of(provider) == f"Jq3vK8nT5xY1cW7zB2mL-{label}"
        assert [one.authority for one in settings.routes[0].upstream] == [
            f"{label}.apis.internal:9000"
        ]
        assert found[label].redirect_uri_of(label) == (
            f"https://{label}.app.example.com/bff/callback/{label}"
        )
    assert [*found["shop"].settings.providers] == ["corp"], "no other tenant has this tenant's OP"


def test_a_file_says_what_is_different(tmp_path: Path) -> None:
    """Key by key; a secret of its own replaces the file that is inherited."""
    with_secrets(tmp_path, "acme")
    files = {
        "acme.toml": 'name = "acme-corp"\nproviders = ["corp"]\nhosts = ["{tenant}.example.net"]\n',
        "globex.toml": 'public_url = "https://portal.globex.example"\n'
        'client_secret = "Kq3vK8nT5xY1cW7zB2mL9rD4"\non_demand = false\n'
        '[user]\nclaims = ["email"]\n[session]\nidle_timeout = "5m"\n',
    }
    found = frontends(tmp_path, files, TOP + OWN_OP)
    acme, globex = found["acme-corp"], found["globex"]
    assert acme.url == "https://acme.app.example.com"
    assert acme.settings.server.additional_hosts == ("acme.example.net",)
    assert [*acme.settings.providers] == ["acme-corp", "corp"], "the own one is the default"
    assert globex.url == "https://portal.globex.example"
    assert globex.settings.user.claims == ("email",)
    assert globex.settings.session.idle_timeout == 300
    provider = globex.settings.providers["globex"]
    assert secret_of(provider) == "Kq3vK8nT5xY1cW7zB2mL9rD4"
    assert (acme.settings.providers["acme-corp"].on_demand, provider.on_demand) == (True, False)
    assert acme.settings.providers["corp"].on_demand is False


def test_tenants_below_paths(tmp_path: Path) -> None:
    top = TOP.replace('hosts = "{tenant}', 'public_url = "https://apps.example.com/{tenant}"#')
    found = frontends(tmp_path, {"acme.toml": "", "globex.toml": ""}, top)
    assert found["acme"].url == "https://apps.example.com/acme"
    assert found["acme"].session_cookie != found["globex"].session_cookie


def test_what_is_no_file_of_a_tenant_is_passed_over(tmp_path: Path) -> None:
    files = {"acme.toml": "", ".acme.toml.swp": "x", "README": "x", "acme.toml~": "x"}
    assert [*frontends(tmp_path, files)] == ["shop", "acme"]


def test_tenants_by_variables_and_through_links(tmp_path: Path) -> None:
    """A mounted ConfigMap has links; what all inherit may be a variable."""
    top, _, _ = TOP.partition("[tenants]")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "linked.toml").symlink_to(tmp_path / "real.toml")
    (tmp_path / "real.toml").write_text('[user]\nclaims = ["email"]\n')
    found = frontends(
        tmp_path,
        {},
        top,
        {
            "BFF_TENANTS__DIRECTORY": f"{tmp_path}/elsewhere",
            "BFF_TENANTS__PUBLIC_URL": "https://{tenant}.example.org",
        },
    )
    assert found["linked"].url == "https://linked.example.org"
    assert found["linked"].settings.user.claims == ("email",)


def test_the_examples_of_the_document_load(tmp_path: Path) -> None:
    """docs/many-apps.md: two tables, and a tenant's file between them, which fits both."""
    text = (Path(__file__).parents[2] / "docs" / "many-apps.md").read_text()
    _, least, own, templates = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    secrets = tmp_path / "run"
    (secrets / "tenants").mkdir(parents=True)
    for name in ("globex", "tenants/acme"):
        (secrets / name).write_text(f"given-by-the-provider-of-{name}\n")
    top, _, _ = TOP.partition("[tenants]")
    for number, table in enumerate((least, templates)):
        place = tmp_path / str(number)
        place.mkdir()
        files = {"acme.toml": "", "globex.toml": own.replace("/run/secrets", str(secrets))}
        found = frontends(place, files, top + table.replace("/run/secrets", str(secrets)))
        assert found["acme"].url == "https://acme.app.example.com"
        assert found["globex"].url == "https://portal.globex.example"
        assert [*found["globex"].settings.providers] == ["globex"]


def test_settings_with_tenants_reach_a_worker(tmp_path: Path) -> None:
    settings = loaded(tmp_path, {"acme.toml": ""}).settings
    assert pickle.loads(pickle.dumps(settings)) == settings  # noqa: S301 - our own


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("nam = 1", "1: nam: unknown key, did you mean"),
        ("\ntenants = {}", "2: tenants: unknown key"),
        ('x = "y"', "1: x: unknown key"),
        ("[user]\nclaim = 1", '2: user.claim: unknown key, did you mean "claims"?'),
        ('\nissuer = "https://{host}.example"', "2: issuer: must hold no braces but those of"),
        ('public_url = "https://{tenant.example"', "1: public_url: must hold no braces"),
        ('client_id = "{Tenant}"', "1: client_id: must hold no braces"),
        ('scope = "openid {tenant}"', "1: scope: must not hold {tenant}"),
        ('client_secret = "{tenant}-Jq3vK8nT5xY1cW7zB2mL"', "1: client_secret: must not hold"),
        ('name = "{tenant}"', "1: name: must be lower-case letters"),
        ('[authorization_params]\nissuer = "{tenant}"', "2: authorization_params.issuer: must not"),
        ('[[routes]]\npath = "/{tenant}/"', "2: routes[0].path: must not hold {tenant}"),
        ('[[routes]]\npath = "/a/"\nupstream = "ftp://x"', "3: routes[0].upstream: "),
        ('[spa]\nroot = "sites/{tenant}"', "2: spa.root: is not a directory"),
        ('public_url = "https://shop.example.com"', "1: public_url: has the host and path of"),
        ('name = "shop"', "1: name: another frontend has this name already"),
        ('name = "Acme"', "1: name: must be lower-case"),
        ("name = 5", "1: name: must be a string"),
        ('providers = ["crop"]', '1: providers[0]: is no provider, did you mean "corp"?'),
        ("hosts = [", " is not valid TOML"),
        ("a = 1\nb\nc = 2", "2: is not valid TOML"),
        (f"a = {'[' * 5000}{']' * 5000}", " has tables or arrays in each other"),
        ('[session]\nstore = "memory://"', "2: session.store: unknown key"),
        ('[session]\nidle_timeout = "2d"', "2: session.idle_timeout: must"),
    ],
)
def test_a_problem_of_a_tenant_has_its_file_and_line(
    tmp_path: Path, text: str, problem: str
) -> None:
    """And is the only thing that is said."""
    said = problems(tmp_path, {"acme.toml": text, "globex.toml": ""})
    about = [one for one in said if "is required" not in one]
    assert [one for one in about if one.startswith("tenants.d/acme.toml:")] == about
    assert len(about) == 1, said
    assert problem in about[0].removeprefix("tenants.d/acme.toml:")


def test_an_own_provider_lacks_what_neither_file_says(tmp_path: Path) -> None:
    client, secret = problems(tmp_path, {"acme.toml": 'issuer = "https://id.acme.example"'})
    assert client == "tenants.d/acme.toml: client_id: is required"
    assert secret == (
        "tenants.d/acme.toml: client_secret: is required for client_auth = "
        '"client_secret_basic"; it may also be set as client_secret_file'
    )


@pytest.mark.parametrize(
    "name",
    ["Acme.toml", "acme_1.toml", "-a.toml", "a-.toml", "a.b.toml", "..a.toml.toml", "é.toml"],
)
def test_a_file_is_called_as_a_label(tmp_path: Path, name: str) -> None:
    if name.startswith("."):
        assert problems(tmp_path, {name: ""})[0].endswith("has no file of a tenant (NAME.toml)")
        return
    [said] = problems(tmp_path, {name: "", "good.toml": ""})
    assert said.startswith(f"tenants.d/{name}: must be called as a label of the DNS is")


def test_labels_that_are_no_names_need_one(tmp_path: Path) -> None:
    """`xn--` labels and long ones are hosts, but can't stand in a metric or a redirect URI."""
    label = "xn--bcher-kva"
    [said] = problems(tmp_path, {f"{label}.toml": "", "a.toml": ""})
    assert said.startswith(f"tenants.d/{label}.toml: name: must be lower-case letters and digits")


def test_labels_that_are_no_names_may_have_one(tmp_path: Path) -> None:
    found = frontends(tmp_path, {"xn--bcher-kva.toml": 'name = "books"'})
    assert found["books"].url == "https://xn--bcher-kva.app.example.com"


def test_a_providers_name_begins_with_a_letter(tmp_path: Path) -> None:
    own = 'issuer = "https://a.example"\nclient_id = "a"\nclient_secret = "Kq3vK8nT5xY1cW7zB2mL"\n'
    [said] = problems(tmp_path, {"3m.toml": own})
    assert said.startswith("tenants.d/3m.toml: name: ")
    assert "a letter first" in said


def test_a_tenants_provider_takes_no_others_place(tmp_path: Path) -> None:
    own = 'issuer = "https://a.example"\nclient_id = "a"\nclient_secret = "Kq3vK8nT5xY1cW7zB2mL"\n'
    [said] = problems(tmp_path, {"corp.toml": own})
    assert said.startswith("tenants.d/corp.toml: name: another provider has this name")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("BFF_PROVIDERS__ACME__CLIENT_SECRET", "Kq3vK8nT5xY1cW7zB2mL"),
        ("BFF_PROVIDERS", '{"acme": {"client_id": "a"}}'),
    ],
)
def test_no_variable_sets_a_key_of_a_tenants_provider(
    tmp_path: Path, variable: str, value: str
) -> None:
    """The file is the tenant: there would be none without it. What is wrong is the variable."""
    own = 'issuer = "https://a.example"\nclient_id = "a"\n'
    with pytest.raises(ConfigError) as raised:
        loaded(tmp_path, {"acme.toml": own}, environ={variable: value})
    said = [str(one) for one in raised.value.problems if "no variable sets" in str(one)]
    assert len(said) == 1
    assert said[0].startswith(f"{variable}: providers.acme.cl")
    assert "tenants.d/acme.toml" in said[0]
    assert value not in said[0]


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('"tenants.d"', '"gone.d"', "bff.toml:16: tenants.directory: cannot be read: No such"),
        ('"tenants.d"', '"bff.toml"', "bff.toml:16: tenants.directory: cannot be read: Not a"),
        ('"tenants.d"', '"./"', "bff.toml:16: tenants.directory: must not be that of the config"),
        ('"tenants.d"', "5", "bff.toml:16: tenants.directory: must be the path of a file"),
        ("{tenant}.app", "app", "bff.toml:17: tenants.hosts: must hold {tenant} once"),
        ("{tenant}.app", "{tenant}{tenant}", "bff.toml:17: tenants.hosts: must hold {tenant} once"),
        ("{tenant}.app", "{tenant}/x.app", 'bff.toml:17: tenants.hosts: must be "host"'),
        ("hosts =", "host =", 'bff.toml:17: tenants.host: unknown key, did you mean "hosts"?'),
        (
            'hosts = "{tenant}.app.example.com"',
            'public_url = "https://app.example.com"',
            "bff.toml:17: tenants.public_url: must hold {tenant}",
        ),
        ("hosts =", 'scope = "{tenant}"\nhosts =', "bff.toml:17: tenants.scope: must not hold"),
        ("hosts =", "same_site = 1\nhosts =", "bff.toml:17: tenants.same_site: unknown key"),
        (
            "hosts =",
            'session = { idle_timeout = "x" }\nhosts =',
            "bff.toml:17: tenants.session.idle_timeout: must",
        ),
    ],
)
def test_a_problem_of_the_table_is_said_once(
    tmp_path: Path, old: str, new: str, problem: str
) -> None:
    """However many tenants there are."""
    head, tenants, rest = TOP.partition("[tenants]")
    assert old in rest
    files = {f"t{number}.toml": "" for number in range(3)}
    said = problems(tmp_path, files, head + tenants + rest.replace(old, new, 1))
    about = [one for one in said if "is required" not in one]
    assert len(about) == 1, said
    assert about[0].startswith(problem)


def test_an_empty_directory_is_a_problem(tmp_path: Path) -> None:
    """It is more likely a mount that has not come than a gateway without tenants."""
    [said] = problems(tmp_path, {})
    assert said == "bff.toml:16: tenants.directory: has no file of a tenant (NAME.toml)"


def test_what_can_not_be_read_is_a_problem(tmp_path: Path) -> None:
    """And reading it ends: a pipe is none."""
    folder = tmp_path / "tenants.d"
    folder.mkdir()
    os.mkfifo(folder / "pipe.toml")
    (folder / "folder.toml").mkdir()
    (folder / "dangling.toml").symlink_to("gone")
    (folder / "large.toml").write_text("#" * 70_000)
    (folder / "latin.toml").write_bytes(b"# \xe9")
    (tmp_path / "bff.toml").write_text(TOP)
    with pytest.raises(ConfigError) as raised:
        load_with_origins(tmp_path / "bff.toml", {})
    said = [str(one).replace(f"{folder}/", "") for one in raised.value.problems]
    assert said == [
        "dangling.toml: cannot be read: No such file or directory",
        "folder.toml: is no file",
        "large.toml: is too large",
        "latin.toml: is not UTF-8 text",
        "pipe.toml: is no file",
    ]


def test_one_client_for_all_is_a_provider_for_all(tmp_path: Path) -> None:
    """A provider of each tenant that is the same client could not be told apart."""
    own = 'issuer = "https://a.example"\nclient_id = "a"\nclient_secret = "Kq3vK8nT5xY1cW7zB2mL"\n'
    files = {f"t{number}.toml": "" for number in range(3)}
    [said] = problems(tmp_path, files, TOP + own)
    assert said == (
        "bff.toml:19: tenants.client_id: another provider is this client of this issuer"
    )


def test_a_frontend_without_providers_has_no_tenants(tmp_path: Path) -> None:
    """Where there are no others, it has none at all."""
    _, _, rest = TOP.partition("[session]")
    with_secrets(tmp_path, "acme")
    [said] = problems(tmp_path, {"acme.toml": ""}, f"[session]{rest}{OWN_OP}")
    assert said.startswith("bff.toml:8: frontends[0]: has no provider: all there are belong to")


def test_every_value_has_its_origin(tmp_path: Path) -> None:
    with_secrets(tmp_path, "acme")
    read = loaded(tmp_path, {"acme.toml": '\nlabel = "Acme"\n'}, TOP + OWN_OP)
    origins = {
        one.path: [str(origin).replace(f"{tmp_path}/", "") for origin in one.origins]
        for one in effective_values(read)
    }
    assert origins["frontends", 1, "name"] == ["tenants.d/acme.toml"]
    assert origins["frontends", 1, "public_url"] == ["bff.toml:17"]
    assert origins["frontends", 1, "routes", 0, "upstream"] == ["bff.toml:23"]
    assert origins["providers", "acme", "label"] == ["tenants.d/acme.toml:2"]
    assert origins["providers", "acme", "issuer"] == ["bff.toml:18"]
    assert origins["providers", "acme", "client_secret"] == [
        "secret file secrets/acme",
        "bff.toml:20",
    ]
    assert origins["tenants", "directory"] == ["bff.toml:16"]
    assert origins["frontends", 0, "providers"] == ["derived"]
    shown = {one.path: one.value for one in effective_values(read)}
    assert shown["providers", "acme", "client_secret"] == "(hidden)"


def test_authorities_that_all_tenants_trust_are_read_once(tmp_path: Path) -> None:
    """Those of a system take 50 milliseconds, and a thousand tenants may name them."""
    with_secrets(tmp_path, "a", "b", "c")
    authorities, _ = self_signed(tmp_path, "localhost")
    files = {"a.toml": "", "b.toml": "", "c.toml": ""}
    top = TOP + OWN_OP.replace(
        "[[tenants.routes]]", f'ca_file = "{authorities}"\n[[tenants.routes]]'
    )
    top += f'ca_file = "{authorities}"\n'
    calls: Counter[str] = Counter()

    def note(_: FrameType, event: str, function: object) -> None:
        if event == "c_call":
            calls[getattr(function, "__name__", "")] += 1

    sys.setprofile(note)
    try:
        settings = loaded(tmp_path, files, top).settings
    finally:
        sys.setprofile(None)
    assert calls["load_verify_locations"] == 1
    assert {settings.providers[label].ca_file for label in "abc"} == {authorities}
    (tmp_path / "tenants.d" / "b.toml").write_text('ca_file = "tenants.d/b.toml"\n')
    with pytest.raises(ConfigError, match=r"tenants\.d/b\.toml:1: ca_file: holds no certificates"):
        load_with_origins(tmp_path / "bff.toml", {})


def test_a_reload_names_tenants_as_other_frontends(tmp_path: Path) -> None:
    before = loaded(tmp_path, {"acme.toml": "", "globex.toml": ""}).settings
    (tmp_path / "tenants.d" / "acme.toml").unlink()
    (tmp_path / "tenants.d" / "globex.toml").write_text('[user]\nclaims = ["email"]\n')
    (tmp_path / "tenants.d" / "initech.toml").write_text("")
    after = load_with_origins(tmp_path / "bff.toml", {}).settings
    assert changed_keys(before, after) == (
        "frontends.acme (removed)",
        "frontends.globex.user.claims",
        "frontends.initech (added)",
    )
