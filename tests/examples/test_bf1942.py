"""examples/bf1942: the calls of its clients, and its 14 definitions by an oracle."""

import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest
from psycopg.rows import dict_row

from demo.example import find_example
from demo.example_stack import RunningExample
from readmodel.store.snapshot import latest
from sqlfiles.catalogue import Catalogue, load
from testbed.postgres import Database, Login, fresh_database
from tests.examples.bf1942_oracle import DEFINITIONS, Oracle, Row
from tests.support.examples import client_of, example_running, run_sample_data
from tests.support.programs import run_updater

pytestmark = [
    pytest.mark.external,
    pytest.mark.long(
        "tests/examples/test_ai_platform.py::test_clients_get_their_number"
    ),
]

NAME = "bf1942"
DAYS = {"SAMPLE_DAYS": "3"}
EXPECTED_TABLES = "player_sessions:id,rounds:id,server_snapshots:snapshot_time"
SOURCES = ("server_snapshots", "player_sessions", "rounds")
ROUTES = {
    "/analytics/players/metrics": "mv_player_advanced_metrics",
    "/analytics/servers/population": "mv_server_population_trends",
    "/analytics/servers/rotation": "mv_server_rotation_statistics",
    "/analytics/servers/pings": "mv_server_ping_distributions",
    "/analytics/global/daily": "mv_global_daily_trends",
    "/analytics/global/regions": "mv_global_region_activity",
}
"""Those that answer a list."""


@pytest.fixture(scope="module")
def started(
    example_database: Database, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningExample]:
    """The example on the tables of the ingest, started once for all tests."""
    folder = tmp_path_factory.mktemp(NAME)
    with example_running(NAME, folder, example_database, **DAYS) as started:
        yield started


@pytest.fixture(scope="module")
def api(started: RunningExample) -> Iterator[httpx.Client]:
    """A client with the token."""
    with client_of(started) as client:
        yield client


@pytest.fixture(scope="module")
def expected(
    postgres_login: Login, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, Database]]:
    """DATA_DIR of one sync of the tables that the original's views expect."""
    data_dir = tmp_path_factory.mktemp("expected")
    with fresh_database(postgres_login) as database:
        owner = {"SOURCE_URL": database.owner.url(database.name)}
        run_sample_data(NAME, owner | DAYS | {"SAMPLE_SCHEMA": "expected"})
        synced(database, data_dir)
        yield data_dir, database


def synced(
    database: Database, data_dir: Path, views_dir: Path = find_example(NAME).views_dir
) -> None:
    """Run one sync of the expected tables."""
    settings = {
        **find_example(NAME).settings,
        **database.environ(),
        "TABLES": EXPECTED_TABLES,
        "DATA_DIR": str(data_dir),
        "VIEWS_DIR": str(views_dir),
    }
    done = run_updater(settings)
    assert done.returncode == 0, done.stdout + done.stderr


def oracle_of(database: Database, data_dir: Path) -> Oracle:
    """The oracle on the rows of the database, as of the snapshot."""
    rows: dict[str, Any] = {}
    with database.connect(row_factory=dict_row) as connection:
        for table in SOURCES:
            statement = f"SELECT * FROM {table}".encode()
            rows[table] = connection.execute(statement).fetchall()
    manifest = latest(data_dir).manifest
    assert manifest
    return Oracle(**rows, now=manifest.taken_at)


@pytest.fixture(scope="module")
def oracle(started: RunningExample, example_database: Database) -> Oracle:
    """What the tables of the running example must be."""
    return oracle_of(example_database, Path(started.settings["DATA_DIR"]))


@pytest.fixture(scope="module")
def expected_oracle(expected: tuple[Path, Database]) -> Oracle:
    """What the tables of the other schema must be."""
    data_dir, database = expected
    return oracle_of(database, data_dir)


