"""The examples as folders: their settings, secrets and lines to paste."""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest

from demo import broker, example, postgres
from demo.__main__ import main
from demo.errors import DemoError
from demo.example import Example, find_example, unknown_settings
from demo.processes import PROJECT
from testbed.ports import free_port
from tests.demo.test_demo import (
    STOP_SECONDS,
    Running,
    is_alive,
)
from tests.support import preloaded
from tests.support.programs import ROOT

NAMES = sorted(path.parent.name for path in example.EXAMPLES.glob("*/settings.env"))


def answers_well(line: str) -> bool:
    """True if a printed line of curl gives something other than an error."""
    done = subprocess.run(
        ["sh", "-c", line], capture_output=True, text=True, check=True
    )
    return bool(done.stdout) and not done.stdout.startswith('{"detail"')


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that the account of a server may enter, unlike pytest's own."""
    with TemporaryDirectory(prefix="fpp-demo-test-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def folder_with(folder: Path, settings: str, readme: str = "") -> Example:
    """An example in *folder*."""
    (folder / "settings.env").write_text(settings)
    (folder / "README.md").write_text(readme)
    return Example("mine", folder)


def test_an_empty_secret_gets_a_value(tmp_path: Path) -> None:
    """Of its own each time; others stay as they are."""
    text = "JWT_SECRET_KEY=\nUSER_ID_KEY=mine\nEVENT_SCHEMAS_DIR=schemas\nDB_HOST=\n"
    first, second = (folder_with(tmp_path, text).settings for _ in range(2))
    assert len(first["JWT_SECRET_KEY"]) >= 32
    assert first["JWT_SECRET_KEY"] != second["JWT_SECRET_KEY"]
    assert first["USER_ID_KEY"] == "mine"
    assert first["EVENT_SCHEMAS_DIR"] == str(tmp_path / "schemas")
    assert first["DB_HOST"] == ""


def test_the_lines_of_curl_have_the_addresses(tmp_path: Path) -> None:
    """The README's, without the others."""
    readme = '```sh\ncurl -s -H "Authorization: Bearer $TOKEN" $API/x\nls $API\n```\n'
    lines = folder_with(tmp_path, "", readme).curl_lines(
        {"API": "http://a", "TOKEN": "t"}
    )
    assert lines == ['curl -s -H "Authorization: Bearer t" http://a/x']


@pytest.mark.parametrize("name", NAMES)
def test_every_example_is_complete(name: str) -> None:
    """All its settings are known, and it has lines to paste."""
    found = find_example(name)
    assert unknown_settings(found) == []
    assert found.sample_data.is_file()
    assert list(found.views_dir.rglob("*.sql"))
    values = {"API": "a", "COLLECTOR": "c", "TOKEN": "t"}
    assert found.curl_lines(values)
    assert f"(examples/{name}/README.md)" in (PROJECT / "README.md").read_text()


@pytest.mark.usefixtures("own_signals")
def test_an_unknown_example_is_one_line_with_those_there_are(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Nothing is started."""
    assert main(["--example", "nonsense"]) == 1
    listed = ", ".join(NAMES)
    said = f"✗ there is no example 'nonsense', use one of {listed}\n"
    assert capfd.readouterr().err == said


@pytest.mark.usefixtures("own_signals")
def test_what_is_missing_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """It says what to do."""
    monkeypatch.setattr(postgres, "find_program", lambda _: None)
    assert main(["--example", "bf1942"]) == 1
    said = (
        "✗ bf1942 needs PostgreSQL: install it, as with `apt-get install postgresql`\n"
    )
    assert capfd.readouterr().err == said
    monkeypatch.setattr(broker, "find_broker", lambda: None)
    with pytest.raises(DemoError, match=r"^x needs a Kafka broker: install it with"):
        broker.require_broker("x")


@contextmanager
def example_demo(name: str, port: int, folder: Path) -> Iterator[Running]:
    """Run an example as `make demo EXAMPLE=NAME` does, with its files in *folder*."""
    process = preloaded.start(
        ["-m", "demo", "--example", name, "--port", str(port)],
        cwd=PROJECT,
        env={**os.environ, "TMPDIR": str(folder), "SAMPLE_DAYS": "2"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with process:
        try:
            yield Running(process)
        finally:
            if process.poll() is None:
                process.terminate()


@pytest.mark.long(
    "tests/demo/test_demo.py::test_broken_files_are_replaced_and_a_signal_stops_everything"
)
@pytest.mark.external
def test_two_examples_run_side_by_side_and_ctrl_c_leaves_nothing(public: Path) -> None:
    """Every printed line works; neither knows of the other, though both get one port."""
    port = free_port()
    with (
        example_demo("bf1942", port, public) as one,
        example_demo("events-service", port, public) as two,
    ):
        tables = []
        for demo in (one, two):
            for line in demo.curl_lines():
                assert answers_well(line), line
            page = re.search(
                r"^The page: +(\S+)/dashboard#token=(\w+)$", demo.text, re.MULTILINE
            )
            assert page
            url, token = page.groups()
            headers = {"Authorization": f"Bearer {token}"}
            listed = httpx.get(f"{url}/views", headers=headers).json()
            tables.append({view["name"] for view in listed["views"]})
        assert tables[0]
        assert tables[0].isdisjoint(tables[1])
        programs = one.children() | two.children()
        assert len(programs) == 3 + 4  # PostgreSQL, API, updater, and the collector
        for demo in (one, two):
            demo.process.send_signal(signal.SIGINT)
            printed, complaints = demo.process.communicate(timeout=STOP_SECONDS)
            assert (demo.process.returncode, complaints) == (0, "")
            assert printed.strip() == "Stopped. Nothing is left of it."
    assert not any(map(is_alive, programs))
    assert list(public.iterdir()) == []


def test_make_passes_the_name_on() -> None:
    """And nothing without one."""
    make = shutil.which("make")
    assert make
    for arguments, expected in (
        (["EXAMPLE=bf1942"], "-m demo --example 'bf1942'"),
        ([], "-m demo"),
    ):
        done = subprocess.run(
            [make, "--no-print-directory", "--dry-run", "demo", *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.splitlines()[-1].strip().endswith(expected)
