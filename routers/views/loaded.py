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
    schemas = {name: columns for name, columns in tables.items() if columns}
    binding = _Binding(schemas, tables.keys() - schemas.keys())
    errors = list(catalogue.errors)
    for definition in catalogue.definitions:
        try:
            binding.add(definition)
        except ValueError as error:
            errors.append(definition.error(str(error), definition.sql_line))
    bound = replace(catalogue, definitions=tuple(binding.bound), errors=tuple(errors))
    return LoadedViews(bound, binding.columns)


@dataclass(slots=True)
class _Binding:
    """Finds the columns of one definition after another: of inputs first."""

    schemas: dict[str, Columns]
    """Columns of the tables that may be read."""
    unknown: set[str]
    """Tables whose columns are not known."""
    columns: dict[str, Columns] = field(default_factory=dict)
    bound: list[Definition] = field(default_factory=list)

    def add(self, definition: Definition) -> None:
        """Raises ValueError if DuckDB cannot bind *definition*."""
        if self.unknown.isdisjoint(definition.inputs):
            self._bind(definition)
        elif definition.object is not None:
            self.unknown.add(definition.object)
        self.bound.append(definition)

    def _bind(self, definition: Definition) -> None:
        columns = self._columns(definition)
        self.columns[definition.name] = columns
        if definition.object is not None:
            self.schemas[definition.object] = columns

    def _columns(self, definition: Definition) -> Columns:
        """Almost always the values of a HUGEINT fit, and are stored as Int64."""
        from sqlfiles import session

        for name in definition.inputs:
            if name not in self.schemas:
                raise ValueError(f"its input {name} has an error")
        found = session.bind(definition, self.schemas)
        return {each.name: "Int64" if each.wide else each.dtype for each in found}
