"""A real cluster: its answers are those of the API alone, whatever happens to it."""

import io
import signal
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import polars as pl
import pytest
from distributed import Client
from fastapi.testclient import TestClient
from structlog.testing import capture_logs

import testbed.cluster
from bench.data import NOW, write
from cluster import connection, tasks
from cluster.versions import own_versions
from demo.sample import sample
from testbed.cluster import LocalCluster, local_cluster
from testbed.ports import free_port
from tests.cluster.conftest import Api, api_of, wait_until
from tests.routers.conftest import client_of, make_settings
from tests.support import preloaded
from tests.support.effort import some_long
from tests.support.programs import freeze
from updater.doctor.check_result import Outcome
from updater.doctor.cluster import check_cluster

pytestmark = pytest.mark.external

QUESTIONS = [
    "/",
    "/?tz=Asia/Kathmandu",
    "/?period=30d",
    "/?period=7d&interval=hour",
    "/?period=90d&compare=previous",
    "/?from=2025-01-01&to=2025-12-31&interval=month&weekends=true",
    "/?interval=week",
    "/?sections=traffic",
    "/?sections=reoccurring,votes",
    "/?filter=country:DE,device:desktop",
    "/?filter=country:DE,source:Google Search&period=90d",
    "/?filter=room_id:1",
    "/?filter=event:LEFT_ROOM&compare=previous&period=30d",
    "/?filter=room_state:deleted&period=90d",
]


@pytest.mark.parametrize("question", some_long(QUESTIONS, 2))
def test_the_answer_is_equal_to_the_last_byte(
    api: Api, local: TestClient, question: str
) -> None:
    """For ranges, zones, intervals and filters; the cluster has computed it."""
    expected = local.get(question)
    assert expected.status_code == 200, expected.text
    before, fallbacks = api.answers, api.all_fallbacks
    assert api.get(question) == expected.content
    assert (api.answers - before, api.all_fallbacks - fallbacks) == (1, 0)


def test_a_worker_is_killed_while_it_has_plans(
    api: Api, local: TestClient, running: LocalCluster, read_model: Path
) -> None:
    """The others compute what it had."""
    victim = running.start_worker(read_model)
    api.wait_for_workers(3)
    before, fallbacks = api.answers, api.all_fallbacks
    freeze(victim.pid)
    with _asking(api, "/") as answer:
        victim.kill()
        victim.wait()
    assert answer == [local.get("/").content]
    assert (api.answers - before, api.all_fallbacks - fallbacks) == (1, 0)
    api.wait_for_workers(2)


def test_a_frozen_scheduler_costs_one_answer_its_time(
    api: Api, local: TestClient, running: LocalCluster, read_model: Path
) -> None:
    """Later answers do not wait, and the cluster is used again when it has recovered."""
    expected = local.get("/").content
    assert running.scheduler is not None
    settings = make_settings(engine_url=running.url)
    with api_of(read_model, settings, seconds=0.5) as impatient:
        impatient.wait_for_workers(2)
        freeze(running.scheduler.pid)
        try:
            assert impatient.get("/") == expected
            assert impatient.all_fallbacks == 1
            with patch.object(impatient.connection, "run", side_effect=AssertionError):
                assert impatient.get("/") == expected
            assert impatient.all_fallbacks == 2
            assert impatient.answers == 0
        finally:
            running.scheduler.send_signal(signal.SIGCONT)
    api.wait_for_workers(2)
    before = api.answers
    assert api.get("/") == expected
    assert api.answers == before + 1


def test_a_scheduler_that_is_not_there_is_reported_once(
    local: TestClient, read_model: Path
) -> None:
    """Each answer is computed locally and counted."""
    settings = make_settings(engine_url=f"dask://127.0.0.1:{free_port()}")
    with capture_logs() as logs, api_of(read_model, settings) as api:
        wait_until(lambda: api.connection.why == "unreachable")
        for _ in range(3):
            assert api.get("/") == local.get("/").content
        assert api.fallbacks("unreachable") == 3
    (line,) = [line for line in logs if line.get("action") == "cluster"]
    assert line["log_level"] == "warning"
    assert "The cluster is not used, answers are computed here: tcp://" in line["event"]