def comparable(value: Any) -> Any:
    """*value* with numbers as floats and JSON parsed."""
    match value:
        case bool() | str() | None:
            return value
        case Mapping():
            return {key: comparable(item) for key, item in value.items()}
        case list():
            return list(map(comparable, value))
        case datetime():
            return value.astimezone(UTC)
        case _:
            return float(value)


def same(stored: Row, computed: Row) -> bool:
    """True if the rows are equal, floats up to their last digits."""
    if stored.keys() != computed.keys():
        return False
    return all(close(stored[name], computed[name]) for name in stored)


def close(one: Any, two: Any) -> bool:
    """Equality of values and of what is in them, floats up to rounding."""
    if isinstance(one, float) and isinstance(two, float):
        return one == pytest.approx(two, rel=1e-9, abs=1e-9)
    if isinstance(one, dict) and isinstance(two, dict):
        return same(one, two)
    if isinstance(one, list) and isinstance(two, list):
        return len(one) == len(two) and all(map(close, one, two))
    return bool(one == two)


@cache
def definitions() -> Catalogue:
    """The SQL files of the example."""
    return load(find_example(NAME).views_dir, SOURCES)


def rows_of(data_dir: Path, table: str) -> list[Row]:
    """The rows of a derived table; its columns of JSON parsed."""
    definition = definitions().table(table)
    assert definition
    parsed = {note.name for note in definition.columns if note.unit == "json"}
    rows = latest(data_dir).scan(table).collect().rows(named=True)
    return [
        {
            name: comparable(json.loads(value) if name in parsed else value)
            for name, value in row.items()
        }
        for row in rows
    ]


def in_order(rows: Sequence[Row]) -> list[Row]:
    """Sorted by the columns that tell rows apart."""
    names = (
        *("player_id", "server_id", "map_name", "mod_name", "region"),
        *("day_bucket", "hour_bucket", "bucket_start"),
    )
    return sorted(rows, key=lambda row: [str(row.get(name)) for name in names])


def require_equal(data_dir: Path, oracle: Oracle, table: str) -> None:
    """The stored table equals the oracle's, row by row."""
    stored = in_order(rows_of(data_dir, table))
    computed = in_order([comparable(row) for row in getattr(oracle, table)()])
    assert len(stored) == len(computed)
    assert stored
    for one, two in zip(stored, computed, strict=True):
        assert same(one, two), f"{one}\n{two}"


@pytest.mark.parametrize("table", DEFINITIONS)
def test_a_definition_equals_the_oracle_on_the_tables_of_the_ingest(
    started: RunningExample, oracle: Oracle, table: str
) -> None:
    """Every row and column."""
    require_equal(Path(started.settings["DATA_DIR"]), oracle, table)


@pytest.mark.parametrize("table", DEFINITIONS)
def test_a_definition_equals_the_oracle_on_the_tables_of_the_views(
    expected: tuple[Path, Database], expected_oracle: Oracle, table: str
) -> None:
    """The same SQL files, without a change."""
    require_equal(expected[0], expected_oracle, table)


def test_all_fourteen_definitions_have_the_original_headers() -> None:
    """With refresh_sql and indexes, which are shown and not run."""
    catalogue = definitions()
    assert not catalogue.errors
    by_object = {table.object: table for table in catalogue.tables}
    assert set(DEFINITIONS) <= set(by_object)
    for name in DEFINITIONS:
        assert by_object[name].refresh_sql
        assert by_object[name].indexes
        assert by_object[name].description


# --- the calls -----------------------------------------------------------------------


def get(api: httpx.Client, address: str, **parameters: Any) -> Any:
    """The JSON of a call that succeeds."""
    got = api.get(address, params=parameters)
    assert got.status_code == 200, got.text
    return got.json()


