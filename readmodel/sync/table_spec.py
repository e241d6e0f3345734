"""A table as the database declares it now, and how it is divided into blocks."""

from collections.abc import Sequence
from dataclasses import dataclass

from readmodel.dtypes import dtype_name
from readmodel.source.blocking import Blocking, KeyKind, block_width, choose_blocking
from readmodel.source.protocol import View
from readmodel.source.wire import Column
from readmodel.tables import Table
from util.errors import SourceError


@dataclass(frozen=True, slots=True)
class TableSpec:
    """A table, as the database declares it at this instant, and how it is cut."""

    table: Table
    columns: Sequence[Column]
    cut: Blocking

    @property
    def stored_columns(self) -> dict[str, str]:
        return {column.name: dtype_name(column.dtype) for column in self.columns}


def table_spec(view: View, table: Table, width: int | None = None) -> TableSpec:
    """The table's shape now; *width* is how it was cut before, if it was.

    Raises SourceError for what the statistics would miss.
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
    return TableSpec(table, columns, _cut(view, table, columns, width))


def _cut(
    view: View, table: Table, columns: Sequence[Column], width: int | None
) -> Blocking:
    cut = choose_blocking(table, columns)
    extent = view.key_bounds(table) if cut.key_kind is KeyKind.NUMBER else None
    if extent is None:
        return cut
    return choose_blocking(table, columns, block_width(extent, width))
