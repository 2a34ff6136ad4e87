"""One bar chart, as SVG: CPU per request of every program, readable on light and dark pages."""

from collections.abc import Sequence
from html import escape

WIDTH = 760
LABEL_WIDTH = 290
BAR_HEIGHT = 22
STEP = 34
MARGIN = 36

STYLE = """\
text { font: 13px system-ui, sans-serif; fill: #57606a; }
.title { font-size: 14px; font-weight: 600; }
.bar { fill: #8c959f; }
.ours { fill: #0969da; }
@media (prefers-color-scheme: dark) { text { fill: #9198a1; } .ours { fill: #4493f8; } }"""


def bars(title: str, values: Sequence[tuple[str, float]], *, ours: str) -> str:
    """The bar of the program `ours` stands out. Values are microseconds."""
    height = MARGIN + STEP * len(values) + 8
    scale = (WIDTH - LABEL_WIDTH - 90) / max(value for _, value in values)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        f"<title>{escape(title)}</title>",
        f"<style>{STYLE}</style>",
        f'<text class="title" x="0" y="16">{escape(title)}</text>',
    ]
    for number, (name, value) in enumerate(values):
        top = MARGIN + STEP * number
        middle = top + BAR_HEIGHT / 2 + 4.5
        width = max(1.0, value * scale)
        place = f'x="{LABEL_WIDTH}" y="{top}"'
        kind = "bar ours" if name == ours else "bar"
        lines += [
            f'<text x="{LABEL_WIDTH - 10}" y="{middle}" text-anchor="end">{escape(name)}</text>',
            f'<rect class="{kind}" {place} width="{width:.1f}" height="{BAR_HEIGHT}" rx="3"/>',
            f'<text x="{LABEL_WIDTH + width + 8:.1f}" y="{middle}">{value:.0f} µs</text>',
        ]
    return "\n".join([*lines, "</svg>", ""])
