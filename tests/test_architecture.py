"""Who may import whom: the dependency rules of the house, held by the imports."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OURS = {
    "testbed",
    "main",
    "update_readmodel",
    "config",
    "calculations",
    "readmodel",
    "routers",
    "updater",
    "util",
    "demo",
    "bench",
    "tests",
}
MAY_IMPORT = {
    "calculations": {"calculations"},
    "readmodel": {"readmodel", "util.errors", "config"},
    "routers": {"routers", "calculations", "readmodel", "config", "util"},
    "updater": {"updater", "readmodel", "config", "util"},
    "util": {"util"},
    "config": {"util.errors"},
}
WRITING_SIDE = {
    "readmodel.sync.staging",
    "readmodel.sync.append_run",
    "readmodel.source.protocol",
    "readmodel.source.mysql.source",
    "readmodel.source.sqlite",
    "readmodel.sync.planner",
    "readmodel.sync.run",
}
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


def modules(package: str) -> Iterator[Path]:
    single = ROOT / f"{package}.py"
    yield from [single] if single.exists() else (ROOT / package).rglob("*.py")


def imports(file: Path) -> set[str]:
    """Every module that *file* imports, anywhere in it, names of ours in full."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            module = node.module or ""
            found |= {
                f"{module}.{alias.name}"
                if (ROOT / module.replace(".", "/") / f"{alias.name}.py").exists()
                else module
                for alias in node.names
            }
    return found


def ours(file: Path) -> set[str]:
    return {name for name in imports(file) if name.split(".")[0] in OURS}


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_a_package_imports_only_what_it_may(package: str) -> None:
    """Nothing of ours but what the house's rules name."""
    files = list(modules(package))
    assert files
    for file in files:
        for name in ours(file):
            assert any(
                name == allowed or name.startswith(f"{allowed}.")
                for allowed in MAY_IMPORT[package]
            ), f"{file.relative_to(ROOT)} imports {name}"


def test_no_section_imports_another_section() -> None:
    """What they share stands in a module of its own."""
    for section in SECTIONS:
        file = ROOT / f"{section.replace('.', '/')}.py"
        assert not imports(file) & SECTIONS, section


def test_the_api_never_meets_the_writing_side() -> None:
    """It has no database driver and writes nothing, by what it can reach."""
    seen: set[str] = set()
    todo = {"main"}
    while todo:
        name = todo.pop()
        seen.add(name)
        file = ROOT / f"{name.replace('.', '/')}.py"
        package = ROOT / name.replace(".", "/") / "__init__.py"
        for found in imports(file if file.exists() else package):
            assert not found.startswith(("mysql", "sqlite3")), f"{name}: {found}"
            if found.split(".")[0] in OURS and found not in seen:
                todo.add(found)
    assert "readmodel.store.snapshot" in seen
    assert not seen & (WRITING_SIDE | {"update_readmodel", "updater"})


def test_calculations_neither_collect_nor_ask_the_clock() -> None:
    """One collect, in answer(); no I/O and no now() in any plan."""
    for file in modules("calculations"):
        text = file.read_text()
        collects = text.count(".collect(")
        assert collects == (1 if file.name == "analytics.py" else 0), file
        for word in ("scan_parquet", "read_parquet", "open(", ".now(", ".today("):
            assert word not in text, f"{file.name} uses {word}"
