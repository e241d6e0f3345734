"""A table as the database declares it now, and how it is divided into blocks."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from readmodel.dtypes import dtype_name
from readmodel.source.blocking import Blocking, KeyKind, block_width, choose_blocking
from readmodel.source.protocol import RenewingView, View
from readmodel.source.wire import Column
from readmodel.tables import Table
from util.errors import SourceError


@dataclass(frozen=True, slots=True)
class TableSpec:
    """A table, its columns as declared at this instant, and its division into blocks.

    `row_estimate` is 0 if only a scan would tell.
    """

    table: Table
    columns: Sequence[Column]
    blocking: Blocking
    hides_columns: bool = False
    row_estimate: int = 0

    @property
    def name(self) -> str:
        """The name of the table."""
        return self.table.name

    @property
    def stored_columns(self) -> dict[str, str]:
        """Column names -> dtypes, as the manifest spells them."""
        return {column.name: dtype_name(column.dtype) for column in self.columns}


def table_spec(view: View, table: Table, stored_width: int | None = None) -> TableSpec:
    """Read the declaration of *table* and choose its blocks.

    *stored_width* is the block width of its stored parts, which is kept if it still
    serves. Raises SourceError when a column that the statistics need is missing or has
    an unsuitable type.
    """
    columns = view.columns(table)
    dtypes = {column.name: column.dtype for column in columns}
    for name, kind in table.needs.items():
        if name not in dtypes:
            raise SourceError(f"{table.name} has no column {name}, which is needed")
        if not kind.fits(dtypes[name]):
            raise SourceError(
                f"{table.name}.{name} holds {dtypes[name]}, but must be {kind.value}"
            )
    blocking, row_estimate = _blocking(view, table, columns, stored_width)
    blocking = replace(
        blocking,
        digest_format=view.digest_format,
        earlier_format=view.earlier_format if isinstance(view, RenewingView) else None,
    )
    return TableSpec(table, columns, blocking, view.hides_columns(table), row_estimate)


def _blocking(
    view: View, table: Table, columns: Sequence[Column], stored_width: int | None
) -> tuple[Blocking, int]:
    """The blocks of *table*, and about how many rows it has."""
    blocking = choose_blocking(table, columns)
    bounds = view.key_bounds(table) if blocking.key_kind is KeyKind.NUMBER else None
    if bounds is None:
        return blocking, 0
    width = block_width(bounds, stored_width)
    return choose_blocking(table, columns, width), bounds.row_estimate
