"""Damage anywhere in DATA_DIR: the right numbers or a clear refusal, then a repair.

Bytes at random places of every file are changed, as a disk, a copy program or a person
may change them. API and updater then run on them, in this process.
"""

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, Final

import pytest
from fastapi.testclient import TestClient

from config import Settings
from demo.database import write_database
from demo.sample import sample
from readmodel.source.connect import source_from_settings, tables_from_settings
from readmodel.store.event_tables import EVENT_TABLES
from readmodel.sync.drain import drain
from readmodel.sync.verify import verify
from tests.routers.conftest import client_of, make_settings
from tests.support.effort import examples
from tests.support.events import line, rejected_line, write_spool
from tests.support.snapshots import replace_bytes
from updater import status
from updater.runner import Runner
from util.errors import StorageError

NOW: Final = datetime(2026, 11, 20, 12, tzinfo=UTC)
SCALE: Final = 0.005

PATHS: Final = ("/", "/room/1/stats", "/breakdown/event", "/rooms", "/events/rejected")
LOGS: Final = ("/sync/runs", "/metrics")


@dataclass
class Deployment:
    """A database, DATA_DIR and SPOOL_DIR, with the updater and the API in process."""

    settings: Settings
    clock: datetime = NOW

    @property
    def data_dir(self) -> Path:
        """DATA_DIR."""
        return self.settings.data_dir

    def sync(self) -> bool:
        """Run one sync, ten minutes later; True if it succeeded."""
        self.clock += timedelta(minutes=10)
        source = source_from_settings(self.settings)
        return Runner(self.settings, source, now=lambda: self.clock).run()

    def client(self) -> TestClient:
        """The API; its clock stands still."""
        return client_of(self.settings, NOW)

    def answers(self) -> dict[str, Any]:
        """The answers to PATHS, without the instant of the snapshot."""
        with self.client() as client:
            return {path: answer(client, path) for path in PATHS}

    def copy(self, folder: Path) -> "Deployment":
        """A copy whose files can be changed."""
        data_dir = folder / "data"
        shutil.copytree(self.data_dir, data_dir, symlinks=True)
        changed = {"data_dir": data_dir}
        return Deployment(self.settings.model_copy(update=changed), self.clock)


def answer(client: TestClient, path: str) -> Any:
    """Status and content of an answer, without the instant of the snapshot."""
    response = client.get(path)
    content = response.json()
    content.pop("data_updated_at", None)
    return response.status_code, content


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """Two snapshots of a small database, with events and a run log."""
    folder = tmp_path_factory.mktemp("intact")
    write_database(folder / "source.db", sample(NOW, SCALE))
    deployment = Deployment(
        make_settings(
            data_dir=folder / "data",
            source_url=f"sqlite:///{folder}/source.db",
            sync_interval_seconds=10**9,
        )
    )
    assert deployment.sync()
    write_spool(folder / "spool", [line("e1"), line("e2"), rejected_line("r1")])
    drain(deployment.data_dir, folder / "spool", lambda: deployment.clock)
    assert deployment.sync()
    return deployment


@pytest.fixture(scope="module")
def expected(intact: Deployment) -> dict[str, Any]:
    """The right answers."""
    answers = intact.answers()
    assert {status for status, _ in answers.values()} == {200}
    return answers


def flip_bits(content: bytes, random: Random) -> bytes:
    """Flip a few bits."""
    changed = bytearray(content)
    for _ in range(random.choice((1, 1, 1, 8))):
        changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


def overwrite(content: bytes, random: Random) -> bytes:
    """Replace some bytes by others."""
    start = random.randrange(len(content))
    length = min(random.randrange(1, 64), len(content) - start)
    return content[:start] + random.randbytes(length) + content[start + length :]


def cut(content: bytes, random: Random) -> bytes:
    """Cut the end off, or everything."""
    return content[: random.choice((0, random.randrange(len(content))))]


def extend(content: bytes, random: Random) -> bytes:
    """Append bytes."""
    return content + random.randbytes(random.randrange(1, 5_000))


def scramble(content: bytes, random: Random) -> bytes:
    """Replace all bytes; the size stays."""
    return random.randbytes(len(content))


CHANGES: Final = (flip_bits, flip_bits, overwrite, cut, extend, scramble)


def remove(file: Path) -> None:
    """Remove *file*."""
    file.unlink()


def make_pipe(file: Path) -> None:
    """Put a pipe in place of *file*, from which nothing can be read."""
    file.unlink()
    os.mkfifo(file)


def make_folder(file: Path) -> None:
    """Put a folder in place of *file*."""
    file.unlink()
    file.mkdir()


REPLACEMENTS: Final = (remove, make_pipe, make_folder)


def files(data_dir: Path) -> list[Path]:
    """Every file in DATA_DIR, in a stable order; links are not followed."""
    found = [p for p in data_dir.rglob("*") if p.is_file() and not p.is_symlink()]
    return sorted(file for file in found if file.name != "update.lock")


