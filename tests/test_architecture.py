"""Architecture: import rules of the folders, no circles, one name for one thing."""

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ARCHITECTURE = ROOT / "docs" / "architecture.md"

PROGRAMS = ("main", "update_readmodel", "collect_events", "run_cluster")
"""They import what they start. A program that does not exist yet has no rules."""

MAY_IMPORT: Mapping[str, set[str]] = {
    "main": {
        "routers",
        "cluster",
        "readmodel.store",
        "readmodel.tables",
        "startup",
        "config",
        "util",
    },
    "routers": {
        "routers",
        "calculations",
        "readmodel.store",
        "readmodel.tables",
        "readmodel.dtypes",
        "sqlfiles",
        "config",
        "util",
    },
    "calculations": {"calculations"},
    "update_readmodel": {"updater", "readmodel", "startup", "config", "util"},
    "updater": {
        "updater",
        "calculations",
        "cluster",
        "readmodel",
        "events",
        "sqlfiles",
        "startup",
        "config",
        "util",
    },
    "sqlfiles": {"sqlfiles", "readmodel.tables", "readmodel.dtypes", "util"},
    "readmodel.tables": {"readmodel.dtypes", "util"},
    "readmodel.dtypes": set(),
    "readmodel.source": {
        "readmodel.source",
        "readmodel.tables",
        "readmodel.dtypes",
        "config",
        "util",
    },
    "readmodel.store": {
        "readmodel.store",
        "readmodel.tables",
        "readmodel.dtypes",
        "util",
    },
    "readmodel.stream": {
        "readmodel.stream",
        "readmodel.store",
        "events",
        "config",
        "util",
    },
    "readmodel.spool": {"readmodel.spool", "events", "util"},
    "readmodel.sync": {"readmodel", "events", "sqlfiles", "config", "util"},
    "readmodel.replica": {
        "readmodel.replica",
        "readmodel.store",
        "readmodel.sync",
        "util",
    },
    "run_cluster": {"cluster", "startup", "config", "util"},
    "cluster": {
        "cluster",
        "readmodel.store",
        "readmodel.tables",
        "config",
        "util",
    },
    "collect_events": {"collector", "events", "startup", "config", "util"},
    "collector": {"collector", "events", "config", "util"},
    "events": {"events", "config", "util"},
    "startup": {"config", "util"},
    "config": {"util"},
    "util": {"util"},
}
"""Folder or module -> folders and modules of ours that it may import, and no others."""

MUST_NOT_IMPORT: Mapping[str, set[str]] = {
    "bench": {"tests"},
    "demo": {"tests", "testbed", "bench"},
    "testbed": {"tests", "bench"},
}
"""Folder or module -> folders of ours that it must not import."""

SECTIONS = {
    f"calculations.{name}"
    for name in (
        "traffic",
        "votes",
        "behaviour",
        "historical",
        "reoccurring",
        "location",
        "room_stats",
        "daily",
    )
}

ONE_NAMESPACE = (
    *("calculations", "readmodel", "routers", "sqlfiles", "updater", "util"),
    *("collector", "events", "cluster", "run_cluster"),
    *("main", "update_readmodel", "collect_events", "config", "startup", "demo"),
)
"""Folders in which a class name has one meaning.

The benchmark and the test bed are programs of their own, which nothing imports; they may
use a short name such as `Server` for a thing that only they have.
"""


@cache
def modules() -> Mapping[str, Path]:
    """Every module of ours by its dotted name; a package is named like its folder."""
    found = {}
    for file in _python_files():
        parts = file.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts).removesuffix(".__init__")] = file
    return found


def _python_files() -> Iterator[Path]:
    """Those below ROOT, except in hidden folders such as .venv."""
    for entry in ROOT.iterdir():
        if entry.suffix == ".py":
            yield entry
        elif entry.is_dir() and not entry.name.startswith("."):
            yield from entry.rglob("*.py")


def within(folder: str) -> dict[str, Path]:
    """The modules in *folder*, or the module of that name; empty if neither exists."""
    return {name: file for name, file in modules().items() if inside(name, folder)}


def inside(module: str, folder: str) -> bool:
    """True if *module* is *folder* or below it: "util.errors" is inside "util"."""
    return module == folder or module.startswith(f"{folder}.")


