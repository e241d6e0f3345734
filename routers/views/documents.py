"""What definitions add to the OpenAPI document: a typed operation per address."""

from collections.abc import Collection, Iterator, Mapping
from datetime import date, datetime
from typing import Final

import polars as pl

from routers.as_of import AS_OF_MEANING
from routers.formats.media import TableFormat, media_type
from routers.formats.table import type_name
from routers.strict_query import AS_OF
from routers.views.catalogue import address
from routers.views.loaded import LoadedViews
from routers.views.parameters import MAX_LIMIT, filter_parameters
from sqlfiles.definition import (
    DURATION,
    Definition,
    Parameter,
    ParameterType,
    ParameterValue,
)
from sqlfiles.keys import RESERVED, placeholders
from util.json_types import JsonObject

_PARAMETER_SCHEMAS: Final[Mapping[ParameterType, JsonObject]] = {
    ParameterType.TEXT: {"type": "string"},
    ParameterType.INTEGER: {"type": "integer"},
    ParameterType.NUMBER: {"type": "number"},
    ParameterType.BOOLEAN: {"type": "boolean"},
    ParameterType.DATE: {"type": "string", "format": "date"},
    ParameterType.TIMESTAMP: {"type": "string", "format": "date-time"},
    ParameterType.DURATION: {"type": "string", "pattern": f"^{DURATION.pattern}$"},
}

_COLUMN_SCHEMAS: Final[Mapping[str, JsonObject]] = {
    "integer": {"type": "integer"},
    "number": {"type": ["number", "string"]},
    "text": {"type": "string"},
    "boolean": {"type": "boolean"},
    "date": {"type": "string", "format": "date"},
    "timestamp": {"type": "string", "format": "date-time"},
    "time": {"type": "string"},
    "list": {"type": "array"},
    "object": {"type": "object"},
    "binary": {"type": "string", "contentEncoding": "base64"},
}


def document_views(
    document: JsonObject, loaded: LoadedViews, routes: Collection[str]
) -> JsonObject:
    """*document* with an operation per derived table, report and route.

    *routes* are the paths of definitions that the application answers.
    """
    paths = dict(document["paths"])
    for definition in loaded.catalogue.definitions:
        table = _Operation(definition, loaded.schema(definition), paths)
        paths[address(definition)] = {"get": table.of_address()}
        if definition.route in routes:
            paths[definition.route] = {"get": table.of_route()}
    return document | {"paths": paths}


class _Operation:
    """The operations of one definition."""

    def __init__(
        self, definition: Definition, schema: pl.Schema, paths: JsonObject
    ) -> None:
        self._definition = definition
        self._schema = schema
        kind = "/views/{object}" if definition.is_table else "/reports/{name}"
        self._generic: JsonObject = paths[kind]["get"]

    def of_address(self) -> JsonObject:
        """Below /views or /reports: a document with definitions and rows."""
        content = dict(self._generic["responses"]["200"]["content"])
        json_type = media_type(TableFormat.JSON)
        schema = content[json_type]["schema"]
        properties = schema["properties"] | {"rows": self._rows()}
        content[json_type] = {"schema": schema | {"properties": properties}}
        return self._operation(self._definition.name, content, set())

    def of_route(self) -> JsonObject:
        """At the route of its own: the rows alone, or the first one."""
        content = dict(self._generic["responses"]["200"]["content"])
        content[media_type(TableFormat.JSON)] = {"schema": self._body_of_route()}
        in_path = set(placeholders(self._definition.route or ""))
        return self._operation(f"{self._definition.name}_route", content, in_path)

    def _body_of_route(self) -> JsonObject:
        rows = self._rows()
        if self._definition.one_with is not None:
            return {"anyOf": [rows["items"], rows]}
        return rows["items"] if self._definition.one else rows

    def _operation(
        self, name: str, content: JsonObject, in_path: set[str]
    ) -> JsonObject:
        definition = self._definition
        ok = self._generic["responses"]["200"] | {"content": content}
        return {
            "tags": self._generic["tags"],
            "summary": name.replace("_", " ").capitalize(),
            "description": definition.description,
            "operationId": f"get_{name}",
            "parameters": list(self._parameters(in_path)),
            "responses": self._generic["responses"] | {"200": ok},
            "security": self._generic["security"],
        }

    def _parameters(self, in_path: set[str]) -> Iterator[JsonObject]:
        definition = self._definition
        for parameter in definition.parameters:
            yield _parameter(parameter, parameter.name in in_path)
        for each in filter_parameters(definition):
            schema = self._column_schema(each.column)
            if each.name_in_path in in_path:
                if each.operator == "=":
                    yield _described(each.name_in_path, "path", schema, "", True)
                continue
            text = f"Only rows with {each.column} {each.operator} this."
            if each.operator == "in":
                schema, text = (
                    {"type": "string"},
                    f"{text} Values are separated by commas.",
                )
            yield _described(each.name, "query", schema, text, False)
        yield from self._page_parameters()

    def _page_parameters(self) -> Iterator[JsonObject]:
        limit = self._definition.limit
        schemas: dict[str, JsonObject] = {
            "order": {"type": "string"},
            "limit": {
                "type": "integer",
                "minimum": 1,
                "maximum": limit.maximum if limit else MAX_LIMIT,
                **({"default": limit.default} if limit else {}),
            },
            "after": {"type": "string"},
            AS_OF: {"type": "string", "format": "date-time"},
        }
        texts = {
            "order": "Columns to sort by, such as `-votes,name`; - is descending.",
            "limit": "Maximum number of rows.",
            "after": "Token of the next page, from `next` or the Link header.",
            AS_OF: AS_OF_MEANING,
        }
        own = {parameter.name for parameter in self._definition.parameters}
        for name in RESERVED:
            if name not in own:
                yield _described(name, "query", schemas[name], texts[name], False)

    def _rows(self) -> JsonObject:
        columns = {name: self._column_schema(name) for name in self._schema}
        return {"type": "array", "items": {"type": "object", "properties": columns}}

    def _column_schema(self, name: str) -> JsonObject:
        note = self._definition.note(name)
        kind = type_name(self._schema[name]) if name in self._schema else ""
        schema = dict(_COLUMN_SCHEMAS.get(kind, {}))
        if kind.startswith("decimal"):
            schema["type"] = "number"
        text = f"{note.meaning} ({note.unit})" if note.unit else note.meaning
        return schema | ({"description": text.strip()} if text else {})


def _parameter(parameter: Parameter, in_path: bool) -> JsonObject:
    schema = dict(_PARAMETER_SCHEMAS[parameter.type])
    for key, value in (
        ("default", parameter.default),
        ("minimum", parameter.minimum),
        ("maximum", parameter.maximum),
    ):
        if value is not None:
            schema[key] = _as_json(value)
    meaning, unit = parameter.meaning, parameter.unit
    text = f"{meaning} ({unit})".strip() if unit else meaning
    place = "path" if in_path else "query"
    required = in_path or parameter.required
    return _described(parameter.name, place, schema, text, required)


def _as_json(value: ParameterValue) -> object:
    return value.isoformat() if isinstance(value, date | datetime) else value


def _described(
    name: str, place: str, schema: JsonObject, text: str, required: bool
) -> JsonObject:
    return {
        "name": name,
        "in": place,
        "required": required,
        "schema": {k: v for k, v in schema.items() if k != "description"},
        "description": text or schema.get("description", ""),
    }
