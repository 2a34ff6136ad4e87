"""deploy/bff.service: valid and hardened as systemd judges it, and in step with the product."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bff.config import load
from bff.config.sections.server import ServerSettings
from tests.parts.deployment import DEPLOY, ROOT, make_secrets

UNIT = DEPLOY / "bff.service"


def directives(name: str) -> list[str]:
    return re.findall(rf"^{name}=(.*)$", UNIT.read_text(), re.MULTILINE)


def seconds(text: str) -> float:
    assert text.endswith("s")
    return float(text[:-1])


def test_the_unit_is_valid_and_hardened(tmp_path: Path) -> None:
    """By systemd's own judgement: no unknown directive, and an exposure of at most 1.5 of 10."""
    unit = tmp_path / "bff.service"
    unit.write_text(UNIT.read_text().replace("/opt/bff/bin/bff", sys.executable))
    verify: list[str | Path] = ["systemd-analyze", "verify", "--man=no", unit]
    done = subprocess.run(verify, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    exposure: list[str | Path] = [
        "systemd-analyze",
        "security",
        "--offline=true",
        "--threshold=15",
        "--no-pager",
        unit,
    ]
    judged = subprocess.run(exposure, capture_output=True, text=True, check=False)
    assert judged.returncode == 0, judged.stdout[-300:]


def test_the_unit_hands_secrets_over_as_credentials(tmp_path: Path) -> None:
    """Each credential is configured under a key that the gateway knows, and no other way."""
    environment = dict(line.split("=", 1) for line in directives("Environment"))
    ours = {name: value for name, value in environment.items() if name.startswith("BFF_")}
    credentials = [line.partition(":")[0] for line in directives("LoadCredential")]
    assert sorted(ours.values()) == sorted(f"%d/{name}" for name in credentials)
    secrets, config = make_secrets(tmp_path / "secrets"), tmp_path / "bff.toml"
    config.write_text(
        '[server]\npublic_url = "https://app.example.com"\n'
        '[oidc]\nissuer = "https://idp.example.com"\nclient_id = "spa"\n[session]\n'
    )
    replaced = {name: value.replace("%d", str(secrets)) for name, value in ours.items()}
    assert load(config, replaced).providers["default"].client_secret


def test_the_unit_leaves_no_core_file() -> None:
    """It would hold every token and secret, and be readable by root for ever."""
    assert directives("LimitCORE") == ["0"]


def test_the_unit_stops_after_the_gateway_had_its_time() -> None:
    """systemd must not kill it before its own deadline."""
    default = ServerSettings.model_fields["shutdown_timeout"].default
    assert seconds(directives("TimeoutStopSec")[0]) > seconds(default)


@pytest.mark.parametrize("directive", ["ExecStartPre", "ExecStart"])
def test_the_unit_runs_commands_that_exist(directive: str) -> None:
    """A renamed command or option would be noticed only on a user's server."""
    (command,) = directives(directive)
    program, *arguments = command.split()
    assert program == "/opt/bff/bin/bff"
    done = subprocess.run(
        [sys.executable, "-m", "bff", *arguments],
        cwd=ROOT, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    # The file is not on this machine, so the configuration is what it stumbles over: code 2, ours.
    assert done.returncode == 2
    assert "/etc/bff/bff.toml" in done.stderr
    assert "Usage" not in done.stderr
