"""The reading session: every variable that decides what a SELECT returns is pinned.

The server's administrator sets defaults for all sessions, globally or by init_connect.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from readmodel.source.mysql.columns import identifier

# The largest possible packet, less one: servers multiply it by the bytes of a character
# within 32 bits, which would turn 2 ** 30 into 0.
TEXT_BYTES: Final = 2**30 - 1
NO_LIMIT: Final = 2**64 - 1
DAY_SECONDS: Final = 86_400

FIRST: Final = f"SET SESSION sql_select_limit = {NO_LIMIT}, sql_mode = ''"
"""Comes before all others: this limit applies to SHOW, too."""

PINNED: Final[Mapping[str, int | str]] = {
    # How many rows a SELECT returns, and which.
    "sql_select_limit": NO_LIMIT,
    "max_join_size": NO_LIMIT,  # any other value turns sql_big_selects off
    "sql_big_selects": 1,
    "sql_safe_updates": 0,
    "sql_auto_is_null": 0,  # IS NULL would select the row that was inserted last
    "system_versioning_asof": "DEFAULT",
    "wsrep_dirty_reads": 0,
    "use_secondary_engine": "OFF",
    "query_cache_type": 0,
    # How long it may take. Our own time limit for reading applies.
    "max_statement_time": 0,
    "max_execution_time": 0,
    "wait_timeout": DAY_SECONDS,
    "idle_transaction_timeout": 0,
    "idle_readonly_transaction_timeout": 0,
    "idle_write_transaction_timeout": 0,
    "net_read_timeout": 600,
    "net_write_timeout": 600,
    # How values are computed, converted and compared.
    "time_zone": "+00:00",
    "sql_mode": "",
    "old_mode": "",
    "div_precision_increment": 4,
    "group_concat_max_len": TEXT_BYTES,
    "max_sort_length": 1024,
    "lc_time_names": "en_US",
    "character_set_client": "utf8mb4",
    "character_set_results": "utf8mb4",
    "collation_connection": "utf8mb4_bin",
    # How rows are grouped: sorted with their values, which else are read once more each.
    "max_length_for_sort_data": 65_536,
    # Which columns the catalog lists.
    "show_gipk_in_create_table_and_information_schema": 1,
    # What else an answer contains.
    "session_track_schema": 0,
    "session_track_state_change": 0,
    "session_track_system_variables": "",
    "session_track_transaction_info": "OFF",
    "session_track_gtids": "OFF",
    # What a transaction is.
    "autocommit": 1,
    "completion_type": "NO_CHAIN",
    "tx_isolation": "REPEATABLE-READ",
    "transaction_isolation": "REPEATABLE-READ",
    "innodb_lock_wait_timeout": 50,
    "lock_wait_timeout": 50,
}
"""Variable -> its value for reading; a server lacks some of them."""

BEGIN: Final = "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"
SAVEPOINT: Final = "SAVEPOINT before_table"
RELEASE_LOCKS: Final = "ROLLBACK TO SAVEPOINT before_table"
"""Ends the locks on the tables that were read; the snapshot stays."""


def prepare(connection: Any, database: str) -> None:
    """Pin the variables of a new session. Raises the driver's errors."""
    with connection.cursor() as cursor:
        cursor.execute(FIRST)
        names = ", ".join(f"'{name}'" for name in PINNED)
        cursor.execute(f"SHOW SESSION VARIABLES WHERE variable_name IN ({names})")
        present = {_text(name).lower(): _text(value) for name, value in cursor}
        if assignments := list(_assignments(present)):
            cursor.execute(f"SET SESSION {', '.join(assignments)}")
        # init_connect may have chosen another database, or begun a transaction.
        cursor.execute(f"USE {identifier(database)}")
        # This comes first: under READ COMMITTED, a "consistent snapshot" is silently none.
        cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")


def begin(connection: Any) -> None:
    """Start the transaction that is read. Raises the driver's errors."""
    with connection.cursor() as cursor:
        cursor.execute(BEGIN)
        cursor.execute(SAVEPOINT)


def _assignments(present: Mapping[str, str]) -> Iterator[str]:
    """The assignments of the variables that the server has with another value."""
    for name, value in PINNED.items():
        if name in present and present[name] not in _spellings(value):
            literal = value if isinstance(value, int) else f"'{value}'"
            yield f"{name} = {literal}"


def _spellings(value: int | str) -> tuple[str, ...]:
    """How SHOW VARIABLES may spell *value*: 1 is ON, too."""
    match value:
        case 0:
            return ("0", "OFF", "0.000000")
        case 1:
            return ("1", "ON")
        case _:
            return (str(value),)


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes | bytearray) else str(value)
