"""A server of PostgreSQL: the role's rights, its kind, its time-outs and the clock."""

from collections.abc import Iterator, Sequence

from readmodel.source.postgres.source import PostgresView
from readmodel.tables import Table
from updater.doctor.check_result import CheckResult, passed, warning
from updater.doctor.clock import check_clock


def check_postgres(
    view: PostgresView, tables: Sequence[Table]
) -> Iterator[CheckResult]:
    """Check the server of *view*, and that its role can only read *tables*."""
    status = view.status()
    if writable := [table.name for table in tables if view.may_write(table)]:
        yield warning(
            "rights",
            f"{status.role} may do more than read {', '.join(writable)}: "
            "grant it SELECT on the mirrored tables and nothing else",
        )
    else:
        yield passed("rights", "SELECT only")
    kind = "a standby" if status.is_standby else "a primary"
    yield passed("server", f"PostgreSQL {status.version}, {kind}")
    if status.is_standby:
        yield warning(
            "standby",
            "every sync digests all rows, and replay may cancel it: "
            "hot_standby_feedback = on keeps the rows that it reads",
        )
    if status.statement_timeout != "0":
        yield warning(
            "timeout",
            f"statement_timeout is {status.statement_timeout}: "
            "a sync whose digest takes longer fails",
        )
    yield check_clock(status.clock)
    yield passed("snapshot", f"was open for {view.seconds_open():.1f} s")
