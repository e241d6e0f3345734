"""PostgreSQL as a source: one read-only transaction, rows packed by COPY.

Nothing but SELECT rights is needed.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain, pairwise
from typing import TYPE_CHECKING

from readmodel.source.addresses import is_local
from readmodel.source.blocking import (
    EVERYTHING,
    Block,
    Blocking,
    BlockRange,
    KeyBounds,
    KeyKind,
    KnownBlocks,
    in_order,
)
from readmodel.source.postgres import sql, vouching
from readmodel.source.postgres.columns import Attribute, column
from readmodel.source.postgres.errors import (
    LOCK_SECONDS,
    explained,
    is_passing,
    is_ungranted,
)
from readmodel.source.postgres.faults import ServerError, TextRow
from readmodel.source.postgres.vouching import Mark
from readmodel.source.protocol import READ_SECONDS, PassingFault
from readmodel.source.wire import Batch, Column, decode
from readmodel.tables import Table
from util.errors import SourceError

if TYPE_CHECKING:
    from readmodel.source.postgres.connection import Connection

VERIFYING_MODES = ("verify-ca", "verify-full")
"""Values of sslmode."""
NOT_IN_CLEAR_TEXT = "!password"
"""Value of require_auth."""

CONNECT_SECONDS = 10
"""A server that is frozen, or a network that swallows packets, ends the run."""

OLDEST_VERSION = 140_000
# A digest of this many takes some two minutes, well below READ_SECONDS.
DIGEST_ROWS = 50_000_000
# Ids per row up to which an estimate of the rows is believed.
DENSE = 4


# One savepoint at a time: whatever fails after it can be undone alone.
_STEP = "RELEASE SAVEPOINT step; SAVEPOINT step; "


@dataclass(frozen=True, slots=True)
class PostgresSource:
    """Where the database is, and who may read it.

    `options` are further parameters of libpq, such as sslmode.
    """

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    database: str
    options: Mapping[str, str] = field(default_factory=dict)
    read_seconds: int = READ_SECONDS

    @property
    def name(self) -> str:
        """The database and its server, without secrets."""
        return f"{self.database} on {self.host}:{self.port}"

    @property
    def is_local(self) -> bool:
        """True if the server is on this host, so that nobody is in between."""
        return is_local(self.options.get("hostaddr", self.host))

    @property
    def is_verified(self) -> bool:
        """True if only a server with a certificate of a known authority is accepted."""
        return self.options.get("sslmode") in VERIFYING_MODES

    @property
    def connect_seconds(self) -> int:
        """How long a connection may take; libpq's least is 2 s."""
        return max(2, min(CONNECT_SECONDS, self.read_seconds))

    @contextmanager
    def view(self, tables: Sequence[Table] = ()) -> Iterator["PostgresView"]:
        """Open one instant of *tables*, which are locked before it is taken.

        A table that cannot be locked is reported when it is read.
        Raises SourceError that says what to do.
        """
        with explained(self):
            # psycopg costs time and memory, and may not be installed.
            from readmodel.source.postgres.connection import (
                Connection,
            )

            connection = Connection.open(self._login(), self.read_seconds)
        try:
            if connection.server_version < OLDEST_VERSION:
                raise SourceError(
                    f"{self.name} is older than PostgreSQL {OLDEST_VERSION // 10_000}, "
                    "the oldest version that can be mirrored"
                )
            with explained(self):
                connection.query(sql.BEGIN.format(lock_seconds=LOCK_SECONDS))
            view = PostgresView(self, connection)
            view.lock(tables)
            view.take_snapshot()
            yield view
            with suppress(SourceError), explained(self):
                connection.query("COMMIT")
        finally:
            connection.close()

    def _login(self) -> dict[str, str | int]:
        return {
            "host": self.host,
            "port": self.port,
            "user": self.user,
            "password": self.password,
            "dbname": self.database,
            "connect_timeout": self.connect_seconds,
            "client_encoding": "UTF8",
            # Also keeps PGOPTIONS out.
            "options": "",
            "application_name": "fpp-analytics",
            **self._password_rule(),
            **self.options,
        }

    def _password_rule(self) -> dict[str, str]:
        """Send no password in clear text where nobody knows who would get it.

        The server chooses how a client logs in. Anybody between us and the database
        could choose, too, and TLS without an authority keeps its words from others only.
        """
        if self.is_local or self.is_verified:
            return {}
        return {"require_auth": NOT_IN_CLEAR_TEXT}


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """What `doctor` shows of a server: who reads it, what it is, and its time."""

    role: str
    version: str
    is_standby: bool
    statement_timeout: str
    clock: datetime


