"""SQL files for tests of the API, and a read model that they are built from."""

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
from fastapi.testclient import TestClient

from readmodel.tables import TABLES
from tests.routers.conftest import create_fixed_app, make_settings
from tests.support.derived import NOON, run_derived, table_sql
from tests.support.sample import TOKEN
from tests.support.snapshots import ids

TOKEN_HEADER = {"Authorization": f"Bearer {TOKEN}"}


def rounds() -> pl.DataFrame:
    """Rounds of a game."""
    return pl.DataFrame(
        {
            "id": [1, 2, 3, 4, 5, 6],
            "player": ["ann", "bob", "ann", None, "=x", "ann"],
            "score": [10, 20, 10, 5, None, 7],
            "price": pl.Series(["0.10", "1.00", None, "2.50", "3.00", "4.00"]).cast(
                pl.Decimal(10, 2)
            ),
            "played_at": pl.Series(
                [datetime(2026, 11, day, 12, tzinfo=UTC) for day in (1, 2, 3, 4, 5, 6)],
                dtype=pl.Datetime("us", "UTC"),
            ),
        },
        schema_overrides={"id": pl.Int32, "score": pl.Int32},
    )


SCORES = table_sql(
    "scores",
    "SELECT id, player, score, price, played_at FROM rounds",
    "@description Every round.",
    "@order score desc, id",
    "@filter player [=, !=, in]",
    "@filter score [=, >=, <]",
    "@filter price [=]",
    "@filter played_at [>=]",
    "@limit 4 5",
    "@column score Points of the round",
    "@unit score points",
    "@test unique(id)",
)

EVERYTHING = table_sql("everything", "SELECT * FROM rounds")

PLAYERS = table_sql(
    "players",
    "SELECT player, count(*) AS rounds, sum(score) AS total FROM rounds GROUP BY player",
    "@filter player [=]",
    "@order player",
    "@route /players/{player}",
    "@one",
    "@missing Player not found",
)

SINCE = """\
-- @name since
-- @type report
-- @description Rounds since an instant.
-- @param since timestamp
-- | First instant, included
-- @param least integer 0 0..100
-- @unit least points
-- @route /rounds/since
-- @column n Number of rounds
SELECT player, count(*) AS n, sum(score) AS total, 9007199254740993 AS big,
    0.1::DECIMAL(10,2) AS price, $since::TIMESTAMPTZ AS since
FROM rounds WHERE played_at >= $since AND coalesce(score, 0) >= $least
GROUP BY player ORDER BY player
"""

SLOW = """\
-- @name slow
-- @type report
SELECT count(*) AS n FROM range(100000) a(i), range(100000) b(j), range(100000) c(k)
WHERE i * j % 7 = k % 3
"""

HUNGRY = """\
-- @name hungry
-- @type report
SELECT length(string_agg(repeat('x', 1000000) || i::VARCHAR, ',')) AS n
FROM range(2000) AS r(i)
"""

ESCAPING = """\
-- @name escaping
-- @type report
-- @param n integer
SELECT length(repeat('a', $n)) AS n
"""

FAILING = """\
-- @name failing
-- @type report
-- @param text text
SELECT $text::INTEGER AS n FROM rounds
"""

CLOCK = """\
-- @name clock
-- @type report
SELECT now() AS instant, count(*) AS n FROM rounds
"""

BROKEN = """\
-- @name broken
-- @type report
-- @colour red
SELECT 1
"""

FILES = {
    "a_tables": SCORES + EVERYTHING + PLAYERS,
    "b_since": SINCE,
    "c_slow": SLOW,
    "d_hungry": HUNGRY,
    "d_escaping": ESCAPING,
    "e_failing": FAILING,
    "f_clock": CLOCK,
    "g_broken": BROKEN,
}


def publish_rounds(data_dir: Path, views_dir: Path, at: datetime = NOON) -> None:
    """Publish a snapshot with the rounds, the six tables and the derived ones."""
    tables = {name: ids(1) for name in TABLES} | {"rounds": rounds()}
    run_derived(data_dir, views_dir, tables, at)


def client_of_views(data_dir: Path, views_dir: Path, **settings: object) -> TestClient:
    """A client of an API with these folders."""
    app = create_fixed_app(
        make_settings(data_dir=data_dir, views_dir=views_dir, **settings), NOON
    )
    return TestClient(app, headers=TOKEN_HEADER, raise_server_exceptions=False)
