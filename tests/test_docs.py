"""The documentation is true: what it names exists, and what exists is named."""

import re
import shlex
import subprocess
import sys
import tomllib
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

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
STATISTICS = (ROOT / "docs" / "statistics.md").read_text(encoding="utf-8")
ENV_EXAMPLE = (ROOT / ".env.example").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")

SETTINGS = {name.upper() for name in Settings.model_fields}
ROUTES = {
    f"{method.upper()} {path}"
    for path, methods in app.openapi()["paths"].items()
    for method in methods
} | {"GET /dashboard", "GET /docs", "GET /openapi.json"}


def commands() -> list[str]:
    """Every line of the README's shell examples."""
    blocks = re.findall(r"^( *)```sh\n(.*?)^ *```", README, re.DOTALL | re.MULTILINE)
    return [line.strip() for _, block in blocks for line in block.splitlines() if line]


def first_column(section: str) -> list[str]:
    """The code in the first column of the table below the heading *section*."""
    text = README.split(f"# {section}\n")[1].split("\n#")[0]
    return re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE)


def examples() -> dict[str, str]:
    """Variable -> value in .env.example, also where it is commented out."""
    lines = re.findall(r"^#?([A-Z][A-Z_]+)=(.*)$", ENV_EXAMPLE, re.MULTILINE)
    assert len(lines) == len(dict(lines)), "a variable is there twice"
    return dict(lines)


def test_the_readme_lists_exactly_the_routes() -> None:
    """A route that is not described, or described and not there, is red."""
    assert set(first_column("Ask it")) == ROUTES


def test_the_readme_lists_exactly_the_settings() -> None:
    """A setting that is not described, or described and not there, is red."""
    assert set(first_column("Settings")) == SETTINGS


def test_the_example_settings_are_exactly_the_settings() -> None:
    """.env.example holds every variable once, and no other."""
    assert set(examples()) == SETTINGS


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_documented_defaults_are_the_defaults(name: str) -> None:
    """The README and .env.example state what the program does without the variable."""
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
    """A copy of .env.example as it is changes nothing."""
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text(ENV_EXAMPLE, encoding="utf-8")
    assert config.load() == config.load({})


def test_the_readme_and_make_help_list_exactly_the_targets() -> None:
    """Each make command is described in the README, in the Makefile, and is there."""
    phony = re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    assert phony
    targets = set(phony[1].split())
    described = set(re.findall(r"^([a-z]+):.*## ", MAKEFILE, re.MULTILINE))
    shown = run("make", "--no-print-directory", "help")
    helped = set(re.findall(r"^  ([a-z]+) ", shown, re.MULTILINE))
    listed = {command.removeprefix("make ") for command in first_column("Try it")}
    assert targets == described == helped == listed


def test_every_make_command_of_the_readme_exists() -> None:
    """What the text says to type can be typed."""
    for command in set(re.findall(r"`(make [^`]+)`", README)):
        run("make", "--dry-run", *shlex.split(command)[1:])


@pytest.mark.parametrize("command", commands())
def test_every_command_of_the_readme_parses(command: str) -> None:
    """Each line is shell, and what it names is there."""
    run("sh", "-n", "-c", command)
    match shlex.split(command):
        case ["make", *arguments]:
            run("make", "--dry-run", *arguments)
        case ["curl", *arguments]:
            path = called(arguments[-1])
            assert path in {route.split()[1] for route in ROUTES}
            assert parameters(arguments[-1]) <= known(path)
        case [".venv/bin/python", "-m", "uvicorn", "main:app", "--port", port]:
            assert int(port) == 5100
        case [".venv/bin/python", script, *options]:
            usage = run(sys.executable, script, "--help")
            assert all(option in usage for option in options)
        case ["cp", source, _]:
            assert (ROOT / source).is_file()
        case _:
            pytest.fail(f"no check is known for {command!r}")


def called(url: str) -> str:
    """The route that a URL of the README calls."""
    path = urlsplit(url).path
    path = re.sub(r"/\d+/", "/{room_id}/", path)
    return re.sub(r"/breakdown/[a-z]+\.", "/breakdown/{dimension}.", path)


def parameters(url: str) -> set[str]:
    """The query parameters of a URL."""
    return {name for name, _ in parse_qsl(urlsplit(url).query, strict_parsing=True)}


def known(path: str) -> set[str]:
    """The query parameters of a route."""
    listed = app.openapi()["paths"][path]["get"].get("parameters", [])
    return {each["name"] for each in listed if each["in"] == "query"}


@pytest.mark.parametrize("page", [README, STATISTICS])
def test_the_parameters_are_listed_exactly(page: str) -> None:
    """Those of the whole answer, which has all."""
    (table,) = re.findall(r"^\| parameter \|.*?\n\n", page, re.DOTALL | re.MULTILINE)
    listed = re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE)
    assert set(listed) == known("/")


@pytest.mark.parametrize(
    "section", [*Analytics.model_fields, "A room", "The last 24 hours"]
)
def test_every_figure_is_defined(section: str) -> None:
    """Each field of each section has a line in docs/statistics.md."""
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
        summed = kind in ("acc", "ma") and f"`{kind}_new_users` and so on" in text
        assert f"`{base if summed else figure}`" in text, figure


@pytest.mark.parametrize("page", ["README.md", "CHANGELOG.md", "docs/statistics.md"])
def test_every_link_to_a_file_leads_there(page: str) -> None:
    """Links inside the project are not broken."""
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if "://" not in target:
            assert (ROOT / target.partition("#")[0]).exists(), target


def test_the_changelog_starts_with_what_is_unreleased() -> None:
    """The newest changes stand first, in the form that the changelog promises."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert headings[0] == "[Unreleased]"
    kinds = set(re.findall(r"^### (.*)$", text, re.MULTILINE))
    known = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert kinds <= known


def test_the_version_is_the_same_everywhere() -> None:
    """The API's document states the version of the package."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert app.version == project["project"]["version"]


def run(*command: str) -> str:
    """What *command* prints, run in the project's folder; it must succeed."""
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