@cache
def imports(module: str) -> frozenset[str]:
    """The modules that *module* imports, anywhere in it; submodules by full name."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(modules()[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import"
            found |= {_imported(str(node.module), alias.name) for alias in node.names}
    return frozenset(found)


def _imported(module: str, name: str) -> str:
    """``from util import logs`` imports util.logs, ``from util.logs import x`` too."""
    submodule = f"{module}.{name}"
    return submodule if submodule in modules() else module


def imports_of_ours(module: str) -> frozenset[str]:
    """The modules of this project that *module* imports."""
    return imports(module) & modules().keys()


def reachable(start: str) -> set[str]:
    """The modules of ours that are loaded with *start*, itself included."""
    seen: set[str] = set()
    todo = {start}
    while todo:
        seen |= todo
        todo = set().union(*map(imports_of_ours, todo)) - seen
    return seen


def public_classes(folder: str) -> Iterator[tuple[str, str]]:
    """Name and module of every public class at the top level of a module."""
    for module, file in within(folder).items():
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                yield node.name, module


def test_the_folders_are_those_of_the_rules() -> None:
    """A folder that is renamed must not silently lose its rules."""
    expected = {*MAY_IMPORT, "bench", "demo", "testbed"} - {*PROGRAMS, "startup"}
    assert not [folder for folder in expected if not within(folder)]
    assert within("main")
    assert within("update_readmodel")


def test_every_module_of_the_read_model_has_a_rule() -> None:
    """A module beside source, store and sync would have none."""
    ruled = [folder for folder in MAY_IMPORT if folder.startswith("readmodel.")]
    for module in within("readmodel").keys() - {"readmodel"}:
        assert any(inside(module, folder) for folder in ruled), module


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_a_folder_imports_only_what_it_may(folder: str) -> None:
    """Source and store, for example, do not know each other; sync knows both."""
    for module in within(folder):
        for name in imports_of_ours(module):
            allowed = any(inside(name, known) for known in MAY_IMPORT[folder])
            assert allowed, f"{module} imports {name}"


@pytest.mark.parametrize("folder", MUST_NOT_IMPORT)
def test_a_folder_does_not_import_what_it_must_not(folder: str) -> None:
    """The benchmark runs without tests, the demo without a test bed."""
    for module in within(folder):
        for name in imports_of_ours(module):
            refused = any(inside(name, other) for other in MUST_NOT_IMPORT[folder])
            assert not refused, f"{module} imports {name}"


def test_no_section_imports_another_section() -> None:
    """Code that two sections share is in a module of its own."""
    for section in SECTIONS:
        assert not imports(section) & SECTIONS, section


def test_the_api_never_reaches_databases_or_the_sync() -> None:
    """Nothing that it loads, directly or not, connects to a database or writes."""
    loaded = reachable("main")
    assert "readmodel.store.snapshot" in loaded
    for module in loaded:
        for folder in (
            "readmodel.source",
            "readmodel.stream",
            "readmodel.sync",
            "readmodel.replica",
            "updater",
        ):
            assert not inside(module, folder), module
        for driver in ("mysql", "sqlite3", "psycopg", "confluent_kafka", "obstore"):
            drivers = [name for name in imports(module) if inside(name, driver)]
            assert not drivers, f"{module} imports {drivers}"


def test_the_collector_loads_neither_polars_nor_a_database() -> None:
    """It shares only the spool's format with the updater, and stays small."""
    loaded = reachable("collect_events")
    assert "events.spool_files" in loaded
    for module in loaded:
        for package in ("polars", "duckdb", "mysql", "sqlite3", "psycopg"):
            found = [name for name in imports(module) if inside(name, package)]
            assert not found, f"{module} imports {found}"


def test_no_import_circle_exists() -> None:
    """Imports inside functions count as well."""
    graph = {module: imports_of_ours(module) for module in modules()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(error.args[1][::-1]))


def test_few_places_handle_any_error() -> None:
    """The boundaries of the programs; elsewhere the errors to expect are named."""
    found = {module: _broad_handlers(module) for module in modules()}
    for folder in (*MUST_NOT_IMPORT, "tests", "clients", "examples", "scripts"):
        found = {name: n for name, n in found.items() if not inside(name, folder)}
    assert {module: count for module, count in found.items() if count} == {
        "routers.worker.helper": 1,
        "updater.guarded": 1,
        "util.access_log": 1,
    }


def _broad_handlers(module: str) -> int:
    """Handlers in *module* of each error: `except Exception`, also among others."""
    tree = ast.parse(modules()[module].read_text(encoding="utf-8"))
    return sum(
        (
            isinstance(node, ast.ExceptHandler)
            and (node.type is None or _names_any_error(node.type))
        )
        or (
            isinstance(node, ast.Call)
            and ast.unparse(node.func).endswith("suppress")
            and any(map(_names_any_error, node.args))
        )
        for node in ast.walk(tree)
    )


def _names_any_error(node: ast.expr) -> bool:
    names = {name.id for name in ast.walk(node) if isinstance(name, ast.Name)}
    return not names.isdisjoint({"Exception", "BaseException"})


def test_no_module_shadows_the_standard_library() -> None:
    """A reader of "csv" or "logging" thinks of Python's module."""
    for module in modules():
        name = module.rpartition(".")[2]
        assert name not in sys.stdlib_module_names or name == "__main__", module


def test_no_two_public_classes_have_the_same_name() -> None:
    """One name has one meaning."""
    places = defaultdict(list)
    for folder in ONE_NAMESPACE:
        for name, module in public_classes(folder):
            places[name].append(module)
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_every_public_class_of_the_read_model_is_in_the_glossary() -> None:
    """The names stand in backticks in the section "Glossary" of the page."""
    page = ARCHITECTURE.read_text(encoding="utf-8")
    (glossary,) = re.findall(
        r"^## Glossary\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL
    )
    explained = set(re.findall(r"`(\w+)`", glossary))
    assert {name for name, _ in public_classes("readmodel")} - explained == set()


def test_calculations_neither_collect_nor_read_the_clock() -> None:
    """One collect, in calculations.analytics; no I/O and no now() in any plan."""
    for module, file in within("calculations").items():
        text = file.read_text(encoding="utf-8")
        expected = 1 if module == "calculations.analytics" else 0
        assert text.count(".collect(") == expected, module
        for call in ("scan_parquet", "read_parquet", "open(", ".now(", ".today("):
            assert call not in text, f"{module} uses {call}"
