"""The demo page's pure parts: remaining times, names for people, the eye for tokens."""

import json
import re

import pytest

from tests.client.spa_node import SPA, needs_node, run_js


@needs_node
@pytest.mark.parametrize(
    ("steps", "at", "expected"),
    [
        ([(0, 60)], 5, [55, 60]),
        ([(0, 60)], 70, [0, 60]),
        ([(0, 60), (50, 30)], 55, [25, 60]),
        ([(0, 60), (50, 90)], 50, [90, 90]),
        ([(0, None)], 5, [None, 0]),
        ([], 5, [None, 0]),
    ],
    ids=["ticks", "over", "shorter", "longer", "unsaid", "unknown"],
)
def test_time_runs_down_between_two_pieces_of_news(
    steps: list[tuple[int, int | None]], at: int, expected: list[int | None]
) -> None:
    """Steps are (clock, `access_token_expires_in`); what is left, and what a full bar means."""
    source = """
      const { createCountdown } = await import(SPA + 'countdown.js');
      let now = 0;
      const countdown = createCountdown(() => now);
      for (const [when, left] of steps) {
        now = when;
        countdown.take({ access_token_expires_in: left });
      }
      now = at;
      const name = 'access_token_expires_in';
      return [countdown.left(name), countdown.fullLife(name)];
    """
    assert run_js(f"const steps = {json.dumps(steps)}, at = {at};" + source) == expected


@needs_node
@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(None, "unknown"), (0, "0 s"), (41.2, "42 s"), (245, "4 min 05 s"), (43199, "11 h 59 min")],
)
def test_durations_are_spelled_for_people(seconds: float | None, expected: str) -> None:
    """The unit fits the size."""
    source = "const { spell } = await import(SPA + 'countdown.js');"
    assert run_js(f"{source} return spell({json.dumps(seconds)});") == expected


@needs_node
@pytest.mark.parametrize(
    ("name", "value", "is_token"),
    [
        ("theme", "dark", False),
        ("", "/notes?x=1", False),
        ("x", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ1In0.", True),
        ("access_token", "opaque", True),
        ("oidc.user", '{"refresh_token":"opaque"}', True),
        ("__Host-Http-bff", "anything", True),
        ("bff", "anything", True),
        ("buffet", "anything", False),
    ],
)
def test_proof_panel_recognises_tokens(name: str, value: str, is_token: bool) -> None:
    """Its verdict would be worth nothing if it could not be bad."""
    finding = json.dumps({"place": "x", "name": name, "value": value})
    source = "const { looksLikeToken } = await import(SPA + 'token-scan.js');"
    assert run_js(f"{source} return looksLikeToken({finding});") is is_token


_KIT = "AppleWebKit/537.36 (KHTML, like Gecko)"
_WINDOWS = f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {_KIT}"
_IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15"
CLIENTS = {
    f"{_WINDOWS} Chrome/131.0.0.0 Safari/537.36": "Chrome on Windows",
    f"{_WINDOWS} Chrome/131.0.0.0 Safari/537.36 Edg/13": "Edge on Windows",
    f"Mozilla/5.0 (X11; Linux x86_64) {_KIT} HeadlessChrome/150.0.0.0": "Chrome on Linux",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15) Gecko/20100101 Firefox/132": "Firefox on Mac",
    f"{_IPHONE} (KHTML, like Gecko) Version/17.5 Mobile/15": "Safari on iPhone",
    f"Mozilla/5.0 (Linux; Android 10; K) {_KIT} Chrome/131.0.0.0 Mobile": "Chrome on Android",
    f"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) {_KIT} Chrome/131": "Chrome on ChromeOS",
    "Mozilla/5.0 (Windows NT 10.0) Unheard/1.0": "A browser on Windows",
    "curl/8.5.0": "curl",
    "x" * 120: "x" * 40,
    "": "Unknown device",
    "()": "Unknown device",
}


@needs_node
def test_a_device_has_a_name_for_people() -> None:
    """From a User-Agent as the gateway keeps it: cut, and maybe made up."""
    source = "const { nameClient } = await import(SPA + 'client-name.js');"
    names = run_js(f"{source} return {json.dumps(list(CLIENTS))}.map(nameClient);")
    assert dict(zip(CLIENTS, names, strict=True)) == CLIENTS


@needs_node
def test_how_long_ago_is_spelled_for_people() -> None:
    """Clocks of gateway and browser may differ by a little."""
    expected = {-5: "just now", 59: "just now", 60: "1 min ago", 7199: "1 h ago", 86399: "23 h ago"}
    source = "const { ago } = await import(SPA + 'dom.js');"
    asked = json.dumps(list(expected))
    spelled = run_js(f"{source} return {asked}.map((past) => ago(1e6, 1e6 + past));")
    assert dict(zip(expected, spelled, strict=True)) == expected


@needs_node
def test_every_documented_reason_for_an_end_is_explained_to_the_user() -> None:
    """The table in docs/spa-contract.md; a reason that is in neither is explained in general."""
    text = (SPA.parents[1] / "docs" / "spa-contract.md").read_text()
    table = text[text.index("| reason |") :].split("\n\n")[0]
    reasons = re.findall(r"`(\w+)`", table)
    assert {"logout", "ended_by_user", "backchannel_logout", "admin", "expired"} <= set(reasons)
    source = "const { spellEnd } = await import(SPA + 'session-end.js');"
    asked = json.dumps([*reasons, "unknown", "toString", "brand_new"])
    *known, unknown, inherited, new = run_js(f"{source} return {asked}.map(spellEnd);")
    assert unknown == inherited == new
    assert all(
        said != unknown for reason, said in zip(reasons, known, strict=True) if reason != "unknown"
    )
