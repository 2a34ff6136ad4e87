"""What is written from the descriptions of the keys: the JSON Schema for editors, an example of a
whole file, and `docs/configuration.md`.
"""

import json
import re
import textwrap
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

from bff.config.problems import KeyPath
from bff.config.sections.tenants import TenantKeys
from bff.config.settings import Settings, is_required, keys_at
from bff.config.sources.environment import variable_of
from bff.config.sources.layers import SUFFIX

DRAFT = "http://json-schema.org/draft-07/schema#"


def file_schema() -> dict[str, Any]:
    """The schema of a whole file."""
    generated = Settings.model_json_schema()
    definitions = generated.pop("$defs")
    schema: dict[str, Any] = _plain(generated, definitions)
    for table in schema["properties"].values():
        table.pop("required", None)
        (_each_of(table) or {}).pop("required", None)
        if table["type"] == "object":
            table.pop("default", None)
    overriding = (schema["properties"]["frontends"]["items"], schema["properties"]["tenants"])
    for key in chain.from_iterable(one["properties"].values() for one in overriding):
        if key["type"] in ("object", "array"):
            key.pop("default", None)  # it is what the top level says
    del schema["required"], schema["description"]
    return {"$schema": DRAFT, "title": "Configuration of the BFF gateway", **schema}


def _each_of(table: Mapping[str, Any]) -> dict[str, Any] | None:
    """The schema of each of several named tables; None for a table with keys of its own."""
    each = table.get("additionalProperties")
    return each if isinstance(each, dict) else None


