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
        for length in range(len(fault.path), 0, -1):
            path = fault.path[:length]
            for place in (path, (*path[:-1], f"{path[-1]}{SUFFIX}")):
                if place in self.variables:
                    source = self.variables[place]
                    return Problem(dotted(fault.path), fault.message, source=source)
                if place in self.lines:
                    line = self.lines[place]
                    return Problem(dotted(fault.path), fault.message, line, self.file)
        return Problem(dotted(fault.path), fault.message, source=self.file)
