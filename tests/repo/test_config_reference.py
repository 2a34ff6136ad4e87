"""The documents made from the settings: JSON Schema, reference and examples are whole and true."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bff.config import load
from bff.config.reference import MINIMAL, example_file, file_schema, reference
from bff.config.sections import Section, section_of
from bff.config.sections.tenants import TenantKeys
from bff.config.settings import Settings
from bff.config.sources.environment import read_environment
from tests.parts.config_files import SECRET, problems, write

SCHEMA = file_schema()
REFERENCE = reference()
DOCUMENT = Path(__file__).parents[2] / "docs" / "configuration.md"


def keys() -> list[tuple[str, str]]:
    """Every key there is, read from the models: not from what is tested here. Of [tenants] those
    that no other table has."""
    return [
        (name, key)
        for name, field in Settings.model_fields.items()
        if name != "providers"  # each has the keys of [oidc]
        for key in model_of(field.annotation).model_fields
        if name != "tenants" or key in TenantKeys.model_fields
    ]


def model_of(annotation: object) -> type[Section]:
    model = section_of(annotation)
    assert model is not None
    return model


def schema_of(table: str, key: str) -> dict[str, Any]:
    known = SCHEMA["properties"][table]
    schema: dict[str, Any] = known.get("items", known)["properties"][key]
    return schema


def nodes(schema: object) -> Iterator[dict[str, Any]]:
    """Every object inside a schema."""
    if isinstance(schema, dict):
        yield schema
        for value in schema.values():
            yield from nodes(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from nodes(value)


def test_a_provider_has_the_keys_of_the_only_one() -> None:
    """Described once, under [oidc]."""
    tables = SCHEMA["properties"]
    assert tables["providers"]["additionalProperties"]["properties"] == tables["oidc"]["properties"]
    assert "## `[providers.NAME]`" in REFERENCE
    assert read_environment({"BFF_PROVIDERS__CORP__ISSUER": "x"}).names


def test_tenants_have_the_keys_of_frontends_and_providers() -> None:
    """Described once, where those are; each with a variable."""
    tables = SCHEMA["properties"]
    frontend, provider = tables["frontends"]["items"]["properties"], tables["oidc"]["properties"]
    inherited = (frontend | provider).keys() - {"name"}
    assert tables["tenants"]["properties"].keys() == inherited | {"directory", "hosts"}
    for key in inherited - {"session", "user", "csrf", "spa"}:
        assert read_environment({f"BFF_TENANTS__{key.upper()}": "x"}).names, key


def test_the_reference_is_current() -> None:
    """After a change: `bff schema --markdown > docs/configuration.md`."""
    assert DOCUMENT.read_text() == REFERENCE, "docs/configuration.md is not what the code says"


@pytest.mark.parametrize(("table", "key"), keys())
def test_each_key_is_described_for_people_and_editors(table: str, key: str) -> None:
    """In the schema with a sentence, in the reference with the variable that sets it."""
    description = schema_of(table, key)["description"]
    assert description.endswith(".")
    index = "__0" if table in ("routes", "frontends") else ""
    variable = f"BFF_{table.upper()}{index}__{key.upper()}"
    if "properties" in schema_of(table, key):
        assert f"| `{key}`<br>`{variable}__...` |" in REFERENCE
        return
    assert f"| `{key}`<br>`{variable}` |" in REFERENCE
    assert read_environment({variable: "x"}).names, "the documented variable names no key"


@pytest.mark.parametrize(("table", "key"), keys())
def test_each_default_in_the_schema_is_the_real_one(tmp_path: Path, table: str, key: str) -> None:
    """Writing a default into the file changes nothing."""
    schema = schema_of(table, key)
    if "default" not in schema:
        return
    if "pattern" in schema:
        assert re.search(schema["pattern"], schema["default"])
    field = model_of(Settings.model_fields[table].annotation).model_fields[key]
    default = field.get_default()
    shown = getattr(default, "value", default)
    assert schema["default"] == (list(shown) if isinstance(shown, tuple) else shown)


def test_the_schema_is_plain_enough_for_every_editor() -> None:
    """Draft 7 without references or nulls, closed to unknown keys; nothing asks for a key that
    may come from the environment."""
    assert SCHEMA["$schema"] == "http://json-schema.org/draft-07/schema#"
    for node in nodes(SCHEMA):
        assert "$ref" not in node
        assert "$defs" not in node
        assert node.get("type") != "null"
    required = {"routes": ["path", "upstream"], "frontends": ["name", "public_url"]}
    for name, table in SCHEMA["properties"].items():
        inner = table["additionalProperties"] if name == "providers" else table.get("items", table)
        assert inner["additionalProperties"] is False
        assert inner.get("required", []) == required.get(name, [])


def test_the_schema_knows_every_key() -> None:
    """And no other."""
    known = {
        (table, key)
        for table, schema in SCHEMA["properties"].items()
        for key in schema.get("items", schema).get("properties", ())
        if table != "tenants" or key in TenantKeys.model_fields
    }
    assert known == set(keys())


def in_a_place(text: str, directory: Path) -> Path:
    """The file with the secrets and the app that it names."""
    (directory / "client_secret").write_text("given-by-the-provider\n")
    (directory / "session_secrets").write_text(f"{SECRET}\n")
    (directory / "redis_url").write_text("redis://127.0.0.1\n")
    (directory / "dist").mkdir()
    (directory / "dist" / "index.html").touch()
    return write(directory, text.replace("/run/secrets/", f"{directory}/"))


@pytest.mark.parametrize("text", [MINIMAL, example_file()], ids=["minimal", "every key"])
def test_the_examples_load(tmp_path: Path, text: str) -> None:
    """Both stand in the reference, ready to be copied."""
    assert f"```toml\n{text}```" in DOCUMENT.read_text()
    assert load(in_a_place(text, tmp_path), {}).routes[0].path == "/api/"


def test_the_long_example_has_every_key() -> None:
    """With the comment signs of its keys taken away it is TOML still."""
    tables = tomllib.loads(re.sub(r"^#(?=\w+ = )", "", example_file(), flags=re.MULTILINE))
    tables["routes"] = tables["routes"][0]
    shown = {(table, key) for table in tables for key in tables[table]}
    assert shown == {one for one in keys() if one[0] not in ("frontends", "tenants")}


NOT_ALONE = {
    "client_secret",  # with its file, given above
    "secrets",
    "ca_file",  # a file that is not there
    "client_keys",  # files that are not there
    "client_cert_file",  # with its key
    "client_key_file",
    "issuer_tenants",  # with an issuer that is a template
    "webhook_token",  # with a webhook among the sinks
    "profile",  # with keys
    "authorization_details",  # of a route with token = "client"
}


@pytest.mark.parametrize("key", sorted({key for _, key in keys()} - NOT_ALONE))
def test_each_line_of_the_long_example_can_be_switched_on(tmp_path: Path, key: str) -> None:
    """One at a time, wherever the key occurs."""
    text = re.sub(rf"^#(?={key} = )", "", example_file(), flags=re.MULTILINE)
    path = in_a_place(text, tmp_path)
    assert problems(tmp_path, path.read_text()) == ()
