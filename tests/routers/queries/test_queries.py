"""`POST /query`: rows, formats, limits, errors, and the processes behind it."""

import errno
import io
import json
import logging
import shutil
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import openpyxl
import polars as pl
import pytest

from readmodel.tables import TABLES
from routers.formats import answer
from routers.queries import running
from routers.queries.messages import without_paths
from routers.queries.request import MAX_BODY_BYTES, MAX_SQL_BYTES
from routers.worker.client import PIECE_BYTES
from tests.routers.conftest import create_fixed_app, make_settings, served
from tests.routers.queries.conftest import (
    MEMORY_MB,
    QUERY_TOKEN,
    Target,
    client_of_queries,
)
from tests.support.derived import NOON
from tests.support.sample import TOKEN
from tests.support.views import TOKEN_HEADER
from util import landlock

ENDLESS = "SELECT count(*) FROM range(1000000000000)"
PATIENCE_SECONDS = 30


def wait_for(condition: Callable[[], object]) -> None:
    """Return once *condition* holds."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def detail(response: Any) -> str:
    """The error of a response."""
    found: str = response.json()["detail"]
    return found


def test_the_answer_has_rows_types_snapshot_and_time(target: Target) -> None:
    """All of one instant."""
    got = target.query(
        "SELECT player, sum(score) AS total, now() AS at FROM rounds"
        " WHERE id < $below GROUP BY player ORDER BY total DESC",
        params={"below": 4},
    )
    answer = got.json()
    assert answer.pop("milliseconds") > 0
    assert answer == {
        "title": "query",
        "description": "",
        "columns": [
            {"name": "player", "type": "text", "unit": "", "meaning": ""},
            {"name": "total", "type": "integer", "unit": "", "meaning": ""},
            {"name": "at", "type": "timestamp", "unit": "", "meaning": ""},
        ],
        "range": None,
        "zone": "UTC",
        "data_updated_at": "2026-11-25T12:00:00Z",
        "snapshot": target.snapshot.id,
        "rows": [
            {"player": "ann", "total": 20, "at": "2026-11-25T12:00:00Z"},
            {"player": "bob", "total": 20, "at": "2026-11-25T12:00:00Z"},
        ],
        "truncated": False,
        "next": None,
    }
    assert got.headers["Cache-Control"] == "no-store"
    assert got.headers["X-Data-Updated-At"] == "2026-11-25T12:00:00Z"
    assert got.headers["X-Snapshot"] == target.snapshot.id
    assert got.headers["Server-Timing"].startswith("query;dur=")


def test_mirrored_and_derived_tables_can_be_joined(target: Target) -> None:
    """Names are compared without case, as SQL does; a comment may end the statement."""
    rows = target.rows(
        "SELECT count(*) AS n FROM Rounds JOIN main.scores USING (id); -- all of them"
    )
    assert rows == [{"n": 6}]


def test_the_order_of_rows_is_that_of_the_statement(target: Target) -> None:
    """Though it is read by another one, which limits them."""
    sql = "SELECT hash(range) AS h FROM range(50000) ORDER BY h DESC"
    hashes = [row["h"] for row in target.rows(sql)]
    assert len(hashes) == 10_000
    assert hashes == sorted(hashes, reverse=True)


@pytest.mark.parametrize("rows", [3, 4, 5])
def test_rows_beyond_the_limit_are_told(target: Target, rows: int) -> None:
    """In the document and in the header, from both sides of the limit."""
    got = target.query(f"SELECT * FROM range({rows})", limit=4)
    assert len(got.json()["rows"]) == min(rows, 4)
    assert got.json()["truncated"] is (rows > 4)
    assert got.headers.get("X-Truncated") == ("rows" if rows > 4 else None)


def test_rows_beyond_16_megabytes_are_told(target: Target) -> None:
    """Complete rows, as many as fit."""
    got = target.query("SELECT repeat('x', 100000) AS t FROM range(400)")
    assert got.json()["truncated"]
    assert 16_000_000 - 100_010 < len(got.content) < 16_001_000


def test_no_step_of_the_event_loop_has_a_whole_answer(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It arrives and is sent in pieces: each copy of all of it would hold up /health."""
    sizes: list[int] = []
    send = answer._in_turns

    async def recording(pieces: Iterable[bytes]) -> AsyncIterator[bytes]:
        async for piece in send(pieces):
            sizes.append(len(piece))
            yield piece

    monkeypatch.setattr(answer, "_in_turns", recording)
    got = target.query("SELECT repeat('x', 100000) AS t FROM range(400)")
    assert sum(sizes) == len(got.content) > 15_000_000
    assert max(sizes) <= PIECE_BYTES


