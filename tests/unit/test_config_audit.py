"""What is said of an [audit] table that is wrong, with its file and line, before a start."""

import os
from pathlib import Path

import pytest

from bff.audit.destinations import FileDestination
from bff.config import ConfigError, load
from tests.parts.config_files import loaded, toml, write


def problems_of(directory: Path, audit: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(write(directory, toml(extra=f"[audit]\n{audit}")), {})
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.rule("AU-03")
@pytest.mark.parametrize(
    ("audit", "said"),
    [
        ('sinks = ["journal:"]', "is no kind of sink"),
        ("sinks = [1]", "must be a text"),
        ('sinks = ["webhook:http://siem.example.com/"]', "must be https"),
        ('sinks = ["file:gone/audit.jsonl"]', "there is no directory"),
        ('sinks = ["file:."]', "is a directory"),
        ('sinks = ["file:pipe"]', "is a pipe"),
        ('sinks = ["stdout", "stdout"]', "names a sink twice"),
        ('sinks = ["redis-stream:"]', "session.store is memory://"),
        ('sinks = ["stdout"]\nwebhook_token = "q7Yc2Hd7MsPe4Gu9vB"', "none of audit.sinks is one"),
        ('address = "half"', "audit.address"),
    ],
)
def test_a_mistake_is_said_with_its_line(tmp_path: Path, audit: str, said: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    [problem] = problems_of(tmp_path, audit)
    assert said in problem
    assert "bff.toml:" in problem or "line" in problem, problem


def test_a_path_starts_at_the_directory_of_the_file(tmp_path: Path) -> None:
    text = toml(extra='[audit]\nsinks = ["file:audit.jsonl"]')
    [sink] = loaded(tmp_path, text).audit.sinks
    assert sink == FileDestination(tmp_path / "audit.jsonl")
    assert not (tmp_path / "audit.jsonl").exists()
