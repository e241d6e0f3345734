"""A server of MySQL or MariaDB: the user's rights, the clock, and locks of a sync."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from readmodel.source.mysql.view import MysqlView
from readmodel.store import run_log
from updater.doctor.check_result import CheckResult, passed, warning
from updater.doctor.clock import check_clock
from util.errors import StorageError

READ_RIGHTS: Final = {"USAGE", "SELECT", "SHOW VIEW"}
"""What SHOW GRANTS lists for a user that can only read."""


def check_mysql(view: MysqlView, data_dir: Path) -> Iterator[CheckResult]:
    """Check the server of *view*, of which DATA_DIR may have earlier runs."""
    yield _rights(view)
    yield _clock(view)
    yield _locks(data_dir)


def _rights(view: MysqlView) -> CheckResult:
    granted = [bytes(row[0]).decode() for row in view.stream("SHOW GRANTS")]
    more = sorted({right for grant in granted for right in _beyond_reading(grant)})
    if not more:
        return passed("rights", "SELECT only")
    return warning(
        "rights",
        f"the user may do more than read ({', '.join(more)}): "
        "grant it SELECT on the mirrored tables and nothing else",
    )


def _beyond_reading(grant: str) -> set[str]:
    """Rights other than reading in a line of SHOW GRANTS.

    ``GRANT SELECT, INSERT (`a`) ON `d`.* TO …`` gives ``{"INSERT"}``.
    """
    rights = grant.partition("GRANT ")[2].partition(" ON ")[0]
    if not rights or " TO " in rights:  # a role; its rights have lines of their own
        return set()
    named = {right.partition("(")[0].strip() for right in _split_rights(rights)}
    extra = {"GRANT OPTION"} if "WITH GRANT OPTION" in grant else set()
    return (named - READ_RIGHTS) | extra


def _split_rights(rights: str) -> list[str]:
    """Split at commas, except those in brackets, which separate columns."""
    parts, depth = [""], 0
    for character in rights:
        depth += (character == "(") - (character == ")")
        if character == "," and not depth:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def _clock(view: MysqlView) -> CheckResult:
    ((answer,),) = view.stream("SELECT UTC_TIMESTAMP(6)")
    theirs = datetime.fromisoformat(bytes(answer).decode()).replace(tzinfo=UTC)
    return check_clock(theirs)


def _locks(data_dir: Path) -> CheckResult:
    """How long a sync may block changes of a table's definition."""
    try:
        longest = run_log.read_log(data_dir)["milliseconds"].max()
    except StorageError:
        longest = None
    text = (
        "an ALTER, TRUNCATE or DROP TABLE waits while a sync reads that table, "
        "and so do writes behind it"
    )
    if not isinstance(longest, int):
        return passed("locks", f"{text}; the first sync takes the longest")
    return passed(
        "locks", f"{text}: at most {longest / 1000:.1f} s, the longest run in the log"
    )
