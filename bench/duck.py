"""The same answers by DuckDB: one SQL statement each, in `sql/`."""

from datetime import timedelta
from pathlib import Path

import duckdb

from bench.cases import ALL, OPENS, PERIOD, SECTIONS, Asked, Row, together
from readmodel.store import snapshot
from readmodel.tables import TABLES

SQL = Path(__file__).parent / "sql"


class Duck:
    """One connection with a view per table over the snapshot's Parquet files."""

    def __init__(self, asked: Asked, threads: int) -> None:
        self._connection = duckdb.connect()
        self._given = {
            "opens": OPENS,
            "start": PERIOD.start,
            "today": PERIOD.today,
            "since": PERIOD.now - timedelta(hours=24),
            "room_id": asked.room_id,
        }
        self._connection.execute(f"SET threads = {threads}")
        self._connection.execute("SET TimeZone = 'UTC'")
        # Casting a timestamp with its zone to a date goes through ICU: 6 times slower.
        self._connection.execute(
            "CREATE MACRO day(moment) AS make_timestamp(epoch_us(moment))::DATE"
        )
        current = snapshot.current(asked.data_dir)
        for table in TABLES:
            self._connection.from_parquet(current.files(table)).create_view(
                table.removeprefix("fpp_")
            )

    def ask(self, question: str) -> Row:
        if question == ALL:
            return together({section: self.ask(section) for section in SECTIONS})
        statement = (SQL / f"{question}.sql").read_text()
        given = {k: v for k, v in self._given.items() if f"${k}" in statement}
        answer = self._connection.execute(statement, given)
        values = answer.fetchone()
        if values is None:
            raise LookupError(f"DuckDB answered {question} with no row")
        names = [column[0] for column in answer.description or ()]
        return dict(zip(names, values, strict=True))
