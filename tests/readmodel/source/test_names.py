"""Tables and columns of any name, in every source: generated names, mirrored and verified.

Among them are all words of the SQL that the sources generate, since a column of such a
name could be taken for a column of ours.
"""

import ast
import math
import random
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import polars as pl

from readmodel import source
from readmodel.store.snapshot import current
from readmodel.sync.verify import verify
from readmodel.tables import Table
from testbed.schema import MYSQL, POSTGRES, SQLITE
from tests.readmodel.source.conftest import SourceDatabase
from tests.support.effort import bounded, by_effort

SPECIAL: Final = (
    *("block", "rowid", "_rowid_", "oid", "count", "digest", "row", "rows", "value"),
    *("select", "from", "group", "order", "null", "true", "default", "table", "key"),
    *("*", "^.*$", ".*", "%", "%s", "%(a)s", "{}", "{0}", "$1", ":id", "?", "@x", "#"),
    *('"', "'", "`", '""', "''", "``", "[a]", "a]b", "\\", "\\'", "\\n", "a\\"),
    *(" ", " a", "a b", "a\tb", "a\nb", "a\rb", ",", ";", "--", "/*", "*/", "a--b"),
    *("1", "1a", "-1", "1.5", "NaN", "None", "len", "literal", "index", "Id2"),
    *("naïve", "ß", "日本", "\u200b", "\u202eb", "\x7f", "a/b", "..", "a.b", "é"),
)

ALPHABET: Final = " \"'`\\%{}[]()*?:;,.$@#-/+=<>|&^~!\t\nabzABZ019_éß日"

SYSTEM_COLUMNS: Final = {"ctid", "xmin", "cmin", "xmax", "cmax", "tableoid"}
"""PostgreSQL allows no column of these names."""

MOST_COLUMNS: Final = 120

FEW_TABLES: Final = 15


def own_words() -> Iterator[str]:
    """The words in all texts of the sources' modules, SQL among them."""
    for file in sorted(Path(source.__path__[0]).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield from re.findall(r"[A-Za-z_][A-Za-z0-9_]*", node.value)


def random_names(count: int) -> Iterator[str]:
    """Names of one to twelve characters that mean something somewhere."""
    chosen = random.Random(f"names of {count}")
    for _ in range(count):
        yield "".join(chosen.choices(ALPHABET, k=chosen.randint(1, 12)))


def possible(names: Iterable[str], original: SourceDatabase) -> list[str]:
    """Those that the database allows, each once however it is written."""
    found: dict[str, str] = {}
    for name in names:
        if original.dialect is MYSQL:
            # It takes é for e, and no name may end with a blank.
            if name != name.rstrip() or any(c in name for c in "éßï\u200b\u202e"):
                continue
        elif original.dialect is POSTGRES and name in SYSTEM_COLUMNS:
            continue
        if len(name.encode()) <= 63:
            found.setdefault(name.lower(), name)
    return list(found.values())


def all_names(original: SourceDatabase) -> list[str]:
    """The special ones first, then our own words, then random ones."""
    words = sorted(set(own_words()))
    names = [
        *SPECIAL,
        *bounded(words, by_effort(20, 60)),
        *random_names(by_effort(20, 60, 500)),
    ]
    return possible(names, original)


def spread(names: Sequence[str], usual: int, thorough: int) -> list[str]:
    """So many of *names*, evenly spread: each costs a sync or a table."""
    count = min(len(names), by_effort(math.ceil(usual / 3), usual, thorough))
    return [names[index * len(names) // count] for index in range(count)]


def chunks(names: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    """*names* in pieces of *size*."""
    for begin in range(0, len(names), size):
        yield names[begin : begin + size]


def rows_of(original: SourceDatabase, table: str) -> pl.DataFrame:
    """The rows of a mirrored table of any name."""
    return current(original.data_dir).scan(table).collect()


def require_equal(original: SourceDatabase, *tables: Table) -> None:
    """Fail if `verify` finds a difference."""
    for compared in verify(original.source, original.data_dir, tables):
        assert compared.differences == (), compared


def create(original: SourceDatabase, table: str, columns: Sequence[str]) -> None:
    """A table of integers, with rows whose values differ in each column."""
    quoted = original.dialect.identifier
    declared = ", ".join(f"{quoted(name)} INT" for name in columns)
    values = [
        f"({', '.join(str(row * 1000 + n) for n in range(len(columns)))})"
        for row in range(3)
    ]
    original.run(
        f"CREATE TABLE {quoted(table)} ({declared})",
        f"INSERT INTO {quoted(table)} VALUES {', '.join(values)}",
    )


def configured(original: SourceDatabase, name: str) -> str:
    """How the settings name a table: in PostgreSQL, a dot separates the schema."""
    has_dot = original.dialect is POSTGRES and "." in name
    return f"public.{name}" if has_dot else name


def change(original: SourceDatabase, table: str, column: str) -> None:
    """Give the last row another value in *column*."""
    quoted = original.dialect.identifier
    original.run(
        f"UPDATE {quoted(table)} SET {quoted(column)} = -7"
        f" WHERE {quoted(column)} >= 2000"
    )


def test_columns_may_have_any_name(original: SourceDatabase) -> None:
    """All of them in one table; a change of any one is noticed."""
    for number, names in enumerate(chunks(all_names(original), MOST_COLUMNS)):
        things = Table(f"things{number}", key="the key")
        columns = ["the key", *names]
        create(original, things.name, columns)
        original.sync(things)
        mirrored = rows_of(original, things.name)
        assert mirrored.columns == columns
        expected = [[row * 1000 + n for n in range(len(columns))] for row in range(3)]
        assert [list(row) for row in mirrored.sort("the key").rows()] == expected
        for name in spread(names, 4, 12):
            change(original, things.name, name)
            assert original.sync(things).rows_fetched == 3, name
            assert rows_of(original, things.name)[name].to_list().count(-7) == 1
        assert original.sync(things).rows_fetched == 0
        require_equal(original, things)


def test_keys_may_have_any_name(original: SourceDatabase) -> None:
    """Beside columns whose names are our own words."""
    names = all_names(original)
    for key in spread(names, FEW_TABLES, 100):
        others = [name for name in ("block", "n", "count", "rowid") if name != key]
        things = Table("things", key=key)
        create(original, things.name, [key, *others])
        original.sync(things)
        assert rows_of(original, "things").columns == [key, *others]
        assert sorted(rows_of(original, "things")[key].to_list()) == [0, 1000, 2000]
        change(original, things.name, others[0])
        assert original.sync(things).rows_fetched == 3, key
        require_equal(original, things)
        original.run("DROP TABLE things")


def test_tables_may_have_any_name(original: SourceDatabase) -> None:
    """In one snapshot, each under its name."""
    names = spread(all_names(original), FEW_TABLES * 2, 300)
    if original.dialect is SQLITE:  # which keeps these for itself
        names = [name for name in names if not name.lower().startswith("sqlite_")]
    for number, name in enumerate(names):
        create(original, name, ["id", f"n{number}"])
    tables = [Table(configured(original, name), key="id") for name in names]
    original.sync(*tables)
    for number, table in enumerate(tables):
        assert rows_of(original, table.name).columns == ["id", f"n{number}"], table
    change(original, names[0], "n0")
    assert original.sync(*tables).rows_fetched == 3
    require_equal(original, *tables)