def test_a_worker_of_another_version_gets_no_plan(
    local: TestClient, running: LocalCluster, read_model: Path
) -> None:
    """It says what differs."""
    others = {**own_versions(), "polars": "2.0.9"}
    with (
        capture_logs() as logs,
        patch.object(connection, "own_versions", lambda: others),
        api_of(read_model, make_settings(engine_url=running.url)) as api,
    ):
        wait_until(lambda: api.connection.why == "versions")
        assert api.get("/") == local.get("/").content
        assert api.fallbacks("versions") == 1
    assert f"polars {pl.__version__} instead of 2.0.9" in str(logs)


def test_workers_that_do_not_have_the_snapshot_get_no_plan(
    running: LocalCluster, tmp_path: Path
) -> None:
    """Their files may be older or newer, never mixed."""
    write(sample(NOW, 1 / 50), tmp_path)
    with (
        client_of(make_settings(data_dir=tmp_path), NOW) as alone,
        api_of(tmp_path, make_settings(engine_url=running.url)) as api,
    ):
        wait_until(lambda: api.connection.why == "snapshot")
        assert api.get("/") == alone.get("/").content
        assert api.fallbacks("snapshot") == 1


def test_a_snapshot_that_is_newer_than_the_last_question_is_missed_in_time(
    api: Api, running: LocalCluster, read_model: Path, tmp_path: Path
) -> None:
    """A worker refuses a plan for files that it does not have."""
    write(sample(NOW, 1 / 50), tmp_path)
    with client_of(make_settings(data_dir=tmp_path), NOW) as other:
        expected = other.get("/").content
        cluster_of_both = api.client.app.state.cluster  # type: ignore[attr-defined]
        other.app.state.cluster = cluster_of_both  # type: ignore[attr-defined]
        before = api.fallbacks("snapshot")
        assert other.get("/").content == expected
    assert api.fallbacks("snapshot") == before + 1
    api.wait_for_workers(2)


@pytest.mark.parametrize(
    "fault", some_long([pl.exceptions.ComputeError("x"), OSError("gone")])
)
def test_a_plan_that_fails_there_is_computed_here(
    api: Api, local: TestClient, fault: Exception
) -> None:
    """Whatever the worker raises."""
    expected, before = local.get("/").content, api.fallbacks("worker")
    with patch.object(tasks, "run_plan", _Raise(fault)):
        assert api.get("/") == expected
    assert api.fallbacks("worker") == before + 1
    api.wait_for_workers(2)


def _closed_with_an_error(
    close: Callable[..., Awaitable[None]],
) -> Callable[..., Awaitable[None]]:
    """*close*, which then raises."""

    async def closed(*arguments: object) -> None:
        await close(*arguments)
        raise KeyError("x")

    return closed


def test_errors_that_nobody_expects_change_no_answer(
    api: Api, local: TestClient
) -> None:
    """Dask's own, in a request, in the background, and as the connection is closed."""
    expected, before = local.get("/").content, api.fallbacks("lost")
    with patch.object(connection, "uuid4", side_effect=KeyError("x")):
        assert api.get("/") == expected
    assert api.fallbacks("lost") == before + 1
    with (
        patch.object(connection, "examine", side_effect=AssertionError),
        patch.object(Client, "close", _closed_with_an_error(Client.close)),
    ):
        wait_until(lambda: api.connection.why == "unreachable")
        assert api.get("/") == expected
    api.wait_for_workers(2)
    answers = api.answers
    assert api.get("/") == expected
    assert api.answers == answers + 1


def test_rows_with_other_columns_are_not_believed(api: Api, local: TestClient) -> None:
    """The plan's own schema says which there must be."""
    expected, before = local.get("/").content, api.fallbacks("rows")
    with patch.object(tasks, "run_plan", _Return(_ipc(pl.DataFrame({"x": [1]})))):
        assert api.get("/") == expected
    with patch.object(tasks, "run_plan", _Return(b"no rows")):
        assert api.get("/") == expected
    assert api.fallbacks("rows") == before + 2


