"""One TOML file and `BFF_*` variables, turned into frozen settings or a list of every problem.

Nothing below this package imports it: each component takes its own settings as arguments.
"""

from bff.config.load import load
from bff.config.problems import ConfigError, Problem
from bff.config.settings import Settings

__all__ = ["ConfigError", "Problem", "Settings", "load"]