def damage(data_dir: Path, seed: int) -> Path:
    """Damage one file, chosen and changed at random; return it."""
    random = Random(seed)
    found = files(data_dir)
    # There are many parts, and one of each kind of bookkeeping.
    others = [file for file in found if file.name[:4] != "part"]
    file = random.choice(random.choice((found, others)))
    if random.random() < 0.15:
        random.choice(REPLACEMENTS)(file)
    else:
        change: Callable[[bytes, Random], bytes] = random.choice(CHANGES)
        replace_bytes(file, change(file.read_bytes(), random))
    return file


def assert_right_or_refused(deployment: Deployment, expected: dict[str, Any]) -> None:
    """Each answer is the right one, or 503 with a sentence; `status` ends in lines."""
    with deployment.client() as client:
        for path in PATHS:
            code, content = answer(client, path)
            if code != 200:
                assert (code, bool(content.get("detail"))) == (503, True), (
                    path,
                    content,
                )
            else:
                assert content == expected[path][1], path
        assert client.get("/health").status_code in (200, 503)
        assert client.get("/metrics").status_code == 200
        assert client.get("/sync/runs").status_code in (200, 503)
    for show in (status.lines, status.as_json):
        with suppress(StorageError):  # one line, printed by the program
            assert list(show(deployment.settings, NOW, 3))


@pytest.mark.parametrize("seed", range(examples(12)))
def test_damage_is_refused_and_repaired_by_the_next_sync(
    intact: Deployment, expected: dict[str, Any], tmp_path: Path, seed: int
) -> None:
    """Events are nowhere else: their damage stays, and holds nothing else up."""
    deployment = intact.copy(tmp_path)
    damaged = damage(deployment.data_dir, seed)
    name = damaged.relative_to(deployment.data_dir)
    assert_right_or_refused(deployment, expected)
    assert deployment.sync(), name
    tables = tables_from_settings(deployment.settings)
    source = source_from_settings(deployment.settings)
    for verdict in verify(source, deployment.data_dir, tables):
        assert not verdict.differences, (name, verdict)
    is_of_events = name.parent.name.removesuffix(".parquet") in EVENT_TABLES
    for path, found in deployment.answers().items():
        if path == "/events/rejected" and is_of_events:
            assert found[0] in (200, 503)
        else:
            assert found == expected[path], (name, path)
    with deployment.client() as client:
        assert client.get("/sync/runs").json()["runs"][0]["success"]


def test_foreign_files_and_folders_are_left_alone(
    intact: Deployment, expected: dict[str, Any], tmp_path: Path
) -> None:
    """Whatever their names are."""
    deployment = intact.copy(tmp_path)
    data_dir = deployment.data_dir
    foreign = [
        data_dir / "notes.txt",
        data_dir / "9-notes.parquet",
        data_dir / ".mine.part",
        data_dir / "snapshots" / "9999-backup" / "file",
        data_dir / "snapshots" / "99999999T999999.999999Z.bak" / "file",
        data_dir / "snapshots" / "1" / "file",
        data_dir / "snapshots" / ".staged-by-hand" / "file",
        data_dir / "mine.parquet" / "part-00000.parquet",
    ]
    for file in foreign:
        file.parent.mkdir(exist_ok=True)
        file.write_text("mine")
    (data_dir / "a-link.parquet").symlink_to("nowhere")
    for _ in range(5):
        assert deployment.sync()
    assert deployment.answers() == expected
    assert [file.read_text() for file in foreign] == ["mine"] * len(foreign)
    assert (data_dir / "a-link.parquet").is_symlink()


@pytest.mark.parametrize("symlinks", [True, False])
def test_a_restored_copy_goes_on(
    intact: Deployment, expected: dict[str, Any], tmp_path: Path, symlinks: bool
) -> None:
    """Moved, or copied by a program that makes folders of links; then it is synced."""
    data_dir = tmp_path / "restored"
    shutil.copytree(intact.data_dir, data_dir, symlinks=symlinks)
    changed = {"data_dir": data_dir}
    deployment = Deployment(intact.settings.model_copy(update=changed), intact.clock)
    assert deployment.answers() == expected
    for _ in range(2):
        assert deployment.sync()
        assert deployment.answers() == expected
    assert (data_dir / "current").is_symlink()
    assert (data_dir / "fpp_votes.parquet").is_symlink()


def test_clocks_that_jump_change_no_number(
    intact: Deployment, expected: dict[str, Any], tmp_path: Path
) -> None:
    """Forward by years, back before the last snapshot, and again as before."""
    deployment = intact.copy(tmp_path)
    began = deployment.clock
    for moment in (
        began + timedelta(days=3_650),
        began - timedelta(days=3_650),
        began,
        datetime(2026, 3, 29, 1, tzinfo=UTC),  # the hour that DST leaves out in Europe
        datetime(2026, 10, 25, 0, 59, tzinfo=UTC),  # and the one that it repeats
        began + timedelta(hours=1),
    ):
        deployment.clock = moment
        assert deployment.sync()
        assert deployment.answers() == expected
    snapshots = list((deployment.data_dir / "snapshots").iterdir())
    assert len(snapshots) <= 4
    with deployment.client() as client:
        runs = client.get("/sync/runs").json()["runs"]
    assert runs[0]["success"]
    assert all(run["milliseconds"] >= 0 for run in runs)
