"""The documentation is complete and correct: routes, settings, commands, links, paths."""

import importlib
import re
import shlex
import subprocess
import tomllib
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from pydantic import SecretStr

import config
from calculations.results import (
    Analytics,
    Behaviour,
    Daily,
    HistoricalRow,
    LocationAndUserAgent,
    ReoccurringRow,
    RoomStats,
    Traffic,
    Votes,
)
from config import Settings
from main import app
from tests.support import preloaded
from tests.support.effort import runs_always

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
STATISTICS = (ROOT / "docs" / "statistics.md").read_text(encoding="utf-8")
ENV_EXAMPLE = (ROOT / ".env.example").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")

SETTINGS = {name.upper() for name in Settings.model_fields}


@cache
def routes() -> set[str]:
    """Method and path of each route."""
    documented = {
        f"{method.upper()} {path}"
        for path, methods in app.openapi()["paths"].items()
        for method in methods
    }
    return documented | {"GET /dashboard", "GET /docs", "GET /openapi.json"}


def run(*command: str) -> str:
    """Run *command* in the project's root and return its output; fail if it fails."""
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def markdown_files() -> list[str]:
    """All Markdown files of the project, tracked or new, relative to its root."""
    listed = run("git", "ls-files", "--cached", "--others", "--exclude-standard")
    files = [name for name in listed.splitlines() if name.endswith(".md")]
    return [name for name in files if (ROOT / name).is_file()]


def read(name: str) -> str:
    """Text of a Markdown file without its code blocks."""
    text = (ROOT / name).read_text(encoding="utf-8")
    return re.sub(r"^( *)```.*?^ *```", "", text, flags=re.DOTALL | re.MULTILINE)


def commands() -> list[str]:
    """All lines of the README's shell examples."""
    blocks = re.findall(r"^( *)```sh\n(.*?)^ *```", README, re.DOTALL | re.MULTILINE)
    return [line.strip() for _, block in blocks for line in block.splitlines() if line]


def first_column(section: str) -> list[str]:
    """Code spans in the first column of the table under the heading *section*."""
    text = README.split(f"# {section}\n")[1].split("\n#")[0]
    return re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE)


def examples() -> dict[str, str]:
    """Variables and values of .env.example, including those commented out."""
    lines = re.findall(r"^#?([A-Z][A-Z_]+)=(.*)$", ENV_EXAMPLE, re.MULTILINE)
    assert len(lines) == len(dict(lines)), "duplicate variable"
    return dict(lines)


def test_the_readme_lists_exactly_the_routes() -> None:
    """Fails for an undocumented route, and for a documented route that does not exist."""
    assert set(first_column("API")) == routes()


def test_the_readme_lists_exactly_the_settings() -> None:
    """Fails for an undocumented setting, and for a documented one that does not exist."""
    assert set(first_column("Settings")) == SETTINGS