def test_one_row_beyond_16_megabytes_is_an_error(target: Target) -> None:
    """It cannot be cut."""
    got = target.query("SELECT repeat('x', 16000000) AS t")
    assert (got.status_code, detail(got)) == (
        400,
        "The first row has more than 16,000,000 bytes of JSON",
    )


def test_all_formats_have_the_same_rows(target: Target) -> None:
    """By Accept."""
    sql = "SELECT id, player, price, played_at, [id, 2] AS l FROM rounds ORDER BY id"
    csv = target.query(sql, "text/csv")
    assert csv.text.splitlines()[1] == '1,ann,0.10,2026-11-01T12:00:00Z,"[1,2]"'
    assert 'filename="fpp-query.csv"' in csv.headers["Content-Disposition"]
    lines = target.query(sql, "application/x-ndjson").text.splitlines()
    assert [json.loads(line)["id"] for line in lines] == [1, 2, 3, 4, 5, 6]
    parquet = target.query(sql, "application/vnd.apache.parquet").content
    frame = pl.read_parquet(io.BytesIO(parquet))
    assert frame["id"].to_list() == [1, 2, 3, 4, 5, 6]
    assert frame.schema["price"] == pl.Decimal(10, 2)
    workbook = target.query(
        sql, "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    ).content
    sheet = openpyxl.load_workbook(io.BytesIO(workbook)).worksheets[0]
    assert [cell.value for cell in sheet["A"]] == ["id", 1, 2, 3, 4, 5, 6]


def test_types_that_are_not_stored_are_text_and_equal_names_are_numbered(
    target: Target,
) -> None:
    """Nobody has to repeat a query because of them."""
    got = target.query(
        "SELECT INTERVAL 2 DAY AS a, 1 AS A, NULL AS n, 2::HUGEINT AS big, true AS a_1"
    ).json()
    assert got["rows"] == [
        {"a": "2 days", "A_1": 1, "n": None, "big": 2, "a_1_1": True}
    ]
    types = [column["type"] for column in got["columns"]]
    assert types == ["text", "integer", "text", "integer", "boolean"]


@pytest.mark.parametrize(
    ("sql", "params", "expected"),
    [
        ("SELECT $a AS x", {"a": 1}, 1),
        ("SELECT $a AS x", {"a": "ü'\n"}, "ü'\n"),
        ("SELECT $a AS x", {"a": None}, None),
        ("SELECT $a AS x", {"a": True}, True),
        ("SELECT $a AS x", {"a": 0.5}, 0.5),
        ("SELECT ? || $2 AS x", ["a", "b"], "ab"),
        ("SELECT ?::BIGINT AS x", [2**62], 2**62),
        ("SELECT $a AS x", {"a": 2**100}, 2**100),
    ],
)
def test_parameters_are_values(
    target: Target, sql: str, params: Any, expected: Any
) -> None:
    """They are bound, never part of the statement."""
    got = target.query(sql, params=params)
    assert got.json()["rows"] == [{"x": expected}]


@pytest.mark.parametrize(
    ("sql", "params"),
    [
        ("SELECT $a", {}),
        ("SELECT 1", {"a": 1}),
        ("SELECT $a", {"b": 1}),
        ("SELECT ?", []),
        ("SELECT ?", [1, 2]),
        ("SELECT $a", {"a": 10**400}),
        ("SELECT $a::INTEGER", {"a": "x"}),
        ("SELECT * FROM $a", {"a": "rounds"}),
    ],
)
def test_wrong_parameters_are_an_error(target: Target, sql: str, params: Any) -> None:
    """A sentence, never a traceback."""
    got = target.query(sql, params=params)
    assert got.status_code == 400
    assert "Traceback" not in detail(got)


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELEC 1", 'syntax error at or near "SELEC"'),
        ("SELECT 1;\nSELECT 2", "exactly one SELECT, and there are 2 statements"),
        ("SELECT 1,\n  getenv('A')", "the function getenv is not allowed in a query"),
        ("SELECT 1,\n  getenv('A')", "(line 2, column 3)"),
        ("SELECT * FROM nothing", "unknown table nothing (line 1, column 15)"),
        ("SELECT nothing FROM rounds", 'Referenced column "nothing" not found'),
        (
            ";\nSELECT 'ü',\n 'ü',  nothing FROM rounds;",
            'not found in FROM clause! Candidate bindings: "price" (line 3, column 8)',
        ),
        (
            "SELECT id FROM rounds WHERE player::INTEGER > 1",
            "INT32 when casting from source column player (line 1, column 35)",
        ),
        ("SELECT id\nFROM rounds\nORDER BY 7", "between 1 and 1 (line 3, column 10)"),
        ("SELECT error('x\"}{\"')", 'Invalid Input Error: x"}{"'),
        ("SELECT 'a'::INTEGER", "Could not convert string 'a' to INT32"),
        ("SELECT repeat('a', 2000000000)", "needs more than 512 MB of memory"),
        (
            "SELECT user",
            "user is not allowed in a query; of a column, write table.user",
        ),
    ],
)
def test_errors_say_what_is_wrong(target: Target, sql: str, message: str) -> None:
    """With its place, if the gate found it."""
    got = target.query(sql)
    assert got.status_code == 400
    assert message in detail(got)