class PostgresView:
    """One instant of the database: the methods of `protocol.View`."""

    digest_format = 1

    def __init__(self, source: PostgresSource, connection: "Connection") -> None:
        self._source = source
        self._connection = connection
        self._unreadable: dict[str, SourceError] = {}
        self._locked: set[str] = set()
        self._bounds: dict[str, KeyBounds] = {}
        self._marks: dict[str, Mark | None] = {}

    @property
    def is_encrypted(self) -> bool:
        """Whether the session uses TLS."""
        return self._connection.is_encrypted

    def status(self) -> ServerStatus:
        """Ask the server about itself."""
        ((role, version, is_standby, timeout, clock),) = self.execute(sql.STATUS)
        assert role
        assert version
        assert timeout
        assert clock
        return ServerStatus(
            role, version, is_standby == "t", timeout, datetime.fromisoformat(clock)
        )

    def may_write(self, table: Table) -> bool:
        """Whether the role may change the rows of *table*, which it may read."""
        return table.name in self._locked and self.execute(
            sql.may_write(table.name), table
        ) == [("t",)]

    def seconds_open(self) -> float:
        """For how long the transaction has been open, by the server's clock."""
        ((seconds,),) = self.execute(sql.SECONDS_OPEN)
        return float(seconds or 0)

    def lock(self, tables: Iterable[Table]) -> None:
        """Keep *tables* from being truncated or altered while the view is open.

        A TRUNCATE or an ALTER TABLE that rewrites is not transactional for a snapshot
        that is older: the table would look empty.
        """
        for table in tables:
            try:
                self._lock(table)
                self._locked.add(table.name)
            except SourceError as error:
                if isinstance(error, PassingFault) and not is_ungranted(
                    error.__cause__
                ):
                    raise
                self._unreadable[table.name] = error

    def _lock(self, table: Table) -> None:
        with explained(self._source, table.name):
            try:
                self._connection.query(f"SAVEPOINT one; {sql.lock(table.name)}")
            except ServerError as error:
                if is_ungranted(error) or not is_passing(error):
                    self._connection.query("ROLLBACK TO SAVEPOINT one")
                raise
            self._connection.query("RELEASE SAVEPOINT one")

    def take_snapshot(self) -> None:
        """Fix the instant; what is committed from now on is not seen."""
        with explained(self._source):
            self._connection.query(f"{sql.SNAPSHOT}; SAVEPOINT step")

    def columns(self, table: Table) -> Sequence[Column]:
        """The columns of *table* in their order, by pg_attribute."""
        if error := self._unreadable.get(table.name):
            raise error
        if table.name not in self._locked:
            raise SourceError(f"{table.name} was not named when the view was opened")
        return [
            column(_attribute(row), self._connection.server_version)
            for row in self.execute(sql.columns(table.name), table)
        ]

    def hides_columns(self, table: Table) -> bool:  # noqa: ARG002 - the protocol's
        """Return False: the catalog also lists columns that may not be read."""
        return False

    def key_bounds(self, table: Table) -> KeyBounds | None:
        """Read the bounds of an integer key; None when no row has a key."""
        statement = sql.key_bounds(table.name, table.key)
        ((low, high, estimate),) = self.execute(statement, table)
        if low is None or high is None:
            return None
        rows = int(estimate or 0)
        if rows <= 0 or int(high) - int(low) >= DENSE * rows:
            rows = self._count(table)
        bounds = KeyBounds(int(low), int(high), rows)
        self._bounds[table.name] = bounds
        return bounds

    def _count(self, table: Table) -> int:
        count = f"SELECT count(*) FROM {sql.qualified(table.name)}"
        return _number(self.execute(count, table)[0][0])

    def blocks(
        self,
        table: Table,
        columns: Sequence[Column],
        blocking: Blocking,
        block_range: BlockRange = EVERYTHING,
    ) -> Sequence[Block]:
        """Digest the blocks of *block_range* that contain rows, sorted by number."""
        block_sql = sql.BlockSql(columns, blocking)
        slices = map(block_sql.in_range, self._slices(table, blocking, block_range))
        found = (self._digest(table, columns, block_sql, where) for where in slices)
        return in_order(chain.from_iterable(found))

    def _slices(
        self, table: Table, blocking: Blocking, block_range: BlockRange
    ) -> list[BlockRange]:
        """Divide all blocks of a very large table: a digest is silent until its end."""
        bounds = self._bounds.get(table.name)
        if (
            bounds is None
            or block_range != EVERYTHING
            or blocking.key_kind is KeyKind.TIME
        ):
            return [block_range]
        first, last = bounds.low // blocking.width, bounds.high // blocking.width
        slices = -(-bounds.row_estimate // DIGEST_ROWS)
        step = -(-(last - first + 1) // max(1, slices))
        edges = [None, *range(first + step, last + 1, step), None]
        return [
            BlockRange(low, None if high is None else high - 1)
            for low, high in pairwise(edges)
        ]

    def blocks_since(
        self,
        table: Table,
        columns: Sequence[Column],
        blocking: Blocking,
        known: Sequence[KnownBlocks],
        block_range: BlockRange = EVERYTHING,
    ) -> Sequence[Block]:
        """Return what `blocks` does; *known* blocks that are unchanged are not digested."""
        block_sql = sql.BlockSql(columns, blocking)
        where = block_sql.in_range(block_range)
        candidates, xmin = vouching.usable(self._mark(table), known)
        if not candidates:
            return self.blocks(table, columns, blocking, block_range)
        ages = self.execute(sql.ages(table.name, block_sql, xmin, where), table)
        same, doubtful = vouching.unchanged(candidates, ages)
        if doubtful:
            where = f"({where}) AND ({block_sql.within(doubtful)})"
            same += self._digest(table, columns, block_sql, where)
        return in_order(same)

    def _digest(
        self,
        table: Table,
        columns: Sequence[Column],
        block_sql: sql.BlockSql,
        where: str,
    ) -> list[Block]:
        found = self.execute(sql.digests(table.name, columns, block_sql, where), table)
        return [
            Block(_optional(number), _number(rows), _number(digest))
            for number, rows, digest in found
        ]

    def mark(self, table: Table) -> str | None:
        """What lets a later view vouch for the blocks of this one; None if nothing can."""
        mark = self._mark(table)
        return None if mark is None else mark.encode()

    def _mark(self, table: Table) -> Mark | None:
        if table.name not in self._marks:
            self._marks[table.name] = self._find_mark(table)
        return self._marks[table.name]

    def _find_mark(self, table: Table) -> Mark | None:
        try:
            return vouching.mark_of(
                table.name, lambda statement: self.execute(statement, table)
            )
        except PassingFault:
            raise
        except SourceError:
            # The role may not call what the guards need.
            return None

    def rows(
        self,
        table: Table,
        columns: Sequence[Column],
        blocking: Blocking,
        blocks: Sequence[Block],
    ) -> Iterator[Batch]:
        """The rows of *blocks*, in bounded batches."""
        wanted = sum(block.rows for block in blocks)
        numbers = [block.number for block in blocks]
        where = sql.BlockSql(columns, blocking).within(numbers)
        statement = sql.copy(table.name, columns, where)
        came = 0
        with self._step(table):
            for text, rows in self._connection.copy(_STEP + statement):
                came += rows
                try:
                    yield decode(table, text, columns, rows)
                except SourceError:
                    self._connection.abandon_copy()
                    raise
        if came != wanted:
            raise PassingFault(
                f"{table.name}: {came} rows came where {wanted} were counted; "
                "a view must give the same rows each time"
            )

    def execute(self, statement: str, table: Table | None = None) -> list[TextRow]:
        """The rows of *statement*. Raises SourceError, which names *table*."""
        with self._step(table):
            return self._connection.query(_STEP + statement)

    @contextmanager
    def _step(self, table: Table | None) -> Iterator[None]:
        """Raise errors as SourceError; go back to before it, so that others can follow.

        An error would otherwise end the transaction, and with it the instant.
        """
        with explained(self._source, table.name if table else None):
            try:
                yield
            except (ServerError, SourceError) as error:
                if isinstance(error, SourceError) or not is_passing(error):
                    self._connection.query("ROLLBACK TO SAVEPOINT step")
                raise


def _attribute(row: TextRow) -> Attribute:
    name, kind, builtin, modifier, money_scale = row
    assert name is not None
    assert kind is not None
    return Attribute(
        name, kind, builtin == "t", _number(modifier), _number(money_scale)
    )


def _number(text: str | None) -> int:
    assert text is not None, "the server gave NULL for a number"
    return int(text)


def _optional(text: str | None) -> int | None:
    return None if text is None else int(text)
