"""Whether the database answers, and has the tables and columns that are mirrored."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from config import Settings
from readmodel.source.connect import source_from_settings, tables_from_settings
from readmodel.source.mysql.source import MysqlSource
from readmodel.source.mysql.view import MysqlView
from readmodel.source.postgres.source import PostgresSource, PostgresView
from readmodel.source.protocol import Source, View
from readmodel.sync.table_spec import table_spec
from readmodel.tables import Table
from updater.doctor.check_result import CheckResult, failed, passed, warning
from updater.doctor.mysql import check_mysql
from updater.doctor.postgres import check_postgres
from util.errors import FppError, SourceError


def check_database(settings: Settings) -> Iterator[CheckResult]:
    """Connect, and check what a sync reads and the server that it reads from."""
    try:
        source, tables = source_from_settings(settings), tables_from_settings(settings)
        with source.view(tables) as view:
            yield passed("database", f"{source.name} answers")
            yield from _encryption(source)
            yield from _view(view, tables, settings.data_dir)
    except FppError as error:
        yield failed("database", str(error))


def _encryption(source: Source) -> Iterator[CheckResult]:
    """Warn if nothing proves that a database on another host is the right one."""
    match source:
        case MysqlSource():
            address, is_known = source.address, source.ssl_ca or source.is_local
        case PostgresSource():
            address = f"{source.host}:{source.port}"
            is_known = source.is_verified or source.is_local
        case _:
            return
    if not is_known:
        yield warning(
            "encryption",
            f"nothing proves that {address} is the database, so whoever answers in its "
            "place can read along: set DB_SSL_CA",
        )


def _view(view: View, tables: Sequence[Table], data_dir: Path) -> Iterator[CheckResult]:
    problems = [found for table in tables if (found := _table_problem(view, table))]
    yield from (failed("tables", problem) for problem in problems)
    if not tables:
        yield passed("tables", "no table is mirrored (TABLES=none)")
    elif not problems:
        yield passed("tables", f"all {len(tables)} are there, with the columns needed")
    if hidden := [table.name for table in tables if _hides_columns(view, table)]:
        yield warning(
            "columns",
            f"only some columns of {', '.join(hidden)} may be read, the others are not "
            "mirrored: grant SELECT on the whole table to mirror all of them",
        )
    match view:
        case MysqlView():
            yield from check_mysql(view, data_dir)
        case PostgresView():
            yield from check_postgres(view, tables)


def _table_problem(view: View, table: Table) -> str | None:
    try:
        table_spec(view, table)
    except SourceError as error:
        return str(error)
    return None


def _hides_columns(view: View, table: Table) -> bool:
    try:
        return view.hides_columns(table)
    except SourceError:
        return False  # the check of the tables has reported it