def test_an_error_of_a_damaged_part_has_no_path(own_folder: Path) -> None:
    """DuckDB names the file."""
    with client_of_queries(own_folder) as client:
        target = Target(own_folder, client)
        Path(target.places["part"]).write_bytes(b"no Parquet")
        got = target.query("SELECT * FROM rounds")
        assert got.status_code == 400
        assert "[path]" in detail(got)
        assert str(own_folder) not in got.text


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ('open file "/var/lib/x/a.parquet": no', 'open file "[path]": no'),
        ("see file:///etc/passwd, line 1", "see [path], line 1"),
        ("../data/x.csv", "[path]"),
        ("could not convert '24/12/2026'", "could not convert '24/12/2026'"),
        ("a /b and 1/2/3", "a /b and 1/2/3"),
        ("[/a/b, /c/d]", "[[path], [path]]"),
    ],
)
def test_paths_are_taken_out(message: str, shown: str) -> None:
    """Whatever looks like one."""
    assert without_paths(message) == shown


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("{", 422),
        ("[]", 422),
        ("{}", 422),
        ('{"sql": 1}', 422),
        ('{"sql": "SELECT 1", "more": 1}', 422),
        ('{"sql": "SELECT 1", "limit": 0}', 422),
        ('{"sql": "SELECT 1", "limit": 10001}', 422),
        ('{"sql": "SELECT 1", "limit": "5"}', 422),
        ('{"sql": "SELECT 1", "timeout_ms": 0}', 422),
        ('{"sql": "SELECT 1", "timeout_ms": 5001}', 422),
        ('{"sql": "SELECT 1", "params": {"a": [1]}}', 422),
        ('{"sql": "SELECT 1", "params": {"a": NaN}}', 422),
        ('{"sql": "SELECT 1", "params": {"a": "\\ud800"}}', 422),
        ('{"sql": "SELECT 1", "params": 1}', 422),
        ('{"sql": "SELECT \\u0000 1"}', 422),
        (json.dumps({"sql": "x" * (MAX_SQL_BYTES + 1)}), 422),
        (json.dumps({"sql": "ü" * (MAX_SQL_BYTES // 2 + 1)}), 422),
        (" " * (MAX_BODY_BYTES + 1), 413),
    ],
)
def test_a_malformed_body_is_refused(target: Target, body: str, status: int) -> None:
    """Before any process is started, and without a repetition of what was sent."""
    got = target.client.post("/query", content=body)
    assert got.status_code == status
    assert len(got.content) < 5_000


def test_a_snapshot_that_is_removed_meanwhile_is_no_fault_of_the_query(
    own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503 as without a read model: the same query works with the next snapshot."""
    with client_of_queries(own_folder) as client:
        target = Target(own_folder, client)
        confine = running.require_confinement

        async def remove(data_dir: Path) -> Any:
            shutil.rmtree(target.places["folder"])
            return await confine(data_dir)

        monkeypatch.setattr(running, "require_confinement", remove)
        got = target.query("SELECT * FROM rounds")
    assert (got.status_code, detail(got)) == (
        503,
        "The snapshot was removed meanwhile: send it again",
    )


def test_the_tables_are_listed_with_their_columns(target: Target) -> None:
    """Mirrored and derived ones, with units and meanings where they are defined."""
    got = target.client.get("/query/tables")
    answer = got.json()
    assert answer["snapshot"] == target.snapshot.id
    assert answer["data_updated_at"] == "2026-11-25T12:00:00Z"
    assert answer["limits"] == {
        "rows": 10_000,
        "bytes": 16_000_000,
        "sql_bytes": MAX_SQL_BYTES,
        "seconds": 5.0,
        "memory_mb": MEMORY_MB,
    }
    tables = {table["name"]: table for table in answer["tables"]}
    assert list(tables) == sorted([*TABLES, "rounds", "scores"])
    rounds, scores = tables["rounds"], tables["scores"]
    assert (rounds["kind"], rounds["rows"]) == ("mirrored", 6)
    assert (scores["kind"], scores["rows"]) == ("derived", 6)
    types = {column["name"]: column["type"] for column in rounds["columns"]}
    assert types == {
        "id": "integer",
        "player": "text",
        "score": "integer",
        "price": "decimal(10,2)",
        "played_at": "timestamp",
    }
    assert scores["columns"][2] == {
        "name": "score",
        "type": "integer",
        "unit": "points",
        "meaning": "Points of the round",
    }
    etag = {"If-None-Match": got.headers["ETag"]}
    assert target.client.get("/query/tables", headers=etag).status_code == 304


def test_all_that_is_listed_can_be_read(target: Target) -> None:
    """Each column of each table by its name."""
    for table in target.client.get("/query/tables").json()["tables"]:
        columns = ", ".join(f'"{column["name"]}"' for column in table["columns"])
        rows = target.rows(f'SELECT {columns} FROM "{table["name"]}"')
        assert len(rows) == table["rows"]


def test_without_landlock_queries_are_refused(
    own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless DATA_DIR is mounted read-only, a query might change it."""
    monkeypatch.setattr(landlock, "syscall", lambda *_: -errno.ENOSYS)
    with client_of_queries(own_folder) as client:
        got = client.post("/query", json={"sql": "SELECT 1"})
        assert detail(client.get("/query/tables")) == detail(got)
    assert got.status_code == 503
    assert detail(got) == (
        "Queries cannot be confined: the kernel has no Landlock (Linux 5.13 or later "
        "has), and DATA_DIR is writable"
    )


def test_without_tokens_there_are_no_queries(published: Path) -> None:
    """Nobody may send SQL unless the settings name who."""
    with client_of_queries(published, sql_tokens=None) as client:
        assert client.post("/query", json={"sql": "SELECT 1"}).status_code == 401
        got = client.post("/query", json={"sql": "SELECT 1"}, headers=TOKEN_HEADER)
    assert (got.status_code, detail(got)) == (
        403,
        "This token does not have the right to query",
    )


def test_before_the_first_sync_there_is_nothing_to_query(tmp_path: Path) -> None:
    """503 as everywhere."""
    (tmp_path / "data").mkdir()
    with client_of_queries(tmp_path) as client:
        got = client.post("/query", json={"sql": "SELECT 1"})
    assert got.status_code == 503
    assert "Retry-After" in got.headers


def test_json_may_be_the_array_of_rows_alone(published: Path) -> None:
    """By SQL_ANSWER; the headers tell the rest, and other formats stay as they are."""
    with client_of_queries(published, sql_answer="rows") as client:
        sql = {"sql": "SELECT id FROM rounds ORDER BY id", "limit": 2}
        got = client.post("/query", json=sql)
        assert got.json() == [{"id": 1}, {"id": 2}]
        assert got.headers["X-Truncated"] == "rows"
        lines = client.post("/query", json=sql, headers={"Accept": "text/csv"})
        assert lines.text == "id\r\n1\r\n2\r\n"
        none = client.post("/query", json={"sql": "SELECT 1 AS a WHERE false"})
        assert none.json() == []


@pytest.fixture(scope="module")
def url(published: Path) -> Iterator[str]:
    """The URL of a served API that answers queries."""
    settings = make_settings(
        data_dir=published / "data",
        views_dir=published / "views",
        sql_tokens=QUERY_TOKEN,
        sql_seconds=60,
    )
    app = create_fixed_app(settings, NOON)
    with served(app) as address:
        SERVED[address] = app
        yield address


SERVED: dict[str, Any] = {}


def children(url: str) -> list[str]:
    """The processes of the queries that run."""
    helper = SERVED[url].state.worker._helper
    if helper is None:
        return []
    listed = Path(f"/proc/{helper.pid}/task/{helper.pid}/children")
    return listed.read_text(encoding="ascii").split()


def send_query(url: str, sql: str) -> socket.socket:
    """Send a query and do not wait for the answer; closing it hangs up."""
    host = httpx.URL(url)
    body = json.dumps({"sql": sql}).encode()
    head = (
        f"POST /query HTTP/1.1\r\nHost: {host.host}\r\nX-API-Key: {QUERY_TOKEN}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    connection = socket.create_connection((host.host, host.port))
    connection.sendall(head.encode() + body)
    return connection


def test_hanging_up_kills_a_query_and_a_full_queue_is_told(url: str) -> None:
    """One query runs, some wait, the next is refused; /health answers all the time."""
    clients = [send_query(url, ENDLESS)]
    wait_for(lambda: children(url))
    queries = SERVED[url].state.queries
    for waiting in range(1, running.MAX_WAITING + 1):
        clients.append(send_query(url, ENDLESS))
        wait_for(partial(queries._turns.is_waiting, waiting))
    assert len(children(url)) == 1
    headers = {"X-API-Key": QUERY_TOKEN}
    got = httpx.post(f"{url}/query", json={"sql": "SELECT 1"}, headers=headers)
    assert (got.status_code, detail(got)) == (429, "4 queries are waiting already")
    assert got.headers["Retry-After"] == "5"
    assert httpx.get(f"{url}/health").status_code == 200
    for client in reversed(clients):  # those that wait leave the queue first
        client.close()
    wait_for(lambda: not children(url))
    got = httpx.post(f"{url}/query", json={"sql": "SELECT 1 AS a"}, headers=headers)
    assert got.json()["rows"] == [{"a": 1}]


def test_answers_that_nobody_reads_take_bounded_memory(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are in memory until they are read, or their clients hang up."""
    # Less than an answer has, and than the buffers of two sockets leave of it.
    monkeypatch.setattr(running, "MOST_UNREAD_BYTES", 4_000_000)
    queries = SERVED[url].state.queries

    def unread() -> int:
        return sum(map(len, queries._replies))

    sql = "SELECT repeat('x', 100000) AS t FROM range(150)"
    client = send_query(url, sql)
    wait_for(lambda: unread() > 4_000_000)
    headers = {"X-API-Key": QUERY_TOKEN}
    send = partial(
        httpx.post, f"{url}/query", json={"sql": "SELECT 1"}, headers=headers
    )
    got = send()
    assert (got.status_code, detail(got)) == (
        429,
        "Answers of earlier queries are still being read",
    )
    client.close()
    wait_for(lambda: unread() == 0)
    assert send().status_code == 200


def test_the_log_and_the_metrics_name_the_caller(
    target: Target, caplog: pytest.LogCaptureFixture
) -> None:
    """And never the statement or the token."""

    def lines() -> list[dict[str, object]]:
        return [vars(it) for it in caplog.records if it.name == "fpp.api"]

    with caplog.at_level(logging.INFO, logger="fpp"):
        target.rows("SELECT 'a-private-value' AS x")
        # The line follows the answer, and a server of an earlier test may write its last.
        wait_for(lambda: "ann" in {line.get("caller") for line in lines()})
    assert "a-private-value" not in str(lines())
    assert QUERY_TOKEN not in str(lines())
    metrics = target.client.get("/metrics", headers={"Authorization": TOKEN}).text
    assert 'fpp_calls_total{caller="ann"}' in metrics
    assert QUERY_TOKEN not in metrics
