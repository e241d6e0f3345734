"""Figures as a table of one row, with those of a comparison beside them."""

import polars as pl
from pydantic import BaseModel

from calculations.period import Period
from readmodel.store.snapshot import Snapshot
from routers.formats.documents import columns_of
from routers.formats.table import TableAnswer, TableColumn
from util.json_types import JsonMapping


def figures_table(
    title: str,
    model: type[BaseModel],
    figures: JsonMapping,
    period: Period,
    snapshot: Snapshot,
) -> TableAnswer:
    """The fields of *model* in *figures*, as `collect_figures` returns them.

    With a comparison there are also ``previous_…`` and ``change_…`` per figure.
    """
    columns = columns_of(model)
    row = {column.name: figures[column.name] for column in columns}
    if "previous" in figures:
        previous, change = dict(figures["previous"]), figures["change"]
        row |= {f"previous_{name}": value for name, value in previous.items()}
        row |= {f"change_{name}": value for name, value in change.items()}
        columns = (*columns, *_compared(columns))
    return TableAnswer(
        title=title,
        rows=pl.DataFrame([row], schema={n: _dtype(n, v) for n, v in row.items()}),
        columns=columns,
        description=str(model.__doc__),
        range=period.range,
        zone=period.zone.key,
        data_updated_at=snapshot.taken_at,
    )


def _compared(columns: tuple[TableColumn, ...]) -> list[TableColumn]:
    return [
        *(
            TableColumn(f"previous_{c.name}", f"{c.meaning} In the previous range.")
            for c in columns
        ),
        *(
            TableColumn(
                f"change_{c.name}", f"Change of {c.name} from the previous range.", "%"
            )
            for c in columns
        ),
    ]


def _dtype(name: str, value: object) -> pl.DataType:
    is_count = isinstance(value, int) and not name.startswith("change_")
    return pl.Int64() if is_count else pl.Float64()
