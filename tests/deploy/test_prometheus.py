"""Alert rules and the Grafana dashboard, checked with promtool."""

import json
import re
import shutil
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from collector.metrics import EventMetrics
from tests.support.metrics import FULL
from updater.collector_pulls import PullMetrics
from updater.intake_metrics import IntakeMetrics
from updater.kafka_intake import KafkaMetrics
from util.metrics import ApiMetrics, UpdaterMetrics

pytestmark = pytest.mark.external

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
RULES = DEPLOY / "prometheus" / "alerts.yml"


def _promtool(*arguments: str) -> str:
    program = shutil.which("promtool")
    assert program, "promtool is missing: apt-get install prometheus"
    done = subprocess.run(
        [program, *arguments],
        cwd=RULES.parent,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _exported() -> str:
    api = ApiMetrics(FULL)
    api.observe("/", "GET", 200, timedelta())
    updater, collector = UpdaterMetrics(FULL), EventMetrics()
    KafkaMetrics(IntakeMetrics(updater.registry)).show_lag({0: 1})
    pulled = PullMetrics(updater.registry)
    for metric in vars(pulled).values():
        metric.labels("https://c1")
    each = (api, updater, collector)
    return "".join(metrics.render()[0].decode() for metrics in each)


def _metrics_in(expression: str) -> set[str]:
    return set(re.findall(r"\b(?:fpp|process)_[a-z_]+", expression))


@pytest.mark.long("test_rules_and_configuration_are_valid")
def test_alerts_fire_exactly_when_they_should() -> None:
    """Runs the promtool unit tests in alerts_test.yml."""
    _promtool("test", "rules", "alerts_test.yml")


def test_every_alert_is_tested() -> None:
    """Each alert occurs in alerts_test.yml."""
    alerts = set(re.findall(r"- alert: (\w+)", RULES.read_text()))
    cases = (RULES.parent / "alerts_test.yml").read_text()
    assert alerts
    assert alerts == set(re.findall(r"alertname: (\w+)", cases))


def test_every_alert_leads_to_its_section() -> None:
    """Below the address of the documentation, or else as a path of this repository."""
    rules = YAML(typ="safe").load(RULES)["groups"][0]["rules"]
    said = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    sections = {line[4:].strip() for line in said.splitlines() if line[:4] == "### "}
    for rule in rules:
        url = rule["annotations"]["runbook_url"]
        address, _, anchor = url.partition("/operations.md#")
        assert address == '{{ or $externalLabels.fpp_analytics_docs "docs" }}'
        assert anchor == rule["alert"].lower()
        assert rule["alert"] in sections
    assert "fpp_analytics_docs" in (RULES.parent / "prometheus.yml").read_text()


def test_every_panel_says_what_it_shows() -> None:
    """And the API is up or down, rather than 1 or 0."""
    panels = json.loads((DEPLOY / "grafana" / "fpp-analytics.json").read_text())[
        "panels"
    ]
    assert [panel["title"] for panel in panels if not panel["description"]] == []
    (api,) = (panel for panel in panels if panel["title"] == "API")
    (mapping,) = api["fieldConfig"]["defaults"]["mappings"]
    assert [mapping["options"][value]["text"] for value in "01"] == ["DOWN", "UP"]
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_rules_and_configuration_are_valid() -> None:
    """Promtool accepts both files."""
    _promtool("check", "rules", "alerts.yml")
    _promtool("check", "config", "--syntax-only", "prometheus.yml")


def test_rules_and_dashboard_use_only_existing_metrics() -> None:
    """After a metric is renamed, an alert on its old name could never fire."""
    exported = _metrics_in(_exported())
    dashboard = json.loads((DEPLOY / "grafana" / "fpp-analytics.json").read_text())
    used = _metrics_in(" ".join(re.findall(r"expr: (.*)", RULES.read_text())))
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            used |= _metrics_in(target["expr"])
    assert len(used) > 10
    assert used - exported == set()


def test_each_of_our_metrics_is_on_the_dashboard_or_in_an_alert() -> None:
    """A metric that is not used anywhere need not be exported."""
    rules = RULES.read_text()
    dashboard = (DEPLOY / "grafana" / "fpp-analytics.json").read_text()
    names = set(re.findall(r"# TYPE (fpp_\w+)", _exported()))
    unused = {name for name in names if name not in rules + dashboard}
    # The run log has the same per run; and who calls is a question of each installation.
    assert unused == {"fpp_sync_runs_total", "fpp_calls_total"}
