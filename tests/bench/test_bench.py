"""The benchmark's own processes: engines, clients, the API."""

from pathlib import Path

import pytest

from bench import __main__ as program
from bench import answers, ranges, serving, worker
from bench.cases import Asked
from bench.clients import Latencies, Load, run
from bench.errors import BenchError
from tests.test_docs import MAKEFILE

PERFORMANCE = Path(__file__).parents[2] / "docs" / "performance.md"


def test_engines_are_asked_in_processes_of_their_own(small: Asked) -> None:
    """They give the same answers there, and tell time and memory."""
    answers.check(["ours", "DuckDB"], small)
    timing = worker.timing("ours", small, "daily", seconds=0)
    assert timing.runs == worker.FEWEST_RUNS
    assert 0 < timing.best < 10
    assert timing.peak_bytes > 10 * 2**20


def test_engines_take_turns_but_slow_ones(
    small: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that is slow for a while is slow for each of them."""
    asked = []

    def timing(name: str, *_: object) -> worker.Timing:
        asked.append(name)
        took = worker.SLOW_SECONDS if name == "slow" else 1.0
        return worker.Timing(wall=[took], cpu=[took / 2], peak_bytes=len(asked))

    monkeypatch.setattr(worker, "timing", timing)
    found = worker.timings(["one", "slow", "other"], small, "daily", seconds=3)
    assert asked == ["one", "slow", "other", "one", "other", "one", "other"]
    assert [found[name].runs for name in ("one", "slow", "other")] == [3, 1, 3]
    assert (found["one"].peak_bytes, found["one"].median_cpu) == (6, 0.5)


def test_a_range_is_asked_for_as_the_rest_is(small: Asked) -> None:
    """In a process of its own; at scale 100 it must cost a tenth of the whole."""
    timings = {
        name: worker.timing(name, small, "daily", seconds=0)
        for name in ("ours", *worker.STRETCHES)
    }
    large = ranges.Ranges(100, timings)
    assert len(list(ranges.tables(large))) == 2
    (promise,) = ranges.kept(large)
    assert promise.bound == "at most 0.1"
    assert not list(ranges.kept(ranges.Ranges(1, timings)))


def test_a_different_answer_fails_the_run(
    small: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says who differs, in what, and shows where."""
    given = {
        "ours": {"votes": '{"total_votes":1}'},
        "DuckDB": {"votes": '{"total_votes":2}'},
    }
    monkeypatch.setattr(answers, "answers", lambda engine, _: given[engine])
    with pytest.raises(
        BenchError, match="DuckDB answers votes differently from ours"
    ) as told:
        answers.check(["ours", "DuckDB"], small)
    assert """'{"total_votes":2}'""" in str(told.value)


def test_repetitions_end_with_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """After FEWEST_RUNS at least, besides the first, and MOST_RUNS at most."""
    calls = []
    assert worker.measure(lambda: calls.append(1), seconds=0).runs == worker.FEWEST_RUNS
    assert len(calls) == worker.FEWEST_RUNS + 1
    monkeypatch.setattr(worker, "MOST_RUNS", 5)
    assert worker.measure(lambda: None, seconds=60).runs == 5


@pytest.mark.parametrize(
    ("percent", "seconds"), [(0, 1), (50, 2), (75, 3), (76, 4), (95, 4), (100, 4)]
)
def test_a_percentile_is_one_that_was_measured(percent: float, seconds: float) -> None:
    """The smallest that so many of all do not exceed."""
    assert Latencies(seconds=[4, 1, 3, 2]).percentile(percent) == seconds


def test_clients_ask_the_real_api(small: Asked) -> None:
    """On a day of the sample, with a token, and an ETag that is not modified."""
    with serving.serving(small.data_dir, "bench.server:app") as server:
        assert 0 < server.ready_seconds < serving.READY_WITHIN_SECONDS
        load = Load(port=server.port, path="/", headers=server.headers, seconds=0)
        load.headers["If-None-Match"] = serving._etag(server)
        load.status = 304
        load.clients = 2
        assert len(run(load).seconds) == 6
        load.status = 200
        with pytest.raises(RuntimeError, match="GET / answered 304"):
            run(load)


def test_a_scale_that_is_no_number_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Naming the variable; nothing is measured."""
    monkeypatch.setenv("SCALE", "much")
    monkeypatch.setattr("sys.argv", ["bench"])
    assert program.main() == 1
    assert capsys.readouterr().err == "✗ SCALE must be a number above 0, not 'much'\n"


def test_the_document_has_a_place_for_every_part() -> None:
    """So that --write finds it after an hour of measuring."""
    text = PERFORMANCE.read_text(encoding="utf-8")
    for part in program.PARTS:
        assert text.count(f"<!-- bench:{part} -->") == 1, part
        assert text.count(f"<!-- /bench:{part} -->") == 1, part
    assert "](growth.svg)" in text
    assert (PERFORMANCE.parent / "growth.svg").is_file()


def test_make_bench_runs_the_benchmark() -> None:
    """As the document says."""
    assert "-m bench" in MAKEFILE
