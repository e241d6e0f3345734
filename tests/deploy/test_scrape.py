"""A real Prometheus that scrapes both programs and evaluates the rules."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from demo.database import write_database
from demo.sample import sample
from tests.support import preloaded
from tests.support.programs import ROOT, api, environ
from tests.support.servers import closed_port

pytestmark = pytest.mark.external

PROMETHEUS = ROOT / "deploy" / "prometheus"
TOKEN = "scraped-t0ken"
WAIT_SECONDS = 40


def _until(find: Any, failure: str) -> Any:
    """Call *find* until it returns a truthy value, and return that value."""
    until = time.monotonic() + WAIT_SECONDS
    while not (value := find()):
        assert time.monotonic() < until, failure
        time.sleep(0.2)
    return value


@pytest.fixture(scope="module")
def targets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    """URL of a running API, and the metrics port of a running updater."""
    place = tmp_path_factory.mktemp("scraped")
    write_database(place / "source.db", sample(datetime.now(UTC), 0.005))
    port = closed_port()
    settings = {
        "SOURCE_URL": f"sqlite:///{place / 'source.db'}",
        "DATA_DIR": str(place / "data"),
        "METRICS_PORT": str(port),
        "ANALYTICS_SECRET_TOKEN": TOKEN,
    }
    updater = preloaded.start(
        ["update_readmodel.py", "--every", "2"],
        cwd=ROOT,
        env=environ(settings),
        stderr=subprocess.DEVNULL,
    )
    try:
        _until((place / "data" / "current").exists, "no snapshot was published")
        with api(settings) as address:
            yield address, port
    finally:
        updater.terminate()
        updater.wait(10)


@pytest.fixture(scope="module")
def prometheus(
    targets: tuple[str, int], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    """Prometheus with the example configuration; only addresses and paths differ."""
    program = shutil.which("prometheus")
    assert program, "prometheus is missing: apt-get install prometheus"
    place = tmp_path_factory.mktemp("prometheus")
    address, port = targets
    (place / "token").write_text(TOKEN)
    shutil.copy(PROMETHEUS / "alerts.yml", place)
    config = (PROMETHEUS / "prometheus.yml").read_text()
    for example, actual in {
        "127.0.0.1:5100": address.removeprefix("http://"),
        "127.0.0.1:9101": f"127.0.0.1:{port}",
        "/etc/prometheus/fpp-analytics-token": str(place / "token"),
        "_interval: 30s": "_interval: 1s",
    }.items():
        assert example in config, example
        config = config.replace(example, actual)
    (place / "prometheus.yml").write_text(config)
    own = closed_port()
    process = subprocess.Popen(
        [
            program,
            f"--config.file={place / 'prometheus.yml'}",
            f"--storage.tsdb.path={place / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{own}",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={"PATH": os.environ["PATH"]},
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{own}") as client:
            _until(lambda: _is_ready(client), "Prometheus did not start")
            yield client
    finally:
        process.terminate()
        process.wait(20)


def _is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/-/ready").is_success
    except httpx.ConnectError:
        return False


def _get(client: httpx.Client, path: str, **query: str) -> Any:
    answer = client.get(f"/api/v1/{path}", params=query)
    assert answer.is_success, answer.text
    return answer.json()["data"]


def test_both_programs_are_scraped(prometheus: httpx.Client) -> None:
    """Both targets are healthy; the API accepts the token from the file."""

    def healthy() -> dict[str, str]:
        found = _get(prometheus, "targets")["activeTargets"]
        health = {target["labels"]["job"]: target["health"] for target in found}
        return health if "unknown" not in health.values() else {}

    health = _until(healthy, "the targets were not scraped")
    assert health == {"fpp-analytics-api": "up", "fpp-analytics-updater": "up"}


@pytest.mark.parametrize(
    "metric",
    [
        "fpp_snapshot_timestamp_seconds",
        'fpp_table_rows{table="fpp_votes"}',
        "fpp_sync_last_success_timestamp_seconds",
    ],
)
def test_both_programs_export_the_same_read_model_figures(
    prometheus: httpx.Client, metric: str
) -> None:
    """The API reads them from disk, the updater has them from its runs."""

    def values() -> list[float]:
        found = _get(prometheus, "query", query=metric)["result"]
        return [float(each["value"][1]) for each in found] if len(found) == 2 else []

    first, second = _until(values, f"{metric} is not exported by both")
    assert first == pytest.approx(second, abs=10)
    assert first > 0


def test_all_rules_are_evaluated_without_an_alert(prometheus: httpx.Client) -> None:
    """Each rule can be computed from the real metrics, and no alert fires."""

    def evaluated() -> list[Any]:
        (group,) = _get(prometheus, "rules")["groups"]
        rules: list[Any] = group["rules"]
        return [] if any(rule["health"] == "unknown" for rule in rules) else rules

    rules = _until(evaluated, "the rules were not evaluated")
    assert len(rules) > 5
    assert [rule["lastError"] for rule in rules if rule["health"] != "ok"] == []
    assert [rule["name"] for rule in rules if rule["state"] == "firing"] == []


def test_promtool_accepts_both(targets: tuple[str, int]) -> None:
    """`promtool check metrics` reports no problem in the served metrics."""
    address, port = targets
    token = {"Authorization": f"Bearer {TOKEN}"}
    program = shutil.which("promtool")
    assert program, "promtool is missing: apt-get install prometheus"
    for url in (f"{address}/metrics", f"http://127.0.0.1:{port}/metrics"):
        text = httpx.get(url, headers=token).content
        assert b"fpp_table_rows" in text
        checked = subprocess.run(
            [program, "check", "metrics"], input=text, capture_output=True, timeout=30
        )
        assert (checked.returncode, checked.stderr.decode()) == (0, ""), url


def test_the_dashboards_queries_have_results(prometheus: httpx.Client) -> None:
    """The query of every panel parses, and those about the read model have values."""
    dashboard = json.loads(
        (ROOT / "deploy" / "grafana" / "fpp-analytics.json").read_text()
    )
    queries = [t["expr"] for panel in dashboard["panels"] for t in panel["targets"]]
    results = {
        expr: _get(prometheus, "query", query=expr)["result"] for expr in queries
    }
    age = "(time() - max(fpp_snapshot_timestamp_seconds))"
    assert any(result for expr, result in results.items() if expr.startswith(age))
    assert len(results["max by (table) (fpp_table_rows)"]) == 6