def _plain(node: Any, definitions: Mapping[str, Any]) -> Any:
    """The same schema with references replaced by what they mean, and `null`, which TOML does not
    have, left out."""
    if isinstance(node, list):
        return [_plain(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    node = {key: value for key, value in node.items() if (key, value) != ("default", None)}
    if {"type": "null"} in node.get("anyOf", ()):
        [known] = (option for option in node.pop("anyOf") if option != {"type": "null"})
        node = known | node
    if "$ref" in node:
        node = definitions[node.pop("$ref").rpartition("/")[2]] | node
    if isinstance(node.get("title"), str):
        del node["title"]  # made from the key's name: it says nothing new
    return {key: _plain(value, definitions) for key, value in node.items()}


def example_file() -> str:
    """The text of a `bff.toml`."""
    return "\n".join(_lines(file_schema()))


def toml_value(value: object) -> str:
    """A value as TOML writes it."""
    if isinstance(value, Mapping):
        pairs = ", ".join(f"{_toml_key(key)} = {toml_value(item)}" for key, item in value.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    if isinstance(value, list):
        return f"[{', '.join(toml_value(item) for item in value)}]"
    # Strings, numbers and booleans are the same in both, but for DEL and surrogates.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _toml_key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else toml_value(key)


def shown_value(schema: Mapping[str, Any]) -> object:
    """What an example says for a key: its default, else its example, else dots."""
    if schema.get("default") not in (None, "", [], {}) or "examples" not in schema:
        dots: object = ["..."] if schema.get("type") == "array" else "..."
        return schema.get("default", dots)
    return schema["examples"][0]


def _lines(schema: Mapping[str, Any]) -> Iterator[str]:
    for name, table in schema["properties"].items():
        if _each_of(table) is not None or name in ("frontends", "tenants"):
            continue  # its keys are those of other tables, which it stands in the place of
        yield f"# {table['description']}"
        is_array = table["type"] == "array"
        yield f"[[{name}]]" if is_array else f"[{name}]"
        properties = (table["items"] if is_array else table)["properties"]
        for key, known in properties.items():
            yield from textwrap.wrap(
                known["description"], 96, initial_indent="# ", subsequent_indent="# "
            )
            mark = "" if _is_given((name,), key) else "#"
            yield f"{mark}{key} = {toml_value(shown_value(known))}"
        yield ""


def _is_given(table: KeyPath, key: str) -> bool:
    """Whether a key has no default, or is the client secret, which most clients have; of a secret
    and its file, the file is given."""
    base = key.removesuffix(SUFFIX)
    is_needed = is_required(table, base) or (*table, base) == ("oidc", "client_secret")
    return is_needed and (key != base or key + SUFFIX not in keys_at(table))


MINIMAL = """\
[server]
public_url = "https://app.example.com"

[oidc]
issuer = "https://idp.example.com/realms/acme"
client_id = "spa"
client_secret_file = "/run/secrets/client_secret"

[session]
secrets_file = "/run/secrets/session_secrets"

[[routes]]
path = "/api/"
upstream = "http://127.0.0.1:9000/v1/"

[spa]
root = "dist"
"""

HEAD = f"""\
# Configuration

<!-- Written by `bff schema --markdown` from the descriptions in bff/config. Do not edit. -->

One TOML file, `bff.toml` in the working directory unless `--config` or `BFF_CONFIG` names another.
Everything is checked at start: a problem with any key stops the gateway, and all problems are named
at once, each with its line. `bff check` does the same and then asks the OpenID provider and the
session store. For completion in an editor, `bff schema > bff.schema.json` and put
`#:schema ./bff.schema.json` on the first line (Taplo, Even Better TOML).

The least that runs:

```toml
{MINIMAL}```

## Rules for all keys

- **Environment.** Every key is also an environment variable: `BFF_`, then the path of the key in
  capitals, joined by two underscores. It wins over the file, and no file is needed at all. A list
  is written with commas (`a,b`) or as a JSON array, a table as a JSON object, a switch as `true` or
  `false`. Routes are counted from 0 (`BFF_ROUTES__0__PATH`), or given all at once as a JSON array
  in `BFF_ROUTES`, as are frontends; providers go by their names (`BFF_PROVIDERS__CORP__ISSUER`),
  or all at once as a JSON object in `BFF_PROVIDERS`. A `BFF_` variable that names no key is a
  problem, as an unknown key is in the file; only those that Kubernetes sets for a Service called
  `bff` are passed over.
- **Secrets.** `client_secret`, `secrets` and `store` can each be given as a file, by the key with
  `_file` at its end; a newline at the end of the file is not part of the secret. Only one of the
  two may be given, except that one from the environment replaces the other from the file. No
  secret is ever printed or logged.
- **Durations** are a number and a unit: `500ms`, `30s`, `15m`, `12h`, `1d`. **Sizes** are `64KiB`
  (1024 bytes each), `100MB` (a million bytes each), `1GB`.
- **Paths of files** that are relative start at the directory of the configuration file; those in
  the environment start at the working directory.
- **URLs** must be https. Plain http is for loopback only, except towards upstreams.
"""


ALL_KEYS = """\
## A file with every key

But those of `[[frontends]]` and `[tenants]`, which [one gateway for many apps](many-apps.md) shows.
"""


def reference() -> str:
    """The whole document."""
    sections = "\n".join(_section(name, table) for name, table in _tables().items())
    return f"{HEAD}\n{sections}\n{ALL_KEYS}\n```toml\n{example_file()}```\n"


def _tables() -> Mapping[str, Any]:
    tables: Mapping[str, Any] = file_schema()["properties"]
    return tables


def _section(name: str, table: Mapping[str, Any]) -> str:
    if _each_of(table) is not None:
        variable = variable_of((name, "name", "issuer"))
        return f"## `[{name}.NAME]`\n\n{table['description']} As a variable: `{variable}`.\n"
    is_array = table["type"] == "array"
    known = table["items"] if is_array else table
    path: KeyPath = (name, 0) if is_array else (name,)
    title = f"`[[{name}]]`" if is_array else f"`[{name}]`"
    properties = known["properties"]
    if name == "tenants":  # the others stand under [[frontends]] and [oidc]
        properties = {key: properties[key] for key in TenantKeys.model_fields}
    rows = "\n".join(_rows(path, properties))
    return f"""\
## {title}

{table["description"]}

| key | type | default | meaning |
|---|---|---|---|
{rows}
"""


def _rows(path: KeyPath, properties: Mapping[str, Any]) -> Iterator[str]:
    for key, schema in properties.items():
        further = "__..." if "properties" in schema else ""
        cells = (
            f"`{key}`<br>`{variable_of((*path, key))}{further}`",
            kind_of(schema),
            _default(path, key, schema),
            schema["description"],
        )
        escaped = (cell.replace("|", "\\|") for cell in cells)
        yield f"| {' | '.join(escaped)} |"


def _default(path: KeyPath, key: str, schema: Mapping[str, Any]) -> str:
    if "default" in schema:
        return f"`{toml_value(schema['default'])}`"
    if not is_required(path, key):
        return "the top level's" if path[0] == "frontends" else "none"
    in_file = f"{key}{SUFFIX}"
    return f"required, or `{in_file}`" if in_file in keys_at(path) else "required"


def kind_of(schema: Mapping[str, Any]) -> str:
    """The type of a key, in words."""
    if "anyOf" in schema:
        return " or ".join(kind_of(option) for option in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(f'`"{value}"`' for value in schema["enum"])
    if "x-between" in schema:
        low, high = schema["x-between"]
        return f"{schema['x-kind']}, {low} to {high}"
    if "x-kind" in schema:
        return str(schema["x-kind"])
    if schema["type"] == "array":
        if schema["items"]["type"] == "object":
            return "list of tables"
        plural = "" if "enum" in schema["items"] else "s"
        return f"list of {kind_of(schema['items'])}{plural}"
    if schema["type"] == "object":
        return "table" if "properties" in schema else "table of strings"
    if schema["type"] == "integer":
        return f"integer, {schema['minimum']} to {schema['maximum']}"
    return "switch" if schema["type"] == "boolean" else str(schema["type"])
