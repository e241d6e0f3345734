"""The OpenAPI document as generators and linters of clients like it."""

from collections.abc import Iterator
from typing import Any, Final

from util.json_types import JsonObject
from util.problems import PROBLEM_JSON, Error, Problem

SCHEMA_PATH: Final = "#/components/schemas/"

TAGS: Final = {
    "statistics": "Figures, series and breakdowns of Free Planning Poker.",
    "downloads": "Series and breakdowns as files.",
    "views": "Derived tables and reports of the SQL files.",
    "queries": "SQL from people.",
    "events": "Events that were rejected.",
    "sync": "Runs of the updater.",
    "session": "Ways in for people: sessions and links.",
    "health": "State of the API, for monitors.",
}


def styled(document: JsonObject) -> JsonObject:
    """A copy of *document* with summaries, tags, and errors in both shapes.

    Optional parameters have their own type instead of a union with null, which a query
    cannot contain.
    """
    paths = {
        path: {method: _styled_operation(each) for method, each in methods.items()}
        for path, methods in document["paths"].items()
    }
    components = document.get("components", {})
    schemas = components.get("schemas", {}) | _problem_schemas()
    return document | {
        "info": document["info"] | {"license": {"name": "MIT", "identifier": "MIT"}},
        "servers": document.get("servers") or [{"url": "/"}],
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        "paths": paths,
        "components": components | {"schemas": dict(sorted(schemas.items()))},
    }


def _problem_schemas() -> JsonObject:
    schema = Problem.model_json_schema(
        ref_template=SCHEMA_PATH + "{model}", mode="serialization"
    )
    further: JsonObject = schema.pop("$defs", {})
    return {Problem.__name__: schema, **further}


def _styled_operation(operation: JsonObject) -> JsonObject:
    description = operation.get("description", "")
    first, _, rest = description.partition("\n\n")
    styled_operation = operation | {
        "summary": " ".join(first.split()).removesuffix("."),
        "responses": {
            status: _with_problem(response) if status[0] in "45" else response
            for status, response in operation["responses"].items()
        },
        # No scheme means that none is needed.
        "security": operation.get("security", []),
    }
    if rest:
        styled_operation["description"] = rest
    if parameters := operation.get("parameters"):
        styled_operation["parameters"] = [_without_null(each) for each in parameters]
    return styled_operation


def _with_problem(response: JsonObject) -> JsonObject:
    content = response.get("content", {})
    if not any(_is_error(each) for each in content.values()):
        return response
    problem = {"schema": {"$ref": SCHEMA_PATH + Problem.__name__}}
    return response | {"content": content | {PROBLEM_JSON: problem}}


def _is_error(media: JsonObject) -> bool:
    return media.get("schema") == {"$ref": SCHEMA_PATH + Error.__name__}


def _without_null(parameter: JsonObject) -> JsonObject:
    schema = parameter["schema"]
    return parameter | {"schema": dict(_members_without_null(schema))}


def _members_without_null(schema: JsonObject) -> Iterator[tuple[str, Any]]:
    for name, value in schema.items():
        if name != "anyOf":
            yield name, value
            continue
        others = [each for each in value if each.get("type") != "null"]
        if len(others) == 1:
            yield from others[0].items()
        else:
            yield name, others
