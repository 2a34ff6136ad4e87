"""`*_file` keys: the content of the file becomes the value of the key they are named after."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_origin

from bff.config.files import in_directory, read_text
from bff.config.problems import Fault, KeyPath
from bff.config.section import Section, section_of
from bff.config.settings import Settings

SUFFIX = "_file"


def secret_keys(model: type[Section]) -> Iterator[str]:
    """The keys of a section that may also come from a file."""
    for name in model.model_fields:
        if name + SUFFIX in model.model_fields:
            yield name


def read_secret_files(
    tables: dict[str, Any], directory: Path | None
) -> tuple[tuple[Fault, ...], frozenset[KeyPath]]:
    """Put the contents into the tables. Also returns the keys whose file could not be read."""
    faults: list[Fault] = []
    unread: set[KeyPath] = set()
    for section_name, known in Settings.model_fields.items():
        model, table = section_of(known.annotation), tables.get(section_name)
        if model is None or not isinstance(table, dict):
            continue
        for key in secret_keys(model):
            if table.get(key + SUFFIX) is None:
                continue
            try:
                _fill(model, table, key, directory)
            except ValueError as error:
                unread.add((section_name, key))
                faults.append(Fault((section_name, key + SUFFIX), str(error)))
    return tuple(faults), frozenset(unread)


def _fill(model: type[Section], table: dict[str, Any], key: str, directory: Path | None) -> None:
    if key in table:
        raise ValueError(f"must not be given together with {key}")
    text = read_text(in_directory(table[key + SUFFIX], directory))
    is_list = get_origin(model.model_fields[key].annotation) is tuple
    table[key] = [line for line in text.splitlines() if line] if is_list else text.rstrip("\r\n")