def test_players_metrics_is_an_object_for_one_player(
    api: httpx.Client, oracle: Oracle
) -> None:
    """Else a list, the highest score first; 404 for an unknown player."""
    listed = get(api, "/analytics/players/metrics")
    scores = [row["total_score"] for row in listed]
    assert scores == sorted(scores, reverse=True)
    one = get(api, "/analytics/players/metrics", player_id=listed[0]["player_id"])
    assert one == listed[0]
    computed = {row["player_id"]: row for row in oracle.mv_player_advanced_metrics()}
    assert one["team_distribution"] == pytest.approx(
        computed[one["player_id"]]["team_distribution"]
    )
    assert len(get(api, "/analytics/players/metrics", limit=3)) == 3
    missing = api.get("/analytics/players/metrics", params={"player_id": "no one"})
    assert (missing.status_code, missing.json()["detail"]) == (404, "Player not found")


@pytest.mark.parametrize(
    ("address", "column", "detail"),
    [
        (
            "/analytics/players/{}/maps",
            "sessions_played",
            "Player map splits not found",
        ),
        ("/analytics/players/{}/heatmap", "hour_bucket", "Player heatmap not found"),
        (
            "/analytics/servers/{}/leaderboard",
            "score_rank",
            "Server leaderboard not found",
        ),
    ],
)
def test_lists_of_one_player_or_server(
    api: httpx.Client, address: str, column: str, detail: str
) -> None:
    """In the order of the original, with its text of the 404."""
    name = "1" if "servers" in address else 'The "Duke"'
    rows = get(api, address.format(name.replace('"', "%22").replace(" ", "%20")))
    values = [row[column] for row in rows]
    assert rows
    assert values == sorted(values, reverse=column != "score_rank")
    assert (
        len(get(api, address.format("1" if "servers" in address else "zed"), limit=1))
        == 1
    )
    missing = api.get(address.format("nobody-of-that-name"))
    assert (missing.status_code, missing.json()["detail"]) == (404, detail)


@pytest.mark.parametrize(("address", "table"), ROUTES.items())
def test_lists_have_the_newest_or_largest_first(
    api: httpx.Client, oracle: Oracle, address: str, table: str
) -> None:
    """With all their columns."""
    rows = get(api, address, limit=20)
    order = {
        "mv_player_advanced_metrics": "total_score",
        "mv_server_population_trends": "hour_bucket",
        "mv_server_rotation_statistics": "rounds_played",
    }.get(table, "day_bucket")
    values = [row[order] for row in rows]
    assert values == sorted(values, reverse=True)
    assert rows[0].keys() == getattr(oracle, table)()[0].keys()


LIMITS = {
    "/analytics/players/metrics": (100, 1000),
    "/analytics/players/zed/maps": (50, 500),
    "/analytics/players/zed/heatmap": (200, 1000),
    "/analytics/servers/population": (168, 2000),
    "/analytics/servers/rotation": (200, 1000),
    "/analytics/servers/pings": (90, 1000),
    "/analytics/servers/1/leaderboard": (50, 500),
    "/analytics/global/daily": (30, 365),
    "/analytics/global/regions": (90, 1000),
}


@pytest.mark.parametrize(("address", "limits"), LIMITS.items())
def test_limits_are_those_of_the_original(
    api: httpx.Client, address: str, limits: tuple[int, int]
) -> None:
    """0, one too many and text are 422; the default is in the document."""
    most = limits[1]
    for wrong in (0, most + 1, "many", -1):
        assert api.get(address, params={"limit": wrong}).status_code == 422
    assert api.get(address, params={"limit": most}).status_code == 200


def test_default_limits_are_documented(api: httpx.Client) -> None:
    """And there is an operation per address."""
    paths = get(api, "/openapi.json")["paths"]
    for address, (default, most) in LIMITS.items():
        template = re.sub("/(zed)/", "/{player_id}/", address).replace(
            "/servers/1/", "/servers/{server_id}/"
        )
        parameters = paths[template]["get"]["parameters"]
        (limit,) = [each["schema"] for each in parameters if each["name"] == "limit"]
        assert (limit["default"], limit["maximum"]) == (default, most)
    assert "/analytics/global/activity" in paths


