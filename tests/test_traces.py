"""Traces: spans of requests and syncs, as a real OTLP receiver gets them."""

import gzip
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
)

from demo.database import write_database
from demo.sample import sample
from tests.support.collectors import HEADERS, collector
from tests.support.programs import api, run_updater
from tests.support.servers import StubServer, serving
from util import telemetry
from util.errors import SettingsError

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
TOKEN = "t0ken-of-the-traces"


@pytest.fixture
def receiver() -> Iterator[StubServer]:
    """A local OTLP receiver."""
    with serving() as running:
        running.answer = b""
        yield running


def spans_in(receiver: StubServer) -> list[Any]:
    """All spans that arrived, in the order of their start."""
    found = []
    for request in receiver.requests:
        body = request.body
        if request.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        message = ExportTraceServiceRequest.FromString(body)
        for resource in message.resource_spans:
            for scope in resource.scope_spans:
                found += scope.spans
    return sorted(found, key=lambda span: span.start_time_unix_nano)


def attributes_of(span: Any) -> dict[str, str]:
    """The attributes of *span* as text."""
    return {
        each.key: str(each.value.string_value or each.value.int_value)
        for each in span.attributes
    }


@pytest.fixture(scope="module")
def synced(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Any], str]:
    """A read model, the spans of the sync that wrote it, and the updater's log."""
    folder = tmp_path_factory.mktemp("traces")
    write_database(folder / "s.db", sample(datetime(2026, 11, 20, tzinfo=UTC), 0.005))
    with serving() as receiver:
        receiver.answer = b""
        run = run_updater(
            {
                "SOURCE_URL": f"sqlite:///{folder / 's.db'}",
                "DATA_DIR": str(folder / "data"),
                "VIEWS_DIR": str(folder / "none"),
                "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
                "LOG_FORMAT": "json",
            }
        )
        assert run.returncode == 0, run.stderr
        return folder / "data", spans_in(receiver), run.stderr


def test_a_sync_is_one_trace(synced: tuple[Path, list[Any], str]) -> None:
    """Its parts are spans inside of it, with the table; log lines name the trace."""
    _, (root, *parts), log = synced
    assert root.name == "sync"
    assert not root.parent_span_id
    assert {part.trace_id for part in parts} == {root.trace_id}
    assert {part.parent_span_id for part in parts} == {root.span_id}
    names = [part.name for part in parts]
    assert names == ["digest", "fetch"] * 6 + ["views", "publish"]
    assert attributes_of(parts[0]) == {"table": "fpp_estimations"}
    lines = [json.loads(line) for line in log.splitlines()]
    traced = {line.get("trace_id") for line in lines if line["component"] == "updater"}
    assert root.trace_id.hex() in traced


def test_a_request_is_a_span_of_the_callers_trace_without_what_it_asked(
    synced: tuple[Path, list[Any], str], receiver: StubServer
) -> None:
    """Named by its route, without a query and an address, and without inner spans."""
    data_dir, _, _ = synced
    settings = {
        "DATA_DIR": str(data_dir),
        "ANALYTICS_SECRET_TOKEN": TOKEN,
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"{receiver.url}/",
    }
    with api(settings) as address:
        headers = {
            "Authorization": f"Bearer {TOKEN}",
            "traceparent": f"00-{TRACE_ID}-{PARENT}-01",
        }
        answer = httpx.get(f"{address}/room/7/stats?period=30d", headers=headers)
        assert answer.status_code == 200
    traced = [s for s in spans_in(receiver) if s.trace_id.hex() == TRACE_ID]
    (span,) = traced
    assert span.name == "GET /room/{room_id}/stats"
    assert span.parent_span_id.hex() == PARENT
    attributes = attributes_of(span)
    assert attributes["http.route"] == "/room/{room_id}/stats"
    assert attributes["http.response.status_code"] == "200"
    assert not telemetry.PRIVATE & attributes.keys()
    assert "30d" not in str(span)
    assert TOKEN not in str(span)
    assert {request.path for request in receiver.requests} == {"/v1/traces"}


def test_a_failed_sync_is_a_span_with_the_kind_of_its_error(
    tmp_path: Path, receiver: StubServer
) -> None:
    """The receiver gets no message, which may contain an address."""
    run = run_updater(
        {
            "SOURCE_URL": f"sqlite:///{tmp_path / 'missing.db'}",
            "DATA_DIR": str(tmp_path / "data"),
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
        }
    )
    assert run.returncode == 1
    (root,) = spans_in(receiver)
    assert root.name == "sync"
    assert "missing.db" not in str(root)


def test_a_receiver_that_is_down_changes_nothing(
    synced: tuple[Path, list[Any], str], receiver: StubServer, tmp_path: Path
) -> None:
    """The sync succeeds, and the program ends."""
    receiver.drop = True
    run = run_updater(
        {
            "SOURCE_URL": f"sqlite:///{synced[0].parent / 's.db'}",
            "DATA_DIR": str(tmp_path / "data"),
            "VIEWS_DIR": str(tmp_path / "none"),
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
        }
    )
    assert run.returncode == 0, run.stderr
    assert receiver.requests


def test_without_an_endpoint_nothing_is_imported() -> None:
    """Neither the SDK nor, in the updater, the API of OpenTelemetry."""
    code = (
        "import sys, update_readmodel, startup; from util import telemetry\n"
        "telemetry.configure(None, 'x', '1')\n"
        "with telemetry.span('x') as link: link(['00-1-2-3'])\n"
        "assert telemetry.traceparent() is None and telemetry.trace_ids() == {}\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert run.stdout == "[]\n"


@pytest.mark.parametrize("endpoint", ["localhost:4318", "grpc://collector:4317"])
def test_a_malformed_endpoint_stops_the_start(endpoint: str) -> None:
    """The line names the variable."""
    with pytest.raises(SettingsError, match="OTEL_EXPORTER_OTLP_ENDPOINT is malformed"):
        telemetry.configure(endpoint, "x", "1")


def test_a_drain_is_linked_to_the_requests_of_its_events(
    tmp_path: Path, receiver: StubServer
) -> None:
    """Each request of the collector once, whatever number of events it had."""
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url}
    spool = tmp_path / "spool"
    trace_ids = [TRACE_ID, TRACE_ID[::-1]]
    with collector(spool, None, **endpoint) as running:
        for trace_id in trace_ids:
            headers = {**HEADERS, "traceparent": f"00-{trace_id}-{PARENT}-01"}
            events = [{"name": "opened"}, {"name": "closed"}, {"name": 7}]
            answer = httpx.post(f"{running.url}/events", json=events, headers=headers)
            assert answer.status_code == 202
        running.stop()
    run = run_updater(
        {
            "TABLES": "none",
            "DATA_DIR": str(tmp_path / "data"),
            "SPOOL_DIR": str(spool),
            "VIEWS_DIR": str(tmp_path / "none"),
            **endpoint,
        }
    )
    assert run.returncode == 0, run.stderr
    spans = spans_in(receiver)
    requests = {span.span_id for span in spans if span.name == "POST /events"}
    (drained,) = (span for span in spans if span.name == "drain")
    assert {link.trace_id.hex() for link in drained.links} == set(trace_ids)
    assert {link.span_id for link in drained.links} == requests
    assert drained.trace_id.hex() not in trace_ids
