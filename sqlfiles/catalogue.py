"""Load a folder of SQL files: definitions, what is wrong, and the order to build in."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

from readmodel.tables import TABLES
from sqlfiles.definition import Definition, DefinitionError
from sqlfiles.files import sql_files
from sqlfiles.linker import Linker
from sqlfiles.reader import UTC, Draft, read_file


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What a folder of SQL files defines.

    `definitions` are those without an error: derived tables in the order to build them
    in, then reports by name. `errors` are sorted by file and line, and so are the
    `unmirrored`: definitions that cannot be used because TABLES leaves out tables of
    the statistics, and why. Nothing is wrong with them.
    """

    definitions: tuple[Definition, ...] = ()
    errors: tuple[DefinitionError, ...] = ()
    unmirrored: tuple[DefinitionError, ...] = ()

    @property
    def tables(self) -> tuple[Definition, ...]:
        """The derived tables, each after its inputs."""
        return tuple(d for d in self.definitions if d.is_table)

    @property
    def reports(self) -> tuple[Definition, ...]:
        """The reports, by name."""
        return tuple(d for d in self.definitions if not d.is_table)

    def table(self, object_name: str) -> Definition | None:
        """The definition of the derived table *object_name*, if there is one."""
        return next((d for d in self.tables if d.object == object_name), None)

    def report(self, name: str) -> Definition | None:
        """The report called *name*, if there is one."""
        return next((d for d in self.reports if d.name == name), None)


def load(
    views_dir: Path, tables: Collection[str] = tuple(TABLES), zone: ZoneInfo = UTC
) -> Catalogue:
    """Read every SQL file of *views_dir*, anew at each call.

    *tables* are the names of the mirrored tables; *zone* is the time zone of
    definitions without `@zone`. One bad definition does not affect the others, except
    those that read it. Imports DuckDB if there is a file. Raises OSError if the folder
    cannot be listed; a file that cannot be read is an error in the catalogue.
    """
    drafts: list[Draft] = []
    errors: list[DefinitionError] = []
    for name, path in sql_files(views_dir, tables).items():
        for found in read_file(path, zone, name):
            if isinstance(found, DefinitionError):
                errors.append(found)
            else:
                drafts.append(found)
    linker = Linker(tables, drafts, errors)
    definitions = linker.link()
    return Catalogue(
        definitions, _in_order(linker.errors), _in_order(linker.unmirrored)
    )


def _in_order(errors: Iterable[DefinitionError]) -> tuple[DefinitionError, ...]:
    return tuple(sorted(errors, key=lambda e: (e.file, e.line, e.message)))
