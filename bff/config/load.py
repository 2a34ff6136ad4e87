"""The one way to settings: read the file, lay the environment over it, validate, or tell every
problem at once. Nothing is fetched; of the file system, only what the configuration names is read.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bff.config.environment import read_environment
from bff.config.files import read_text
from bff.config.layers import overlay
from bff.config.origins import Origins
from bff.config.problems import ConfigError, KeyPath, Problem
from bff.config.secret_files import read_secret_files
from bff.config.settings import Settings
from bff.config.toml_lines import key_lines
from bff.config.validation import validate


@dataclass(frozen=True, slots=True)
class _File:
    tables: Mapping[str, object] = field(default_factory=dict, repr=False)
    lines: Mapping[KeyPath, int] = field(default_factory=dict)
    problem: Problem | None = None


def load(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """Settings from a TOML file, if one is given, and `BFF_*` variables, which win.

    Raises:
        ConfigError: with every problem that could be found.
    """
    file = _File() if path is None else _read_file(path)
    environment = read_environment(environ)
    if file.problem is not None:
        raise ConfigError((file.problem, *environment.problems))

    directory = None if path is None else path.parent
    tables, misplaced = overlay(file.tables, environment.values)
    unreadable, unread = read_secret_files(tables, directory)
    result = validate(tables, directory)

    faults = (*misplaced, *unreadable)
    if not isinstance(result, Settings):
        # A key whose text could not be read is not missing as well.
        spoiled = unread | (environment.names.keys() - environment.values.keys())
        faults += tuple(fault for fault in result if fault.path not in spoiled)
    origins = Origins("" if path is None else str(path), file.lines, environment.names)
    problems = [*map(origins.locate, dict.fromkeys(faults)), *environment.problems]
    if problems or not isinstance(result, Settings):
        raise ConfigError(sorted(problems, key=_reading_order))
    return result


def _read_file(path: Path) -> _File:
    try:
        text = read_text(path)
        return _File(tomllib.loads(text), key_lines(text))
    except tomllib.TOMLDecodeError as error:
        return _File(problem=_syntax_problem(str(error), str(path)))
    except ValueError as error:
        return _File(problem=Problem("", str(error), source=str(path)))


def _syntax_problem(message: str, source: str) -> Problem:
    place = re.search(r" \(at (?:line ([0-9]+), column [0-9]+|end of document)\)$", message)
    reason = message[: place.start()] if place else message
    line = int(place[1]) if place and place[1] else None
    return Problem("", f"is not valid TOML: {reason[:1].lower()}{reason[1:]}", line, source)


def _reading_order(problem: Problem) -> tuple[bool, int, str]:
    return problem.line is None, problem.line or 0, problem.source
