"""Alert rules and the dashboard, as Prometheus judges them."""

import json
import re
import shutil
import subprocess
from datetime import timedelta
from pathlib import Path

from tests.util.test_metrics import FULL
from util.metrics import ApiMetrics, UpdaterMetrics

DEPLOY = Path(__file__).parents[2] / "deploy"
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
    both = (api, UpdaterMetrics(FULL))
    return "".join(metrics.render()[0].decode() for metrics in both)


def _metrics_in(expression: str) -> set[str]:
    return set(re.findall(r"\b(?:fpp|process)_[a-z_]+", expression))


def test_the_alerts_fire_when_they_should_and_only_then() -> None:
    """Unit tests in Prometheus' own form; each alert fires in one of them."""
    _promtool("test", "rules", "alerts_test.yml")


def test_every_alert_is_tested() -> None:
    """A rule without a test is a rule nobody has seen fire."""
    alerts = set(re.findall(r"- alert: (\w+)", RULES.read_text()))
    cases = (RULES.parent / "alerts_test.yml").read_text()
    assert alerts
    assert alerts == set(re.findall(r"alertname: (\w+)", cases))


def test_rules_and_configuration_are_valid() -> None:
    """As promtool reads them."""
    _promtool("check", "rules", "alerts.yml")
    _promtool("check", "config", "--syntax-only", "prometheus.yml")


def test_rules_and_dashboard_ask_only_for_metrics_that_exist() -> None:
    """A renamed metric must not leave an alert that can never fire."""
    exported = _metrics_in(_exported())
    dashboard = json.loads((DEPLOY / "grafana" / "fpp-analytics.json").read_text())
    asked = _metrics_in(" ".join(re.findall(r"expr: (.*)", RULES.read_text())))
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            asked |= _metrics_in(target["expr"])
    assert len(asked) > 10
    assert asked - exported == set()


def test_every_metric_of_ours_is_on_the_dashboard_or_in_an_alert() -> None:
    """What nobody looks at need not be exported."""
    rules = RULES.read_text()
    dashboard = (DEPLOY / "grafana" / "fpp-analytics.json").read_text()
    names = set(re.findall(r"# TYPE (fpp_\w+)", _exported()))
    unseen = {name for name in names if name not in rules + dashboard}
    # Told per run by the run log as well; kept for those who write their own rules.
    assert unseen == {"fpp_sync_runs_total"}
