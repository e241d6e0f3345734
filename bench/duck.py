"""DuckDB: one SQL statement per case, in `sql/`."""

from datetime import timedelta
from pathlib import Path

import duckdb

from bench.cases import ALL, PERIOD, SECTIONS, Answer, Dataset, combine
from readmodel.store import snapshot
from readmodel.tables import TABLES

SQL = Path(__file__).parent / "sql"

FILTERED_TABLES = ("users", "page_views", "estimations", "events")
CHOSEN = "country = 'DE' AND device = 'desktop'"


class DuckEngine:
    """One connection with a view per table over the snapshot's Parquet files."""

    def __init__(self, data: Dataset, threads: int) -> None:
        self._connection = duckdb.connect()
        self._parameters = {
            "history_start": PERIOD.history_start,
            "start": PERIOD.start,
            "today": PERIOD.today,
            "since": PERIOD.now - timedelta(hours=24),
            "room_id": data.room_id,
        }
        self._connection.execute(f"SET threads = {threads}")
        self._connection.execute("SET TimeZone = 'UTC'")
        # Casting a TIMESTAMPTZ to DATE uses ICU, which is 6 times slower.
        self._connection.execute(
            "CREATE MACRO day(moment) AS make_timestamp(epoch_us(moment))::DATE"
        )
        current = snapshot.current(data.data_dir)
        for table in TABLES:
            self._connection.from_parquet(current.files(table)).create_view(
                table.removeprefix("fpp_")
            )

    def answer(self, case: str) -> Answer:
        """Run the SQL of *case*; for ALL, that of every section in turn."""
        if case == ALL:
            return combine({section: self.answer(section) for section in SECTIONS})
        statement = (SQL / f"{case}.sql").read_text()
        used = {k: v for k, v in self._parameters.items() if f"${k}" in statement}
        cursor = self._connection.execute(statement, used)
        values = cursor.fetchone()
        if values is None:
            raise LookupError(f"DuckDB returned no row for {case}")
        names = [column[0] for column in cursor.description or ()]
        return dict(zip(names, values, strict=True))


class FilteredDuckEngine(DuckEngine):
    """The same SQL over the rows of desktop users in Germany."""

    def __init__(self, data: Dataset, threads: int) -> None:
        super().__init__(data, threads)
        for table in FILTERED_TABLES:
            self._connection.execute(f"ALTER VIEW {table} RENAME TO all_{table}")
            key = "id" if table == "users" else "user_id"
            self._connection.execute(
                f"CREATE VIEW {table} AS SELECT * FROM all_{table} WHERE {key} IN "
                f"(SELECT id FROM all_users WHERE {CHOSEN})"
            )

    def answer(self, case: str) -> Answer:
        """Like DuckEngine; of ALL, the sections that have users."""
        if case == ALL:
            return {name: self.answer(name) for name in SECTIONS - {"votes"}}
        return super().answer(case)