@pytest.mark.parametrize(
    ("address", "column", "filters"),
    [
        ("/analytics/servers/population", "hour_bucket", {"server_id": "1"}),
        ("/analytics/servers/pings", "day_bucket", {"server_id": "2"}),
        ("/analytics/servers/rotation", None, {"server_id": "3"}),
        ("/analytics/global/daily", "day_bucket", {}),
        ("/analytics/global/regions", "day_bucket", {"region": "unknown"}),
    ],
)
def test_the_limit_holds_with_a_filter(
    api: httpx.Client, address: str, column: str | None, filters: dict[str, str]
) -> None:
    """The original gave all rows then."""
    rows = get(api, address, **filters)
    for name, value in filters.items():
        assert {row[name] for row in rows} == {value}
    assert len(get(api, address, limit=1, **filters)) == 1
    if column is None:
        return
    since = rows[1][column]
    recent = get(api, address, since=since, **filters)
    assert [row[column] for row in recent] == [
        row[column] for row in rows if row[column] >= since
    ]
    # Without an offset it is in the service's zone, not in the host's.
    assert get(api, address, since=since.removesuffix("Z"), **filters) == recent
    assert api.get(address, params={"since": "yesterday"}).status_code == 422


def test_an_unknown_server_is_an_empty_list(api: httpx.Client) -> None:
    """Text where the table has numbers was a 500."""
    for address in ("population", "rotation", "pings"):
        assert get(api, f"/analytics/servers/{address}", server_id="x") == []


def test_global_activity_is_one_object_of_objects(
    api: httpx.Client, oracle: Oracle
) -> None:
    """JSON is a value, not a text of JSON."""
    (computed,) = oracle.mv_global_activity_rollups()
    got = get(api, "/analytics/global/activity")
    assert got["live_map_leaderboard"] == computed["live_map_leaderboard"]
    assert got["regional_player_counts"] == {"unknown": got["live_players"]}
    assert got["live_players"] == computed["live_players"] > 0


def test_health_and_metrics_show_the_jobs(api: httpx.Client) -> None:
    """As JSON for those who ask for it, else for Prometheus; runs in the job log."""
    health = get(api, "/health")
    assert health["status"] == "ok"
    assert set(health["components"]["parquet_files"]["files"]) == {
        f"{name}.parquet" for name in SOURCES
    }
    answer = api.get("/metrics", headers={"Accept": "application/json"}).json()
    jobs = {job["id"]: job for job in answer["scheduler"]["jobs"]}
    assert answer["log_level"] == "INFO"
    assert jobs["sync"]["trigger"] == "interval[0:05:00]"
    assert datetime.fromisoformat(jobs["sync"]["next_run_time"]) > datetime.now(UTC)
    assert jobs["global_activity_rollups"]["success"] is True
    assert 'fpp_view_stale{view="mv_server_uptime"} 0.0' in api.get("/metrics").text
    runs = get(api, "/sync/runs/views", limit=1000)["runs"]
    built = {run["object"] for run in runs if run["success"]}
    assert set(DEFINITIONS) <= built
    run = runs[0]
    assert {"name", "type", "object", "file", "started_at", "ended_at"} <= run.keys()
    assert {"milliseconds", "rows", "success", "message", "sql_sha256"} <= run.keys()


def test_nothing_is_open_and_no_password_is_shown(
    api: httpx.Client, started: RunningExample
) -> None:
    """`/config` gave it to anyone; here there is none, and every call wants a token."""
    assert api.get("/config").status_code == 404
    password = re.search(r":([^:@]+)@", started.settings["SOURCE_URL"])
    assert password
    for address in (*ROUTES, "/analytics/global/activity", "/metrics", "/views"):
        assert httpx.get(f"{started.url}{address}").status_code == 401
        assert password[1] not in api.get(address).text


# --- what the original got wrong -----------------------------------------------------


def one(rows: Sequence[Row], **values: Any) -> Row:
    """The row with these values."""
    (found,) = [row for row in rows if values.items() <= row.items()]
    return found


