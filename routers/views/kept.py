"""Derived tables whose definition has an error: the rows of the last good build."""

from collections.abc import Iterator
from datetime import datetime
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from readmodel.store.manifest import DerivedState, Manifest, StoredTable
from routers.views.parameters import MAX_LIMIT, SUFFIXES
from sqlfiles.catalogue import Catalogue
from sqlfiles.definition import (
    Definition,
    DefinitionError,
    DefinitionType,
    Filter,
    RowLimit,
    Statement,
)

DEFAULT_ROWS: Final = 1_000
"""Rows of an answer: the definition's own `@limit` is unknown."""

_UNKNOWN: Final = Statement("", (), (), (), False, "")


class KeptTable(NamedTuple):
    """A table of the snapshot, and the error that keeps it from being built again.

    Of `definition` only what the snapshot knows is there. Its filters are all columns
    with all operators, so that filters of the last good definition go on working.
    """

    definition: Definition
    error: DefinitionError


def kept_tables(catalogue: Catalogue, manifest: Manifest | None) -> list[KeptTable]:
    """The tables in *manifest* that only definitions with an error explain."""
    return list(_kept_tables(catalogue, manifest)) if manifest else []


def _kept_tables(catalogue: Catalogue, manifest: Manifest) -> Iterator[KeptTable]:
    defined = {definition.object for definition in catalogue.tables}
    for name, state in manifest.derived.items():
        stored = manifest.tables.get(name)
        if stored is None or name in defined:
            continue
        errors = (e for e in catalogue.errors if _may_define(e, name, state))
        if error := next(errors, None):
            yield KeptTable(_definition(name, state, stored, error), error)


def is_kept(definition: Definition) -> bool:
    """True if *definition* is that of a `KeptTable`."""
    return definition.statement is _UNKNOWN


def kept_since(state: DerivedState, manifest: Manifest) -> datetime:
    """Since when a kept table is stale.

    The error may be newer than the last sync; the rows then are of the snapshot, and
    this is its instant.
    """
    return state.stale_since or manifest.taken_at


def _may_define(error: DefinitionError, name: str, state: DerivedState) -> bool:
    """True if *error* keeps the table *name* from being built.

    An error that names no table counts for every table of its file, as for the updater.
    """
    if error.object is None:
        return error.file == state.file
    return error.object.lower() == name.lower()


def _definition(
    name: str, state: DerivedState, stored: StoredTable, error: DefinitionError
) -> Definition:
    return Definition(
        name=state.name,
        type=DefinitionType.MATERIALIZED_VIEW,
        object=name,
        file=error.file,
        line=error.line,
        sql="",
        sql_line=error.line,
        zone=ZoneInfo(state.zone),
        statement=_UNKNOWN,
        inputs=state.inputs,
        filters=tuple(
            Filter(column, tuple(SUFFIXES))
            for column, dtype in stored.schema.items()
            if not dtype.is_nested()
        ),
        limit=RowLimit(DEFAULT_ROWS, MAX_LIMIT),
    )
