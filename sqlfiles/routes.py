"""The addresses that SQL files declare, from their headers alone."""

from dataclasses import dataclass
from pathlib import Path

from sqlfiles import keys
from sqlfiles.files import read_text, sql_files
from sqlfiles.header import RawDefinition, split


@dataclass(frozen=True, slots=True)
class DeclaredRoute:
    """The `@route` of a definition, which may have an error elsewhere."""

    path: str
    name: str
    file: str
    line: int


def declared_routes(views_dir: Path) -> list[DeclaredRoute]:
    """The routes of all definitions in *views_dir*, by file and line.

    Those about events are there before the first event is.

    Does not import DuckDB. A file or route that cannot be read is left out: loading
    the definitions reports it. Raises OSError if the folder cannot be listed.
    """
    found: list[DeclaredRoute] = []
    for name, path in sql_files(views_dir).items():
        try:
            definitions, _ = split(read_text(path))
        except (OSError, ValueError):
            continue
        routes = (_route(name, raw) for raw in definitions)
        found.extend(route for route in routes if route is not None)
    return found


def _route(file: str, raw: RawDefinition) -> DeclaredRoute | None:
    name, route = keys.identifier_or_none(raw.first("name")), raw.first("route")
    if name is None or route is None:
        return None
    try:
        return DeclaredRoute(keys.route(route), name, file, raw.line)
    except ValueError:
        return None
