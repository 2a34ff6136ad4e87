"""`docs/configuration.md`, written from the schema: a short head, each key, a whole example."""

from collections.abc import Iterator, Mapping
from typing import Any

from bff.config.environment import variable_of
from bff.config.example import example_file, toml_value
from bff.config.problems import KeyPath
from bff.config.schema import file_schema
from bff.config.secret_files import SUFFIX
from bff.config.tables import is_required, keys_at

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
Everything is checked at start: a problem with any key stops the gateway, and all problems are told
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
  in `BFF_ROUTES`. A `BFF_` variable that names no key is a problem, as an unknown key is in the
  file; only those that Kubernetes sets for a Service called `bff` are passed over.
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


def reference() -> str:
    """The whole document."""
    sections = "\n".join(_section(name, table) for name, table in _tables().items())
    return f"{HEAD}\n{sections}\n## A file with every key\n\n```toml\n{example_file()}```\n"


def _tables() -> Mapping[str, Any]:
    tables: Mapping[str, Any] = file_schema()["properties"]
    return tables


def _section(name: str, table: Mapping[str, Any]) -> str:
    is_array = table["type"] == "array"
    known = table["items"] if is_array else table
    path: KeyPath = (name, 0) if is_array else (name,)
    title = f"`[[{name}]]`" if is_array else f"`[{name}]`"
    rows = "\n".join(_rows(path, known["properties"]))
    return f"""\
## {title}

{table["description"]}

| key | type | default | meaning |
|---|---|---|---|
{rows}
"""


def _rows(path: KeyPath, properties: Mapping[str, Any]) -> Iterator[str]:
    for key, schema in properties.items():
        cells = (
            f"`{key}`<br>`{variable_of((*path, key))}`",
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
        return "none"
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
        plural = "" if "enum" in schema["items"] else "s"
        return f"list of {kind_of(schema['items'])}{plural}"
    if schema["type"] == "object":
        return "table of strings"
    if schema["type"] == "integer":
        return f"integer, {schema['minimum']} to {schema['maximum']}"
    return "switch" if schema["type"] == "boolean" else str(schema["type"])
