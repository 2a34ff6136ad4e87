"""deploy/prometheus and deploy/grafana: the alerts fire when they should, and no query is for a
metric that does not exist."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.repo.test_docs import documented_metrics

ROOT = Path(__file__).parents[2]
ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yml"
CASES = Path(__file__).with_name("alerts_test.yml")
DASHBOARD = ROOT / "deploy" / "grafana" / "dashboard.json"


def promtool(*arguments: str | Path) -> None:
    """Raises: AssertionError, with what it says."""
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def alerts() -> list[str]:
    return re.findall(r"^ *- alert: (\w+)$", ALERTS.read_text(), re.MULTILINE)


def test_prometheus_takes_the_configuration() -> None:
    promtool("check", "config", ALERTS.with_name("prometheus.yml"))


def test_each_alert_fires_when_it_should_and_not_while_all_is_well() -> None:
    promtool("test", "rules", CASES)


def test_each_alert_has_a_case_in_which_it_fires_and_others_in_which_it_does_not() -> None:
    text = CASES.read_text()
    for alert in alerts():
        assert re.search(rf"alertname: {alert}\n *exp_alerts:\n *- exp_labels", text), alert
        assert len(re.findall(rf"alertname: {alert}, exp_alerts: \[\]", text)) >= 2, alert


def test_each_alert_is_explained_and_no_other() -> None:
    text = (ROOT / "docs" / "metrics.md").read_text()
    assert re.findall(r"^\| `(Bff\w+)` \|", text, re.MULTILINE) == alerts()


@pytest.mark.parametrize("file", [ALERTS, DASHBOARD], ids=lambda file: file.name)
def test_no_query_is_for_a_metric_that_there_is_not(file: Path) -> None:
    used = set(re.findall(r"\b(?:bff|process)_[a-z_]+\b", file.read_text()))
    known = documented_metrics()
    of_histograms = {f"{name}{part}" for name in known for part in ("_bucket", "_count", "_sum")}
    assert len(used) > 10
    assert used <= known | of_histograms


def test_the_dashboards_panels_have_a_place_each() -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
