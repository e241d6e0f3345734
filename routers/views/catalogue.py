"""The answer of `GET /views`: every derived table and report, described."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import polars as pl
from pydantic import BaseModel, Field

from readmodel.store.manifest import DerivedState, Manifest
from readmodel.store.snapshot import Snapshot
from routers.formats.table import type_name
from routers.views.kept import KeptTable, kept_since, kept_tables
from routers.views.loaded import LoadedViews
from routers.views.parameters import FilterParameter, filter_parameters
from sqlfiles.definition import Definition, DefinitionError, Parameter
from util.json_types import JsonObject


class ViewColumn(BaseModel, defer_build=True):
    """A column of the rows."""

    name: str = Field(examples=["votes"])
    type: str = Field(
        description="Such as integer, number, text, date, timestamp or decimal(10,2).",
        examples=["integer"],
    )
    unit: str = Field(description="Of the values; may be empty.", examples=["seconds"])
    meaning: str = Field(description="May be empty.")


class ViewParameter(BaseModel, defer_build=True):
    """A parameter of a report."""

    name: str
    type: str = Field(
        description="text, integer, number, boolean, date or timestamp.",
        examples=["integer"],
    )
    required: bool
    default: Any = Field(description="Used without the parameter; may be null.")
    minimum: Any = None
    maximum: Any = None
    unit: str = ""
    meaning: str = ""


class ViewFilter(BaseModel, defer_build=True):
    """A query parameter that narrows a derived table."""

    parameter: str = Field(examples=["hour.gte"])
    column: str = Field(examples=["hour"])
    operator: str = Field(description="=, !=, >, >=, <, <= or in.", examples=[">="])


class ViewLimit(BaseModel, defer_build=True):
    """The number of rows in an answer."""

    default: int
    maximum: int


class ViewDescription(BaseModel, defer_build=True):
    """A derived table or a report."""

    name: str
    object: str | None = Field(description="The table's name; null for a report.")
    type: str = Field(examples=["materialized_view"])
    description: str
    address: str = Field(examples=["/views/room_leaderboard"])
    route: str | None = Field(description="A second address, if there is one.")
    columns: list[ViewColumn] = Field(
        description="Empty until the tables are mirrored."
    )
    parameters: list[ViewParameter]
    filters: list[ViewFilter]
    order: list[str] = Field(
        description="Columns to sort by; - before a column is descending.",
        examples=[["-votes", "name"]],
    )
    limit: ViewLimit | None = Field(description="null if all rows are returned.")
    tests: list[str] = Field(description="Checked at each build.")
    inputs: list[str] = Field(description="The tables that are read.")
    zone: str = Field(description="IANA time zone of dates and hours.")
    file: str
    line: int
    sql: str = Field(description="Empty if the definition has an error.")
    rows: int | None = Field(description="null for a report, and before a build.")
    built_at: datetime | None = Field(
        description="The instant (UTC) of the data that the table was built from."
    )
    stale_since: datetime | None = Field(
        description="Since when builds have failed; null if the last one succeeded."
    )
    failed_because: str | None = Field(description="Why the last build failed.")


class ViewError(BaseModel, defer_build=True):
    """A definition that is not used."""

    file: str
    line: int
    name: str | None
    message: str


class ViewsAnswer(BaseModel, defer_build=True):
    """All derived tables, in the order in which they are built, then all reports.

    A table whose definition has an error comes last, as its last good build left it:
    `stale_since` and `failed_because` are set, and `sql` is empty.
    """

    data_updated_at: datetime = Field(
        description="The instant (UTC) at which the snapshot equals the database."
    )
    views: list[ViewDescription]
    reports: list[ViewDescription]
    errors: list[ViewError]
    unmirrored: list[ViewError] = Field(
        description="Definitions that read tables of the statistics which TABLES does "
        "not mirror. They are correct, and not used."
    )


def describe_views(loaded: LoadedViews, snapshot: Snapshot) -> ViewsAnswer:
    """Describe every definition, with the state of its table in *snapshot*."""
    catalogue, manifest = loaded.catalogue, snapshot.manifest
    return ViewsAnswer(
        data_updated_at=snapshot.taken_at,
        views=[
            *(_describe(d, loaded, manifest) for d in catalogue.tables),
            *(
                _describe_kept(kept, loaded, manifest)
                for kept in kept_tables(catalogue, manifest)
                if manifest
            ),
        ],
        reports=[_describe(d, loaded, manifest) for d in catalogue.reports],
        errors=list(map(_error, catalogue.errors)),
        unmirrored=list(map(_error, catalogue.unmirrored)),
    )


def address(definition: Definition) -> str:
    """The path of a definition's answer, without an extension."""
    if definition.object is not None and definition.is_table:
        return f"/views/{definition.object}"
    return f"/reports/{definition.name}"


def _describe(
    definition: Definition, loaded: LoadedViews, manifest: Manifest | None
) -> ViewDescription:
    object_name = definition.object or ""
    state = manifest.derived.get(object_name) if manifest else None
    stored = manifest.tables.get(object_name) if manifest and state else None
    limit = definition.limit
    return ViewDescription(
        name=definition.name,
        object=definition.object,
        type=definition.type,
        description=definition.description,
        address=address(definition),
        route=definition.route,
        columns=view_columns(
            definition, stored.schema if stored else loaded.schema(definition)
        ),
        parameters=list(map(_parameter, definition.parameters)),
        filters=list(map(_filter, filter_parameters(definition))),
        order=[f"{'-' * term.descending}{term.column}" for term in definition.order],
        limit=limit and ViewLimit(default=limit.default, maximum=limit.maximum),
        tests=[test.text for test in definition.tests],
        inputs=list(definition.inputs),
        zone=definition.zone.key,
        file=definition.file,
        line=definition.line,
        sql=definition.sql,
        rows=stored.rows if stored else None,
        **_freshness(state),
    )


def _describe_kept(
    kept: KeptTable, loaded: LoadedViews, manifest: Manifest
) -> ViewDescription:
    description = _describe(kept.definition, loaded, manifest)
    stale_since = kept_since(manifest.derived[str(kept.definition.object)], manifest)
    changes = {"stale_since": stale_since, "failed_because": str(kept.error)}
    return description.model_copy(update=changes)


def _freshness(state: DerivedState | None) -> JsonObject:
    names = ("built_at", "stale_since", "failed_because")
    return {name: getattr(state, name) if state else None for name in names}


def view_columns(definition: Definition, schema: pl.Schema) -> list[ViewColumn]:
    """The columns of a definition's rows."""
    return [
        ViewColumn(
            name=name,
            type=type_name(dtype),
            unit=definition.note(name).unit,
            meaning=definition.note(name).meaning,
        )
        for name, dtype in schema.items()
    ]


def _parameter(parameter: Parameter) -> ViewParameter:
    return ViewParameter(
        name=parameter.name,
        type=parameter.type,
        required=parameter.required,
        default=parameter.default,
        minimum=parameter.minimum,
        maximum=parameter.maximum,
        unit=parameter.unit,
        meaning=parameter.meaning,
    )


def _filter(found: FilterParameter) -> ViewFilter:
    return ViewFilter(
        parameter=found.name, column=found.column, operator=found.operator
    )


def _error(error: DefinitionError) -> ViewError:
    return ViewError(
        file=error.file, line=error.line, name=error.name, message=error.message
    )


def find_error(
    errors: Sequence[DefinitionError], object_or_name: str
) -> DefinitionError | None:
    """The error of the definition with this object or name."""
    found = (e for e in errors if object_or_name in (e.object, e.name))
    return next(found, None)
