"""One of `audit.sinks`: text in the file, a destination in the settings. A relative path starts at
the directory of the configuration file."""

import os
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer, ValidationInfo, WithJsonSchema

from bff.audit.destinations import Destination, FileDestination, parse_destination
from bff.config.values.files import in_directory


def _parse(value: object, info: ValidationInfo) -> Destination:
    if not isinstance(value, str):
        raise ValueError("must be a text such as file:/var/log/bff/audit.jsonl")
    found = parse_destination(value)
    if not isinstance(found, FileDestination):
        return found
    path = in_directory(found.path, (info.context or {}).get("directory"))
    require_writable(path)
    return FileDestination(path)


def require_writable(path: Path) -> None:
    """That a file can be appended to, or made. Raises: ValueError."""
    if path.is_dir():
        raise ValueError(f"cannot be written: {path} is a directory")
    if path.exists():
        if path.is_fifo():  # to open it would wait for its reader
            raise ValueError(f"cannot be written: {path} is a pipe")
        if not os.access(path, os.W_OK):
            raise ValueError(f"cannot be written: this user may not write {path}")
    elif not path.parent.is_dir():
        raise ValueError(f"cannot be written: there is no directory {path.parent}")
    elif not os.access(path.parent, os.W_OK | os.X_OK):
        raise ValueError(f"cannot be written: this user may not make files in {path.parent}")


AuditSink = Annotated[
    Destination,
    BeforeValidator(_parse),
    PlainSerializer(str),
    WithJsonSchema({"type": "string"}),
]
