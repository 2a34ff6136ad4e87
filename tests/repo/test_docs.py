"""The documents say what the program does: codes, commands, links."""

import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from bff import errors
from bff.cli import main
from bff.errors import BffError
from bff.observability.metrics import Metrics

ROOT = Path(__file__).parent.parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def all_errors(base: type[BffError] = BffError) -> Iterator[type[BffError]]:
    yield base
    for found in base.__subclasses__():
        yield from all_errors(found)


OURS = {error.code: error for error in all_errors() if error.__module__.startswith(errors.__name__)}


@pytest.mark.parametrize("code", sorted(OURS))
def test_every_error_code_is_documented_with_its_status(code: str) -> None:
    text = (ROOT / "docs" / "errors.md").read_text()
    assert f"| `{code}` | {OURS[code].status} |" in text


def test_no_code_is_documented_that_does_not_exist() -> None:
    text = (ROOT / "docs" / "errors.md").read_text()
    assert set(re.findall(r"^\| `(\w+)` \| \d", text, re.MULTILINE)) == set(OURS)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", document.read_text()):
        if "://" not in target and not target.startswith("mailto:"):
            assert (document.parent / target).exists(), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_that_is_mentioned_exists(document: Path) -> None:
    command = re.compile(r"(?:^|`)(?:\.venv/bin/)?bff ([a-z]+)\b", re.MULTILINE)
    for name in command.findall(document.read_text()):
        assert name in main.commands, name


@pytest.mark.parametrize("command", sorted(main.commands))
def test_every_command_is_explained_in_a_document(command: str) -> None:
    assert any(f"bff {command}" in document.read_text() for document in DOCUMENTS)
    assert CliRunner().invoke(main, [command, "--help"]).exit_code == 0


def test_every_make_target_that_is_mentioned_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for document in DOCUMENTS:
        for name in re.findall(r"(?:^|`)make ([a-z]+)\b", document.read_text(), re.MULTILINE):
            assert name in targets, f"{document.name}: make {name}"


def documented_metrics() -> set[str]:
    text = (ROOT / "docs" / "metrics.md").read_text()
    return set(re.findall(r"^\| `((?:bff|process)_\w+)` \|", text, re.MULTILINE))


def test_every_metric_is_documented_and_no_other() -> None:
    """By the name that Prometheus knows it by."""
    found = {
        f"{family.name}_total" if family.type == "counter" else family.name
        for family in Metrics().registry.collect()
    }
    assert documented_metrics() == found


PACKAGES = {path.name.removesuffix(".py") for path in (ROOT / "bff").iterdir()}
DESIGN = [ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/adr/*.md"))]


def setting_names() -> set[str]:
    text = (ROOT / "docs" / "configuration.md").read_text()
    variables = re.findall(r"<br>`BFF_(\w+)`", text)
    return {name.lower().replace("__", ".") for name in variables}


@pytest.mark.parametrize("document", DESIGN, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_part_of_the_program_that_the_design_names_exists(document: Path) -> None:
    """`proxy.exchange` is a module, `gate.decision.Gate.decide` a method, `tests/wire` a path."""
    settings = setting_names()
    for name in re.findall(r"`([\w./]+)`", document.read_text()):
        dotted = name.removeprefix("bff.")
        if re.fullmatch(r"\w+(\.\w+)+", dotted) and dotted.split(".")[0] in PACKAGES:
            assert dotted in settings or pkgutil.resolve_name(f"bff.{dotted}"), name
        elif re.match(r"(bff|tests|spa_demo|docs|deploy|bench)/", name):
            assert (ROOT / name).exists(), name


EVENT = re.compile(r"\blog\.[a-z]+\(\s*(?:[\w.]+,\s*)?\"([a-z_]+)\"")


def test_every_log_event_is_documented_and_no_other() -> None:
    sources = [path.read_text() for path in ROOT.glob("bff/**/*.py")]
    logged = {event for source in sources for event in EVENT.findall(source)}
    table = (ROOT / "docs" / "operations.md").read_text().partition("\n| event | level |")[2]
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", table, re.MULTILINE)
    documented = {event for row in rows for event in re.findall(r"\w+", row)}
    assert len(documented) > 40
    assert logged <= documented
    assert not {event for event in documented if not any(f'"{event}"' in s for s in sources)}
