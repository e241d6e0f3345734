"""The benchmark's processes: engines, clients and the API."""

import pytest

from bench import __main__ as program
from bench import answers, growth, ranges, report, serving, worker
from bench import api as api_process
from bench.cases import Dataset
from bench.clients import Latencies, Load, run
from bench.errors import BenchError
from tests.test_docs import MAKEFILE


@pytest.mark.long("test_clients_send_requests_to_the_real_api")
def test_engines_run_in_processes_of_their_own(small: Dataset) -> None:
    """They compute equal answers there, and report time and memory."""
    answers.check(["ours", "DuckDB"], small)
    timing = worker.timing("ours", small, "daily", seconds=0)
    assert timing.runs == worker.FEWEST_RUNS
    assert 0 < timing.best < 10
    assert timing.peak_bytes > 10 * 2**20


def test_engines_take_turns_except_slow_ones(
    small: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow minute of the machine then affects each of the fast engines."""
    calls = []

    def timing(name: str, *_: object) -> worker.Timing:
        calls.append(name)
        took = worker.SLOW_SECONDS if name == "slow" else 1.0
        return worker.Timing(wall=[took], cpu=[took / 2], peak_bytes=len(calls))

    monkeypatch.setattr(worker, "timing", timing)
    total = worker.timings(["one", "slow", "other"], small, "daily", seconds=3)
    assert calls == ["one", "slow", "other", "one", "other", "one", "other"]
    assert [total[name].runs for name in ("one", "slow", "other")] == [3, 1, 3]
    assert (total["one"].peak_bytes, total["one"].median_cpu) == (6, 0.5)


@pytest.mark.long("test_clients_send_requests_to_the_real_api")
def test_a_range_is_timed_like_an_engine(small: Dataset) -> None:
    """In a process of its own. At scale 100 its target is a tenth of all days."""
    timings = {
        name: worker.timing(name, small, "daily", seconds=0)
        for name in ("ours", *worker.RANGES)
    }
    large = ranges.RangeTimings(100, timings)
    assert len(list(ranges.tables(large))) == 2
    (target,) = ranges.check_targets(large)
    assert target.bound == "at most 0.1"
    assert not list(ranges.check_targets(ranges.RangeTimings(1, timings)))


def test_a_different_answer_fails_the_run(
    small: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the engines and the case, and shows the difference."""
    texts = {
        "ours": {"votes": '{"total_votes":1}'},
        "DuckDB": {"votes": '{"total_votes":2}'},
    }
    monkeypatch.setattr(answers, "answers", lambda engine, *_: texts[engine])
    with pytest.raises(BenchError, match="DuckDB and ours differ in votes") as raised:
        answers.check(["ours", "DuckDB"], small)
    assert """'{"total_votes":2}'""" in str(raised.value)


def test_repetitions_end_with_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the warm-up there are at least FEWEST_RUNS and at most MOST_RUNS."""
    calls = []
    assert worker.measure(lambda: calls.append(1), seconds=0).runs == worker.FEWEST_RUNS
    assert len(calls) == worker.FEWEST_RUNS + 1
    monkeypatch.setattr(worker, "MOST_RUNS", 5)
    assert worker.measure(lambda: None, seconds=60).runs == 5


@pytest.mark.parametrize(
    ("percent", "seconds"), [(0, 1), (50, 2), (75, 3), (76, 4), (95, 4), (100, 4)]
)
def test_a_percentile_is_a_measured_value(percent: float, seconds: float) -> None:
    """The smallest value that the given percentage does not exceed."""
    assert Latencies(seconds=[4, 1, 3, 2]).percentile(percent) == seconds


def test_clients_send_requests_to_the_real_api(small: Dataset) -> None:
    """On a day of the sample, with a token, and with an ETag that is still valid."""
    with api_process.running_api(small.data_dir, "bench.server:app") as api:
        assert 0 < api.ready_seconds < api.answered_seconds
        assert api.ready_seconds < api_process.READY_WITHIN_SECONDS
        load = Load(port=api.port, path="/", headers=api.headers, seconds=0)
        load.headers["If-None-Match"] = serving.etag(api)
        load.status = 304
        load.clients = 2
        assert len(run(load).seconds) == 6
        load.status = 200
        with pytest.raises(RuntimeError, match="GET / answered 304"):
            run(load)


def test_a_malformed_scale_is_one_line_on_stderr(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The line names the variable; nothing is measured."""
    monkeypatch.setenv("SCALE", "much")
    monkeypatch.setattr("sys.argv", ["bench"])
    assert program.main() == 1
    assert capsys.readouterr().err == "✗ SCALE must be a number above 0, not 'much'\n"


def test_the_document_has_a_place_for_every_part() -> None:
    """Otherwise --write would fail after an hour of measuring."""
    performance, measurements = report.DOCUMENTS
    details = measurements.read_text(encoding="utf-8")
    text = performance.read_text(encoding="utf-8") + details
    for part in program.PARTS:
        assert text.count(f"<!-- bench:{part} -->") == 1, part
        assert text.count(f"<!-- /bench:{part} -->") == 1, part
    assert "](growth.svg)" in details
    assert growth.PICTURE.is_file()
    assert growth.PICTURE.parent == measurements.parent


def test_make_bench_runs_the_benchmark() -> None:
    """The Makefile calls the module."""
    assert "-m bench" in MAKEFILE
