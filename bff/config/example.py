"""A whole configuration file, every key with its meaning, written from the schema. What must be
given is given; every other key is there as a comment (`#key = value`) with its default.
"""

import json
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from bff.config.problems import KeyPath
from bff.config.schema import file_schema
from bff.config.secret_files import SUFFIX
from bff.config.tables import is_required, keys_at


def example_file() -> str:
    """The text of a `bff.toml`."""
    return "\n".join(_lines(file_schema()))


def toml_value(value: object) -> str:
    """A value as TOML writes it."""
    if isinstance(value, Mapping):
        pairs = ", ".join(f"{key} = {toml_value(item)}" for key, item in value.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    if isinstance(value, list):
        return f"[{', '.join(toml_value(item) for item in value)}]"
    return json.dumps(value)  # strings, numbers and booleans are the same in both


def shown_value(schema: Mapping[str, Any]) -> object:
    """What an example says for a key: its default, else its example, else dots."""
    if schema.get("default") not in (None, "", [], {}) or "examples" not in schema:
        dots: object = ["..."] if schema.get("type") == "array" else "..."
        return schema.get("default", dots)
    return schema["examples"][0]


def _lines(schema: Mapping[str, Any]) -> Iterator[str]:
    for name, table in schema["properties"].items():
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
    """Whether a key has no default; of a secret and its file, the file is given."""
    base = key.removesuffix(SUFFIX)
    return is_required(table, base) and (key != base or key + SUFFIX not in keys_at(table))
