"""Where each key was given: which line of the file, or which environment variable."""

from collections.abc import Mapping
from dataclasses import dataclass

from bff.config.problems import Fault, KeyPath, Problem, dotted
from bff.config.secret_files import SUFFIX


@dataclass(frozen=True, slots=True)
class Origins:
    """`lines` are those of the file, `variables` the names by key; the file may be absent."""

    file: str
    lines: Mapping[KeyPath, int]
    variables: Mapping[KeyPath, str]

    def locate(self, fault: Fault) -> Problem:
        """The problem at the nearest place that is known: the key, its table, the file."""
        key = dotted(self._as_written(fault.path))
        for length in range(len(fault.path), 0, -1):
            path = fault.path[:length]
            for place in (path, (*path[:-1], f"{path[-1]}{SUFFIX}")):
                if place in self.variables:
                    return Problem(key, fault.message, source=self.variables[place])
                if place in self.lines:
                    return Problem(key, fault.message, self.lines[place], self.file)
        return Problem(key, fault.message, source=self.file)

    def _as_written(self, path: KeyPath) -> KeyPath:
        """Without the index that a single value got when it was made a list of one."""
        is_single = path not in self.lines and path[:-1] in self.lines
        return path[:-1] if is_single and isinstance(path[-1], int) else path
