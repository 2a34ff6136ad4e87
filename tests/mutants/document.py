"""The scores in docs/security.md, between two marks above the generated tables."""

from collections.abc import Iterable

from tests.mutants.plan import Score
from tests.mutants.trial import ROOT

DOCUMENT = ROOT / "docs" / "security.md"
BEGIN = "<!-- Made by `make mutants`: from here -->\n"
END = "<!-- Made by `make mutants`: to here -->\n"
HEAD = """
| package | mutants | tried | noticed | score | without effect |
|---|---|---|---|---|---|
"""


def write(scores: Iterable[Score]) -> None:
    """Put a table of them in the place of the last one."""
    before, begin, rest = DOCUMENT.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the marks are missing in {DOCUMENT}")
    rows = "".join(_row(score) for score in scores if score.tried)
    DOCUMENT.write_text(f"{before}{begin}{HEAD}{rows}\n{end}{after}")


def _row(score: Score) -> str:
    cells = [
        f"`bff.{score.package}`",
        str(score.total),
        str(score.tried),
        str(score.noticed),
        f"{score.percent:.1f} %",
        str(score.without_effect),
    ]
    return f"| {' | '.join(cells)} |\n"
