"""Fill an empty MySQL or MariaDB database with the sample, to try out the real system.

    python -m deploy.sample_database

DB_HOST, DB_PORT, DB_USERNAME, DB_PASSWORD and DB_NAME select the database. If it contains
any of the tables already, nothing is changed, so a database in use is safe.
"""

import os
import sys
from contextlib import closing
from datetime import UTC, datetime
from typing import Final

import mysql.connector
import polars as pl
import polars.selectors as cs

from demo.sample import sample
from demo.schema import COLUMNS, create_table, insert_into
from util.output import run_command

BATCH_ROWS: Final = 5_000


def main() -> int:
    """Create and fill the tables; return 1 and print one line if that fails."""
    try:
        with closing(_connect()) as database, closing(database.cursor()) as cursor:
            cursor.execute("SHOW TABLES")
            existing = {str(row[0]) for row in cursor.fetchall()}
            if existing & COLUMNS.keys():
                print("The tables exist already; nothing was changed.")
                return 0
            for name, rows in sample(datetime.now(UTC)).items():
                _fill(cursor, name, rows)
                database.commit()
                print(f"{name}: {rows.height} rows", flush=True)
    except (mysql.connector.Error, KeyError) as error:
        print(f"Writing the sample failed: {error}", file=sys.stderr)
        return 1
    return 0


def _connect() -> "mysql.connector.connection.MySQLConnection":
    connection = mysql.connector.connect(
        host=os.environ["DB_HOST"],
        port=int(os.environ.get("DB_PORT", "3306")),
        user=os.environ["DB_USERNAME"],
        password=os.environ["DB_PASSWORD"],
        database=os.environ.get("DB_NAME", "free-planning-poker"),
        charset="utf8mb4",
        time_zone="+00:00",
        use_pure=True,
    )
    assert isinstance(connection, mysql.connector.connection.MySQLConnection)
    return connection


def _fill(
    cursor: "mysql.connector.cursor.MySQLCursor", name: str, rows: pl.DataFrame
) -> None:
    cursor.execute(f"{create_table(name, 'mysql')} CHARACTER SET utf8mb4")
    insert = insert_into(name, "%s")
    plain = rows.select(COLUMNS[name].keys()).with_columns(
        cs.datetime().dt.strftime("%Y-%m-%d %H:%M:%S"),
        cs.decimal().cast(pl.String),
        cs.boolean().cast(pl.Int8),
    )
    for batch in plain.iter_slices(BATCH_ROWS):
        cursor.executemany(insert, batch.rows())


if __name__ == "__main__":
    sys.exit(run_command(main))