def test_the_example_settings_are_exactly_the_settings() -> None:
    """.env.example contains each variable exactly once, and no others."""
    assert set(examples()) == SETTINGS


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_documented_defaults_are_the_defaults(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """README and .env.example state the value that is used if the variable is not set."""
    monkeypatch.delenv(name, raising=False)
    row = re.search(rf"^\| `{name}` \| *`?([^`|]*?)`? *\|", README, re.MULTILINE)
    assert row
    assert row[1].strip() == examples()[name]
    assert _value(config.load({name: examples()[name]}), name) == _value(
        config.load({}), name
    )


def _value(settings: Settings, name: str) -> Any:
    value = getattr(settings, name.lower())
    return value.get_secret_value() if isinstance(value, SecretStr) else value


def test_the_example_settings_can_be_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unchanged copy of .env.example results in the default settings."""
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text(ENV_EXAMPLE, encoding="utf-8")
    assert config.load().model_dump() == config.load({}).model_dump()


def test_the_readme_and_make_help_list_exactly_the_targets() -> None:
    """README, `make help` and the Makefile agree on the targets."""
    phony = re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    assert phony
    targets = set(phony[1].split())
    described = set(re.findall(r"^([a-z-]+):.*## ", MAKEFILE, re.MULTILINE))
    shown = run("make", "--no-print-directory", "help")
    helped = set(re.findall(r"^  ([a-z-]+) ", shown, re.MULTILINE))
    listed = {command.removeprefix("make ") for command in first_column("Try it")}
    assert targets == described == helped == listed


def test_every_make_command_of_the_readme_exists() -> None:
    """`make --dry-run` accepts each command."""
    for command in set(re.findall(r"`(make [^`]+)`", README)):
        run("make", "--dry-run", *shlex.split(command)[1:])


@pytest.mark.parametrize("command", commands())
def test_every_command_of_the_readme_parses(command: str) -> None:
    """Each line is valid shell, and its files, routes and options exist."""
    run("sh", "-n", "-c", command)
    match shlex.split(command):
        case ["make", *arguments]:
            run("make", "--dry-run", *arguments)
        case ["curl", *arguments]:
            path = route_of(arguments[-1])
            assert path in {route.split()[1] for route in routes()}
            assert parameters(arguments[-1]) <= accepted_parameters(path)
        case [".venv/bin/python", "-m", "uvicorn", "main:app", "--port", port]:
            assert int(port) == 5100
        case [".venv/bin/python", script, *options]:
            usage = preloaded.run([script, "--help"], 60, cwd=ROOT).stdout
            assert all(option in usage for option in options)
        case ["export", setting, _]:
            assert setting.partition("=")[0] in SETTINGS
        case ["cp", source, _]:
            assert (ROOT / source).is_file()
        case _:
            pytest.fail(f"there is no check for {command!r}")


def route_of(url: str) -> str:
    """Route template of a URL in the README."""
    path = urlsplit(url).path
    path = re.sub(r"/\d+/", "/{room_id}/", path)
    return re.sub(r"/breakdown/[a-z]+\.", "/breakdown/{dimension}.", path)


def parameters(url: str) -> set[str]:
    """Names of the query parameters of a URL."""
    return {name for name, _ in parse_qsl(urlsplit(url).query, strict_parsing=True)}


def accepted_parameters(path: str) -> set[str]:
    """Names of the query parameters that a route accepts."""
    listed = app.openapi()["paths"][path]["get"].get("parameters", [])
    return {each["name"] for each in listed if each["in"] == "query"}


@pytest.mark.parametrize("page", [README, STATISTICS])
def test_the_parameters_are_listed_exactly(page: str) -> None:
    """The table equals the parameters of `GET /`, which accepts all of them."""
    (table,) = re.findall(r"^\| parameter \|.*?\n\n", page, re.DOTALL | re.MULTILINE)
    listed = re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE)
    assert set(listed) == accepted_parameters("/")


@pytest.mark.parametrize(
    "section", [*Analytics.model_fields, "A room", "The last 24 hours"]
)
def test_every_figure_is_defined(section: str) -> None:
    """docs/statistics.md has a line for each field of each section."""
    models: dict[str, type] = {
        "traffic": Traffic,
        "votes": Votes,
        "behaviour": Behaviour,
        "reoccurring": ReoccurringRow,
        "historical": HistoricalRow,
        "location_and_user_agent": LocationAndUserAgent,
        "A room": RoomStats,
        "The last 24 hours": Daily,
    }
    text = STATISTICS.split(f"\n## {section}\n")[1].split("\n## ")[0]
    for figure in models[section].__annotations__:
        kind, _, base = figure.partition("_")
        is_summed = kind in ("acc", "ma") and f"`{kind}_new_users` and so on" in text
        assert f"`{base if is_summed else figure}`" in text, figure


def test_the_readme_links_the_architecture_near_the_top() -> None:
    """A reader reaches docs/architecture.md in one click from the first section."""
    first_section = README.split("\n## ")[0]
    assert "](docs/architecture.md)" in first_section


@pytest.mark.parametrize("page", markdown_files())
def test_every_relative_link_resolves(page: str) -> None:
    """Links and images point to existing files; fragments name existing headings."""
    text = read(page)
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    targets += re.findall(r'(?:src|srcset|href)="([^"]+)"', text)
    for target in targets:
        if "://" in target:
            continue
        path, _, fragment = target.partition("#")
        file = (ROOT / page).parent / path if path else ROOT / page
        assert file.exists(), target
        assert not fragment or fragment in anchors(file), target


def anchors(file: Path) -> set[str]:
    """Fragments of the headings of a Markdown file, as GitHub derives them."""
    headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.strip().replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("page", [p for p in markdown_files() if "vendor" not in p])
def test_every_path_in_the_documentation_exists(page: str) -> None:
    """Code spans such as `util/errors.py` or `routers/` name existing paths."""
    folders = "|".join(sorted(path.name for path in ROOT.iterdir() if path.is_dir()))
    mentioned = re.findall(rf"`((?:{folders})/[\w./-]*)`", read(page))
    ignored = {".demo/", ".bench/", ".venv/", ".tools/"}
    for path in {name for name in mentioned if not name.startswith(tuple(ignored))}:
        assert (ROOT / path).exists(), path


def test_no_file_has_a_conflict_marker() -> None:
    """A merge left half done is a syntax error in code, nobody notices it in texts."""
    marker = r"^(<{7}|[|]{7}|>{7})( |$)"
    grep = subprocess.run(
        ["git", "grep", "-I", "--line-number", "--extended-regexp", marker],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (grep.returncode, grep.stdout) == (1, ""), grep.stderr


def test_the_changelog_starts_with_what_is_unreleased() -> None:
    """The newest changes come first, in the format of Keep a Changelog."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert headings[0] == "[Unreleased]"
    kinds = set(re.findall(r"^### (.*)$", text, re.MULTILINE))
    allowed = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert kinds <= allowed


def test_the_version_is_the_same_everywhere() -> None:
    """The OpenAPI document has the version of the package."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert app.version == project["project"]["version"]


def guarantees() -> list[tuple[str, str]]:
    """Each promise of docs/guarantees.md, and the test that holds it, as written."""
    page = (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([A-Z`].*?) \| (.*?) \|$", page, re.MULTILINE)
    assert len(rows) > 30
    return rows


def test_each_guarantee_names_a_test_that_exists() -> None:
    """A promise without a test is a hope."""
    for promise, held_by in guarantees():
        named = re.fullmatch(r"`(tests/[\w/]+\.py)::(test_\w+)`", held_by)
        assert named, promise
        text = (ROOT / named[1]).read_text(encoding="utf-8")
        assert re.search(rf"^(async )?def {named[2]}\(", text, re.MULTILINE), held_by


def test_each_guarantee_has_a_test_in_every_run() -> None:
    """At any effort: not all tests of that name are long ones."""
    for promise, held_by in guarantees():
        path, _, name = held_by.strip("`").partition("::")
        module = importlib.import_module(path.removesuffix(".py").replace("/", "."))
        assert runs_always(module, name), promise
