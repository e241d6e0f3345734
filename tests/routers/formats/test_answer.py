"""Tables over HTTP: every address in every format, with ETag, name and limits."""

import io
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import openpyxl
import polars as pl
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.responses import Response

from readmodel.store.run_log import Run, TableRun
from readmodel.sync.append_run import append_run
from routers.formats import xlsx
from routers.formats.answer import Exports
from routers.formats.media import TableFormat
from routers.formats.table import IncompleteRows, TableAnswer
from routers.worker.client import Worker
from tests.routers.conftest import create_fixed_app, make_settings
from tests.routers.formats.conftest import LONG
from tests.support.sample import SAMPLE, TAKEN_AT, TOKEN
from tests.support.snapshots import publish

TABLES = [
    "/historical",
    "/reoccurring",
    "/breakdown/city",
    "/daily-analytics",
    "/room/1/stats",
    "/sync/runs",
]
NEGOTIATED = [path for path in TABLES if path != "/breakdown/city"]
TOKEN_HEADER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def served_sample(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A client of an API with the sample and two runs; one worker for all tests."""
    data_dir = tmp_path_factory.mktemp("formats") / "data"
    publish(data_dir, SAMPLE, TAKEN_AT)
    for minutes in (20, 10):
        at = TAKEN_AT - timedelta(minutes=minutes)
        tables = {"fpp_votes": TableRun(7, 5, 2, 1, 1)}
        append_run(
            data_dir, Run(at, at + timedelta(seconds=2), True, "=7 rows", tables)
        )
    app = create_fixed_app(make_settings(data_dir=data_dir))
    with TestClient(app, headers=TOKEN_HEADER) as client:
        yield client


def frame_of(content: bytes, table_format: TableFormat) -> list[dict[str, Any]]:
    """The rows of an answer, with nested values as JSON text as CSV has them."""
    match table_format:
        case TableFormat.JSON:
            rows: list[dict[str, Any]] = json.loads(content)["rows"]
        case TableFormat.NDJSON:
            rows = [json.loads(line) for line in content.splitlines()]
        case TableFormat.PARQUET:
            return pl.read_parquet(io.BytesIO(content)).to_dicts()
        case TableFormat.CSV:
            return pl.read_csv(io.BytesIO(content), infer_schema=False).to_dicts()
        case TableFormat.XLSX:
            sheet = openpyxl.load_workbook(io.BytesIO(content)).worksheets[0]
            names, *lines = sheet.iter_rows(values_only=True)
            return [dict(zip(map(str, names), line, strict=True)) for line in lines]
    return rows


@pytest.mark.parametrize("table_format", TableFormat)
@pytest.mark.parametrize("path", TABLES)
def test_every_table_is_there_in_every_format(
    served_sample: TestClient, path: str, table_format: TableFormat
) -> None:
    """With the same columns and as many rows, typed and named."""
    got = served_sample.get(
        f"{path}.{table_format}?limit=2" if "sync" in path else f"{path}.{table_format}"
    )
    assert got.status_code == 200
    assert got.headers["Content-Type"] == table_format.media_type
    rows = frame_of(got.content, table_format)
    expected = served_sample.get(f"{path}.json").json()["rows"]
    assert [list(row) for row in rows] == [list(row) for row in expected]
    kind, name = got.headers["Content-Disposition"].split("; ")
    assert kind == ("attachment" if table_format.is_download else "inline")
    assert name.endswith(f'.{table_format}"')


@pytest.mark.parametrize("path", ["/historical", "/reoccurring"])
def test_the_document_of_a_series_has_the_rows_of_the_whole_answer(
    served_sample: TestClient, path: str
) -> None:
    """Each column has the meaning that the OpenAPI document gives it."""
    document = served_sample.get(f"{path}?period=30d").json()
    whole = served_sample.get("/?period=30d").json()
    assert document["rows"] == whole["data"][path[1:]]
    assert all(column["meaning"] for column in document["columns"])
    assert document["range"] == {"from": "2024-07-03", "to": "2024-08-01"}
    assert document["data_updated_at"] == whole["data_updated_at"]


def test_figures_are_a_row_with_their_comparison(served_sample: TestClient) -> None:
    """The previous range and the change are columns beside the figures."""
    query = "?from=2024-08-01&compare=previous"
    plain = served_sample.get(f"/room/1/stats{query}").json()
    (row,) = served_sample.get(f"/room/1/stats.json{query}").json()["rows"]
    assert row["votes"] == plain["votes"]
    assert row["previous_votes"] == plain["previous"]["votes"]
    assert row["change_votes"] == plain["change"]["votes"]
    assert set(row) == {
        f"{prefix}{name}"
        for prefix in ("", "previous_", "change_")
        for name in plain["change"]
    }


@pytest.mark.parametrize("path", NEGOTIATED)
def test_accept_chooses_the_format(served_sample: TestClient, path: str) -> None:
    """Without it, the answer is JSON as before; both name Accept in Vary."""
    as_json = served_sample.get(path)
    as_csv = served_sample.get(path, headers={"Accept": "text/csv"})
    assert as_json.headers["Content-Type"] == "application/json"
    assert as_csv.headers["Content-Type"].startswith("text/csv")
    assert as_csv.content == served_sample.get(f"{path}.csv").content
    assert as_csv.headers["ETag"] != as_json.headers["ETag"]
    for got in (as_json, as_csv):
        assert "Accept" in got.headers["Vary"].split(", ")


@pytest.mark.parametrize("path", TABLES)
def test_an_extension_wins_over_accept(served_sample: TestClient, path: str) -> None:
    """So a link to a file needs no header, and does not vary."""
    got = served_sample.get(f"{path}.ndjson", headers={"Accept": "text/csv"})
    assert got.headers["Content-Type"] == "application/x-ndjson"
    assert "Accept" not in got.headers.get("Vary", "").split(", ")


@pytest.mark.parametrize("table_format", TableFormat)
@pytest.mark.parametrize("path", TABLES)
def test_an_unchanged_table_is_304_in_each_format(
    served_sample: TestClient, path: str, table_format: TableFormat
) -> None:
    """Without computing; the ETag of one format is not that of another."""
    etag = served_sample.get(f"{path}.{table_format}").headers["ETag"]
    sent = {"If-None-Match": etag}
    again = served_sample.get(f"{path}.{table_format}", headers=sent)
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["ETag"] == etag
    other = "csv" if table_format is TableFormat.JSON else "json"
    assert served_sample.get(f"{path}.{other}", headers=sent).status_code == 200


@pytest.mark.parametrize("path", [*NEGOTIATED, "/"])
def test_a_304_has_the_vary_of_its_answer(served_sample: TestClient, path: str) -> None:
    """A cache in between must know that other headers have other answers."""
    first = served_sample.get(path)
    again = served_sample.get(path, headers={"If-None-Match": first.headers["ETag"]})
    assert again.status_code == 304
    named = set(again.headers["Vary"].split(", "))
    assert named >= set(first.headers.get("Vary", "").split(", ")) - {""}
    assert "Accept-Encoding" in named


def test_a_limit_that_leaves_out_rows_is_stated(served_sample: TestClient) -> None:
    """In a header for every format, and as a member of the JSON."""
    for table_format in TableFormat:
        got = served_sample.get(f"/sync/runs.{table_format}?limit=1")
        assert got.headers["X-Truncated"] == "rows"
        complete = served_sample.get(f"/sync/runs.{table_format}?limit=2")
        assert "X-Truncated" not in complete.headers
    assert served_sample.get("/sync/runs.json?limit=1").json()["truncated"] is True


def test_nested_values_are_json_in_a_cell(served_sample: TestClient) -> None:
    """And formulas in messages are disarmed, or plain texts."""
    shown = served_sample.get("/sync/runs?limit=1").json()["runs"][0]["tables"]
    for table_format in (TableFormat.CSV, TableFormat.XLSX):
        got = served_sample.get(f"/sync/runs.{table_format}?limit=1")
        (row,) = frame_of(got.content, table_format)
        assert json.loads(row["tables"]) == shown
        assert row["message"] == {"csv": "'=7 rows", "xlsx": "=7 rows"}[table_format]


@pytest.mark.parametrize("path", TABLES)
def test_a_table_requires_the_token(served_sample: TestClient, path: str) -> None:
    """In every format."""
    for table_format in TableFormat:
        got = served_sample.get(
            f"{path}.{table_format}", headers={"Authorization": "wrong"}
        )
        assert got.status_code == 401


@pytest.mark.parametrize("path", TABLES)
def test_an_unknown_extension_is_422_and_lists_the_formats(
    served_sample: TestClient, path: str
) -> None:
    """As for any other parameter."""
    got = served_sample.get(f"{path}.pdf")
    assert got.status_code == 422
    assert "parquet" in got.json()["detail"]


@pytest.mark.parametrize("path", ["/daily-analytics.csv", "/daily-analytics"])
def test_a_file_of_the_daily_figures_sends_no_email(
    read_model: Path, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the JSON without parameters is delivered."""

    def sent(*_: object) -> None:
        raise AssertionError("sent")

    monkeypatch.setattr("routers.routes.analytics.send_daily", sent)
    settings = make_settings(
        data_dir=read_model, bea_base_url="mail", bea_secret_key="key"
    )
    headers = TOKEN_HEADER | {"Accept": "text/csv"}
    with TestClient(create_fixed_app(settings), headers=headers) as client:
        assert client.get(path).status_code == 200


type Respond = Callable[[TableAnswer, TableFormat], httpx2.Response]


@pytest.fixture
def respond() -> Iterator[Respond]:
    """Serve a table in a format."""
    worker = Worker()
    exports = Exports(worker)
    app = FastAPI()
    tables: list[tuple[TableAnswer, TableFormat]] = []

    @app.get("/")
    async def get() -> Response:
        return await exports.respond(*tables.pop(), {}, "name")

    with TestClient(app) as client:

        def send(table: TableAnswer, table_format: TableFormat) -> httpx2.Response:
            tables.append((table, table_format))
            return client.get("/")

        yield send
    worker.close()


def test_cut_texts_are_stated(respond: Respond) -> None:
    """Together with rows that a limit left out."""
    frame = pl.DataFrame({"a": [LONG, "b"]})
    got = respond(TableAnswer("x", frame, truncated=True), TableFormat.XLSX)
    assert got.headers["X-Truncated"] == "rows, texts=1"
    whole = respond(TableAnswer("x", frame), TableFormat.CSV)
    assert LONG in whole.text
    assert "X-Truncated" not in whole.headers


def test_too_many_rows_for_a_workbook_are_413(
    respond: Respond, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The detail has the number and names other formats, which have all rows."""
    monkeypatch.setattr(xlsx, "MAX_ROWS", 2)
    table = TableAnswer("x", pl.LazyFrame({"a": [1, 2, 3]}))
    got = respond(table, TableFormat.XLSX)
    assert got.status_code == 413
    assert got.json()["detail"].startswith("The answer has 3 rows")
    assert respond(table, TableFormat.CSV).text == "a\r\n1\r\n2\r\n3\r\n"


@pytest.mark.parametrize("table_format", TableFormat)
def test_a_plan_that_fails_is_an_error_and_not_a_short_file(
    respond: Respond, tmp_path: Path, table_format: TableFormat
) -> None:
    """Its rows are written to a temporary file before the first is sent."""
    part = tmp_path / "part.parquet"
    pl.DataFrame({"a": range(100_000)}).write_parquet(part, row_group_size=10_000)
    plan = pl.scan_parquet(part)
    plan.collect_schema()
    part.write_bytes(part.read_bytes()[:-5000])
    with pytest.raises((RuntimeError, IncompleteRows), match="be read"):
        respond(TableAnswer("x", plan), table_format)
