"""What several commands share: `--config`, and how a configuration that cannot be used is told."""

import functools
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

import click

from bff.config import ConfigError, Settings
from bff.config.load import NOTHING, Loaded, load_with_origins
from bff.config.problems import KeyPath
from bff.exit_codes import CONFIG_UNUSABLE

DEFAULT_FILE = Path("bff.toml")

P = ParamSpec("P")
R = TypeVar("R")

config_file_option = click.option(
    "--config",
    "file",
    type=click.Path(path_type=Path),
    envvar="BFF_CONFIG",
    show_envvar=True,
    help="The TOML file; by default bff.toml, if it exists.",
)


def config_option(command: Callable[Concatenate[Settings, P], R]) -> Callable[..., R]:
    """Give a command `--config`, and the settings as its first argument."""

    @config_file_option
    @functools.wraps(command)
    def with_settings(file: Path | None, *args: P.args, **kwargs: P.kwargs) -> R:
        return command(settings_or_exit(existing_file(file)), *args, **kwargs)

    return with_settings


def existing_file(file: Path | None) -> Path | None:
    """The file that is named, or the default one where it exists."""
    return DEFAULT_FILE if file is None and DEFAULT_FILE.exists() else file


def settings_or_exit(
    file: Path | None, instead: Mapping[KeyPath, object | None] = NOTHING
) -> Settings:
    """The settings; or every problem on standard error, and the end with exit code 2."""
    return loaded_or_exit(file, instead).settings


def loaded_or_exit(file: Path | None, instead: Mapping[KeyPath, object | None] = NOTHING) -> Loaded:
    """As `settings_or_exit`, with what the settings were made of."""
    try:
        return load_with_origins(file, os.environ, instead=instead)
    except ConfigError as error:
        for problem in error.problems:
            click.echo(problem, err=True)
        count = len(error.problems)
        hint = "" if file else "; there is no bff.toml here, name a file with --config"
        click.echo(f"bff: {count} problem{'s'[: count > 1]} in the configuration{hint}", err=True)
        sys.exit(CONFIG_UNUSABLE)
