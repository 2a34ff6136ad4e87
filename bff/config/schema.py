"""The JSON Schema of the file, for editors: draft 7, without references, every key described.

It says less than `load` does. No key but those of a route is required, because any may come from
the environment.
"""

from collections.abc import Mapping
from typing import Any

from bff.config.settings import Settings

DRAFT = "http://json-schema.org/draft-07/schema#"


def file_schema() -> dict[str, Any]:
    """The schema of a whole file."""
    generated = Settings.model_json_schema()
    definitions = generated.pop("$defs")
    schema: dict[str, Any] = _plain(generated, definitions)
    for table in schema["properties"].values():
        table.pop("required", None)
        if table["type"] == "object":
            table.pop("default", None)
    del schema["required"], schema["description"]
    return {"$schema": DRAFT, "title": "Configuration of the BFF gateway", **schema}


def _plain(node: Any, definitions: Mapping[str, Any]) -> Any:
    """The same schema with references replaced by what they mean, and `null`, which TOML does not
    have, left out."""
    if isinstance(node, list):
        return [_plain(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    node = {key: value for key, value in node.items() if (key, value) != ("default", None)}
    if "$ref" in node:
        node = definitions[node.pop("$ref").rpartition("/")[2]] | node
    if {"type": "null"} in node.get("anyOf", ()):
        [known] = (option for option in node.pop("anyOf") if option != {"type": "null"})
        node = known | node
    if isinstance(node.get("title"), str):
        del node["title"]  # made from the key's name: it says nothing new
    return {key: _plain(value, definitions) for key, value in node.items()}