def faulty(database: Database) -> datetime:
    """Rows that the original counted wrong, in the expected tables; when they end."""
    now = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=1)
    hour = (now - timedelta(days=2)).replace(minute=0, second=0)

    def session(number: int, player: str, start: datetime, **fields: Any) -> None:
        values = {
            "id": 900_000 + number,
            "server_id": "f",
            "player_name": player,
            "session_start": start,
            **fields,
        }
        listed = ", ".join(values)
        places = ", ".join(["%s"] * len(values))
        statement = f"INSERT INTO player_sessions ({listed}) VALUES ({places})"
        connection.execute(statement.encode(), list(values.values()))

    with database.connect() as connection:
        for n in range(1, 8):  # kills per death 1 to 7
            start = hour + timedelta(minutes=10 * n)
            end = start + timedelta(minutes=5)
            session(n, "ratio", start, session_end=end, kills=n, deaths=1, score=n)
        for n in (11, 12):  # no winner is known
            session(n, "unknown winner", hour, duration_seconds=60, team="axis")
        old = now - timedelta(days=2521)
        session(21, "never left", old, kills=5)
        session(31, None, hour)  # type: ignore[arg-type]
        session(41, "nan", hour, duration_seconds="NaN", session_end=hour)
        session(42, "nan", hour, duration_seconds="-5", kills=1)
        session(43, "nan", hour, duration_seconds="1e300", max_ping_ms=7)
        samples = [
            ("gone", now - timedelta(days=365), "online", 40),
            ("f", hour, "online", 3),
            ("f", hour + timedelta(minutes=5), "offline", None),
            ("f", hour + timedelta(hours=3), "online", 4),
            ("f", hour + timedelta(hours=3, minutes=30), "online", 4),
            ("f", datetime(2099, 1, 1, tzinfo=UTC), "online", 9),
            ("f", now, "online", 31),
        ]
        for sample in samples:
            connection.execute(
                b"INSERT INTO server_snapshots (server_id, snapshot_time, status, "
                b"player_count) VALUES (%s, %s, %s, %s)",
                sample,
            )
    return hour


@pytest.fixture(scope="module")
def wronged(
    expected: tuple[Path, Database], expected_oracle: Oracle
) -> tuple[Path, Database, datetime]:
    """The other schema with the rows of `faulty`, synced again."""
    assert expected_oracle.samples  # it was computed before
    data_dir, database = expected
    hour = faulty(database)
    synced(database, data_dir)
    return data_dir, database, hour


