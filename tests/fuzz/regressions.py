"""Cases that once showed something wrong. Each is a file in a directory named after its target: a
bytes literal as the fuzzer prints it, below comments that say what it showed."""

import ast
from pathlib import Path

DIRECTORY = Path(__file__).with_name("regressions")


def files() -> list[Path]:
    return sorted(DIRECTORY.glob("*/*.txt"))


def read(file: Path) -> tuple[str, bytes]:
    """The target's name and the case.

    Raises:
        ValueError: the file holds no bytes literal.
    """
    lines = file.read_text("utf-8").splitlines()
    value = ast.literal_eval("\n".join(line for line in lines if not line.startswith("#")))
    if not isinstance(value, bytes):
        raise ValueError(f"{file} holds no bytes")
    return file.parent.name, value
