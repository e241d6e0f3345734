"""The definitions of VIEWS_DIR with the columns that they give."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import polars as pl

from readmodel.dtypes import parse_dtype
from sqlfiles.catalogue import Catalogue
from sqlfiles.definition import Definition

type Columns = Mapping[str, str]
"""Names of columns with their dtypes, as the manifest spells them."""


@dataclass(frozen=True, slots=True)
class LoadedViews:
    """Definitions without errors, and the errors of the others.

    `columns` are the results' columns by the name of the definition; without a read
    model they are unknown and there are none.
    """

    catalogue: Catalogue = field(default_factory=Catalogue)
    columns: Mapping[str, Columns] = field(default_factory=dict)

    def schema(self, definition: Definition) -> pl.Schema:
        """Columns and dtypes of a definition's rows; empty if they are unknown."""
        columns = self.columns.get(definition.name, {})
        return pl.Schema({name: parse_dtype(dtype) for name, dtype in columns.items()})

    def by_route(self, path: str) -> Definition | None:
        """The definition with this `@route`."""
        found = (d for d in self.catalogue.definitions if d.route == path)
        return next(found, None)


def bind_all(catalogue: Catalogue, tables: Mapping[str, Columns]) -> LoadedViews:
    """Find the columns of all definitions, given those of the mirrored *tables*.

    A definition that DuckDB cannot bind becomes an error, and with it all that read it.
    One that reads a table without columns stays, and its own are unknown.
    """
    from sqlfiles import session

    schemas = {name: columns for name, columns in tables.items() if columns}
    unknown = tables.keys() - schemas.keys()
    columns = dict[str, Columns]()
    errors, bound = list(catalogue.errors), list[Definition]()
    for definition in catalogue.definitions:
        if not unknown.isdisjoint(definition.inputs):
            if definition.object is not None:
                unknown.add(definition.object)
            bound.append(definition)
            continue
        line = definition.sql_line
        missing = [name for name in definition.inputs if name not in schemas]
        if missing:
            errors.append(
                definition.error(f"its input {missing[0]} has an error", line)
            )
            continue
        try:
            result = session.bind(definition, schemas)
        except ValueError as error:
            errors.append(definition.error(str(error), line))
            continue
        columns[definition.name] = {
            # Almost always the values of a HUGEINT fit, and are stored as Int64.
            column.name: "Int64" if column.wide else column.dtype
            for column in result
        }
        if definition.object is not None:
            schemas[definition.object] = columns[definition.name]
        bound.append(definition)
    return LoadedViews(
        replace(catalogue, definitions=tuple(bound), errors=tuple(errors)), columns
    )