@pytest.fixture(scope="module")
def later(
    wronged: tuple[Path, Database, datetime], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """DATA_DIR of a copy, one sync later: a late row, a change, an edited file."""
    data_dir, database, hour = wronged
    copy, views_dir = (tmp_path_factory.mktemp("later") / n for n in ("data", "sql"))
    shutil.copytree(data_dir, copy, symlinks=True)
    shutil.copytree(find_example(NAME).views_dir, views_dir)
    file = views_dir / "003_map_mod_trends.sql"
    edited = file.read_text().replace("count(*) AS samples", "1942 AS edited")
    file.write_text(edited.replace("-- @column samples", "-- @column edited"))
    late = (hour - timedelta(days=1)).isoformat()
    database.run(
        "UPDATE player_sessions SET kills = 6 WHERE id = 900021",
        "INSERT INTO server_snapshots (server_id, snapshot_time, status, player_count) "
        f"VALUES ('f', '{late}', 'online', 17)",
    )
    synced(database, copy, views_dir)
    return copy


def test_every_definition_still_equals_the_oracle(
    wronged: tuple[Path, Database, datetime],
) -> None:
    """All faults at once: late rows, rows of the future, open sessions, dead servers."""
    data_dir, database, _ = wronged
    oracle = oracle_of(database, data_dir)
    for table in DEFINITIONS:
        require_equal(data_dir, oracle, table)


def test_the_last_five_sessions_are_five(
    wronged: tuple[Path, Database, datetime],
) -> None:
    """Ratios 3 to 7 have the mean 5; the original took the last one, 7."""
    rows = rows_of(wronged[0], "mv_player_advanced_metrics")
    assert one(rows, player_id="ratio")["recent_kd_ratio"] == 5.0


def test_an_unknown_winner_is_no_win(wronged: tuple[Path, Database, datetime]) -> None:
    """The original counted every such session as won."""
    rows = rows_of(wronged[0], "mv_player_advanced_metrics")
    player = one(rows, player_id="unknown winner")
    assert (player["win_rate"], player["recent_win_rate"]) == (0.0, None)
    assert player["preferred_team"] == "axis"


def test_an_open_session_does_not_grow(
    wronged: tuple[Path, Database, datetime], later: Path
) -> None:
    """The original gave 217,794,165 seconds; here it is a day at most."""
    before, after = (
        one(rows_of(data_dir, "mv_player_summaries"), player_id="never left")
        for data_dir in (wronged[0], later)
    )
    assert before["seconds_played"] == after["seconds_played"] == 86_400
    assert after["total_kills"] == before["total_kills"] + 1


def test_a_server_that_is_gone_has_no_live_players(
    wronged: tuple[Path, Database, datetime],
) -> None:
    """Its last report is a year old, with 40 players; the future is not live either."""
    data_dir, database, _ = wronged
    oracle = oracle_of(database, data_dir)
    (live,) = rows_of(data_dir, "mv_global_activity_rollups")
    (computed,) = oracle.mv_global_activity_rollups()
    assert live["live_players"] == computed["live_players"]
    assert live["peak_server_players"] == 31
    others = [s for s in oracle.samples if s["server_id"] != "f"]
    assert max(s["player_count"] or 0 for s in others) >= 40


def test_offline_hours_are_not_online(wronged: tuple[Path, Database, datetime]) -> None:
    """The original counted the three hours as 10,800 s within one."""
    data_dir, _, hour = wronged
    rows = rows_of(data_dir, "mv_server_uptime")
    later = one(rows, server_id="f", hour_bucket=hour + timedelta(hours=3))
    assert (later["online_samples"], later["online_seconds"]) == (2, 1800)
    assert one(rows, server_id="f", hour_bucket=hour)["online_seconds"] == 0
    assert all(0 <= row["online_seconds"] <= 3600 for row in rows)


def test_late_rows_are_in_the_rollups_and_the_future_stops_nothing(
    wronged: tuple[Path, Database, datetime], later: Path
) -> None:
    """The original lost the first, and stopped at the second."""
    rollups = rows_of(later, "server_snapshot_rollups")
    late = wronged[2] - timedelta(days=1)
    found = one(rollups, server_id="f", bucket_start=late)
    assert found["payload"]["peak_players"] == 17
    newest = max(r["bucket_start"] for r in rollups)
    assert timedelta() < datetime.now(UTC) - newest < timedelta(hours=2)


def test_an_edited_file_is_applied_by_the_next_sync(later: Path) -> None:
    """The original applied each file once."""
    rows = latest(later).scan("mv_map_mod_trends").collect()
    assert set(rows["edited"]) == {1942}


def test_the_ingest_gives_scores_maps_and_pings(api: httpx.Client) -> None:
    """On its tables every bucket, score, ping and map of the original was null."""
    players = get(api, "/analytics/players/metrics")
    assert players[0]["total_score"] > 0
    assert all(row["total_seconds_played"] > 60 for row in players)
    assert {row["map_name"] for row in get(api, "/analytics/players/zed/maps")} - {
        "unknown"
    }
    assert get(api, "/analytics/players/zed/heatmap")
    pings = get(api, "/analytics/servers/pings")
    assert all(20 <= p <= 150 for row in pings for p in row["ping_percentiles"])
    assert pings[0]["ping_percentiles"] == sorted(pings[0]["ping_percentiles"])