def test_small_questions_stay_here_if_the_settings_say_so(
    api: Api, local: TestClient
) -> None:
    """ENGINE_MIN_ROWS counts the rows in the range."""
    cluster, before = api.client.app.state.cluster, api.answers  # type: ignore[attr-defined]
    with patch.object(cluster, "_min_rows", 10_000):
        for path, by_cluster in (("/?period=7d", 0), ("/", 1)):
            before = api.answers
            assert api.get(path) == local.get(path).content
            assert api.answers == before + by_cluster


@pytest.mark.long(
    "tests/cluster/test_address.py::test_the_api_refuses_to_start_without_tls"
)
def test_tls_protects_the_cluster(
    local: TestClient, read_model: Path, tls_files: dict[str, str]
) -> None:
    """A client of the same authority is served; one without TLS gets no answer."""
    settings = {f"ENGINE_TLS_{name}": file for name, file in tls_files.items()}
    url = {"ENGINE_URL": f"tls://127.0.0.1:{free_port()}"}
    with (
        preloaded.used_by(testbed.cluster),
        local_cluster(read_model, settings={**url, **settings}) as cluster,
    ):
        values = {name.lower(): value for name, value in cluster.settings.items()}
        with api_of(read_model, make_settings(**values)) as api:
            api.wait_for_workers(1)
            assert api.get("/") == local.get("/").content
            assert api.answers == 1
        plain = make_settings(engine_url=cluster.url.replace("tls:", "dask:"))
        with api_of(read_model, plain) as api:
            wait_until(lambda: api.connection.why == "unreachable")
            assert api.get("/") == local.get("/").content


def test_the_program_connects_by_its_settings(
    local: TestClient, running: LocalCluster, read_model: Path
) -> None:
    """ENGINE_URL is enough; without it, /metrics does not mention a cluster."""
    settings = make_settings(data_dir=read_model, engine_url=running.url)
    with client_of(settings, NOW) as client:
        wait_until(lambda: "fpp_cluster_workers 2.0" in client.get("/metrics").text)
        assert client.get("/").content == local.get("/").content
        assert "fpp_cluster_answers_total 1.0" in client.get("/metrics").text
    assert "fpp_cluster" not in local.get("/metrics").text


def test_doctor_examines_each_worker(
    running: LocalCluster, read_model: Path, tmp_path: Path
) -> None:
    """A problem is a warning: the API does without."""
    settings = make_settings(data_dir=read_model, engine_url=running.url)
    found = list(check_cluster(settings))
    assert [one.outcome for one in found] == 2 * [Outcome.PASSED]
    assert all("can run plans" in one.text for one in found)
    other = settings.model_copy(update={"data_dir": tmp_path})
    found = list(check_cluster(other))
    assert [one.outcome for one in found] == 2 * [Outcome.WARNING]
    assert "does not have the same snapshot" in found[0].text


def test_doctor_names_a_scheduler_that_does_not_answer(read_model: Path) -> None:
    """And fails for settings with which the API does not start."""
    absent = f"dask://127.0.0.1:{free_port()}"
    settings = make_settings(data_dir=read_model, engine_url=absent)
    (found,) = check_cluster(settings)
    assert found.outcome is Outcome.WARNING
    assert "does not answer" in found.text
    unsafe = settings.model_copy(update={"engine_url": "dask://10.0.0.7:8786"})
    (found,) = check_cluster(unsafe)
    assert found.failed


@dataclass
class _Raise:
    """A task that fails; workers get it by value, since it has another module."""

    error: Exception

    def __call__(self, *_: object) -> bytes:
        raise self.error


@dataclass
class _Return:
    """A task that returns *rows*."""

    rows: bytes

    def __call__(self, *_: object) -> bytes:
        return self.rows


def _ipc(frame: pl.DataFrame) -> bytes:
    rows = io.BytesIO()
    frame.write_ipc(rows)
    return rows.getvalue()


@contextmanager
def _asking(api: Api, path: str) -> Iterator[list[bytes]]:
    """Ask on a thread; the block begins when the plans are sent. The answer is there after it."""
    answers: list[bytes] = []
    thread = threading.Thread(target=lambda: answers.append(api.get(path)))
    thread.start()
    wait_until(lambda: bool(api.connection._client and api.connection._client.futures))
    yield answers
    thread.join()
