"""The spool's writer: one commit for many requests, and nothing after an error."""

import asyncio
import errno
import os
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from collector import spool, spool_file
from collector.metrics import EventMetrics
from collector.spool import SpoolUnavailable, SpoolWriter
from events import spool_files
from events.spool_files import complete_files, list_files, read_complete
from tests.support.events import write_spool
from util.errors import SettingsError

LINE = b'{"event_id":"e1"}\n'


def make_writer(folder: Path, max_bytes: int = 2**20) -> SpoolWriter:
    """A prepared writer that has not started."""
    writer = SpoolWriter(folder, max_bytes, timedelta(hours=1), EventMetrics())
    writer.prepare()
    return writer


@asynccontextmanager
async def writing(folder: Path) -> AsyncIterator[SpoolWriter]:
    """A writer at work."""
    writer = make_writer(folder)
    await writer.start()
    try:
        yield writer
    finally:
        await writer.close()


def contents(folder: Path) -> list[bytes]:
    """The content of each complete file."""
    return [(folder / file.name).read_bytes() for file in list_files(folder)]


def entries(folder: Path) -> list[str]:
    """The names of all files, hidden ones, too."""
    return [path.name for path in folder.iterdir()]


def refuse(number: int) -> object:
    """A function of os that fails with this error."""

    def refused(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    return refused


def held_up(disk: threading.Event, busy: threading.Event) -> Callable[[int], None]:
    """os.fsync that sets *busy* and then waits for *disk*."""
    fsync = os.fsync

    def slow_fsync(handle: int) -> None:
        busy.set()
        disk.wait(10)
        fsync(handle)

    return slow_fsync


def test_requests_that_wait_share_one_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the disk works on the first commit, a second one gathers."""
    monkeypatch.setattr(spool, "APPEND_SECONDS", 0.0)
    disk, busy = threading.Event(), threading.Event()

    async def scenario() -> None:
        async with writing(tmp_path) as writer:
            monkeypatch.setattr(os, "fsync", held_up(disk, busy))
            first = asyncio.create_task(writer.append(LINE))
            await asyncio.to_thread(busy.wait, 10)
            others = [asyncio.create_task(writer.append(LINE)) for _ in range(20)]
            await asyncio.sleep(0.01)
            assert not any(task.done() for task in (first, *others))
            disk.set()
            await asyncio.gather(first, *others)

    asyncio.run(scenario())
    assert contents(tmp_path) == [LINE, LINE * 20]


def test_requests_right_after_a_commit_come_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever was just answered shares the next file with those that wait."""
    monkeypatch.setattr(spool, "APPEND_SECONDS", 0.0)
    disk, busy = threading.Event(), threading.Event()

    async def scenario() -> None:
        async with writing(tmp_path) as writer:

            async def join_while_busy() -> None:
                await asyncio.to_thread(busy.wait, 10)
                others = [asyncio.create_task(writer.append(LINE)) for _ in range(20)]
                await asyncio.sleep(0)
                disk.set()
                await asyncio.gather(*others)

            others = asyncio.create_task(join_while_busy())
            await writer.append(LINE)
            await writer.append(LINE)
            await others

    monkeypatch.setattr(os, "fsync", held_up(disk, busy))
    asyncio.run(scenario())
    assert contents(tmp_path) == [LINE, LINE * 21]


def test_an_append_returns_after_file_and_folder_are_flushed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """First the file, then its name."""
    steps: list[str] = []
    fsync, link = os.fsync, os.link

    def note_fsync(handle: int) -> None:
        kind = "folder" if os.path.isdir(f"/proc/self/fd/{handle}") else "file"  # noqa: PTH112
        steps.append(kind)
        fsync(handle)

    def note_link(source: Path, target: Path) -> None:
        steps.append("name")
        link(source, target)

    async def scenario() -> None:
        async with writing(tmp_path) as writer:
            await writer.append(LINE)
            steps.append("returned")

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(os, "link", note_link)
    asyncio.run(scenario())
    assert steps == ["file", "name", "folder", "returned"]


@pytest.mark.parametrize(
    ("function", "number"),
    [("write", errno.ENOSPC), ("fsync", errno.EIO), ("link", errno.ENOSPC)],
)
def test_after_an_error_nothing_is_stored_and_the_next_try_succeeds(
    function: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk, and one that fails to flush: no file is left, not even a hidden one."""

    async def scenario() -> None:
        async with writing(tmp_path) as writer:
            with monkeypatch.context() as broken:
                broken.setattr(os, function, refuse(number))
                with pytest.raises(SpoolUnavailable):
                    await writer.append(LINE)
                assert entries(tmp_path) == []
                assert writer.problem() == "The spool cannot be written"
                writer.require_room()  # the next request tries again
            await writer.append(LINE)
            assert writer.problem() is None

    asyncio.run(scenario())
    assert contents(tmp_path) == [LINE]


def test_commits_of_a_moment_share_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody reads it before it is complete: then it never changes."""
    monkeypatch.setattr(spool, "APPEND_SECONDS", 60.0)

    async def scenario() -> None:
        async with writing(tmp_path) as writer:
            for _ in range(3):
                await writer.append(LINE)
            (file,) = list_files(tmp_path)
            assert read_complete(tmp_path / file.name) is None

    asyncio.run(scenario())
    (file,) = list_files(tmp_path)
    assert read_complete(tmp_path / file.name) == LINE * 3


def test_a_file_is_complete_soon_after_its_last_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Although no other one follows."""
    monkeypatch.setattr(spool_files, "PATIENCE", timedelta(seconds=10))

    async def scenario() -> None:
        async with writing(tmp_path) as writer:
            await writer.append(LINE)
            await writer.append(LINE)
            files, _ = await asyncio.to_thread(complete_files, tmp_path)
            assert [file.bytes for file in files] == [2 * len(LINE)]
            await writer.append(LINE)

    asyncio.run(scenario())
    assert contents(tmp_path) == [LINE * 2, LINE]


@pytest.mark.parametrize("reason", ["shared storage", "no locks", "time is over"])
def test_a_file_that_nobody_waits_for_has_one_commit(
    reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other hosts may not see locks, and files must not become old."""
    match reason:
        case "shared storage":
            monkeypatch.setattr(spool, "shared_storage_of", lambda _: "nfs4")
        case "no locks":
            monkeypatch.setattr(spool_file, "flock", refuse(errno.ENOLCK))
        case _:
            monkeypatch.setattr(spool, "APPEND_SECONDS", 0.0)

    async def scenario() -> None:
        async with writing(tmp_path) as writer:
            for number in range(1, 4):
                await writer.append(LINE)
                files, is_all = complete_files(tmp_path)
                assert (len(files), is_all) == (number, True)

    asyncio.run(scenario())
    assert contents(tmp_path) == [LINE] * 3


@pytest.mark.parametrize(
    ("function", "number"),
    [
        ("pwritev", errno.ENOSPC),
        ("write", errno.ENOSPC),
        ("fsync", errno.EIO),
    ],
)
def test_a_commit_that_fails_leaves_those_before_it(
    function: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the same file, of which the disk took a part of the next commit."""
    monkeypatch.setattr(spool_file, "HAS_FLUSHING_WRITES", function == "pwritev")
    write = os.write

    def take_a_part(handle: int, data: Any, *_: int) -> int:
        content = data[0] if isinstance(data, list) else data
        if len(content) < len(LINE):
            raise OSError(number, os.strerror(number))
        return write(handle, content[:5])

    async def scenario() -> None:
        async with writing(tmp_path) as writer:
            await writer.append(LINE)
            await writer.append(LINE)
            with monkeypatch.context() as broken:
                failing = refuse(number) if function == "fsync" else take_a_part
                broken.setattr(os, function, failing)
                with pytest.raises(SpoolUnavailable):
                    await writer.append(LINE)
            assert contents(tmp_path) == [LINE * 2]
            assert complete_files(tmp_path)[1]
            await writer.append(b"later\n")

    monkeypatch.setattr(spool, "APPEND_SECONDS", 60.0)
    asyncio.run(scenario())
    assert contents(tmp_path) == [LINE * 2, b"later\n"]


@pytest.mark.parametrize("flags", [os.RWF_DSYNC, None])
def test_an_append_is_flushed_however_little_the_disk_takes_at_a_time(
    flags: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each write of it, or, where the file system cannot do that, all of it."""
    steps: list[str] = []
    pwritev, fsync = os.pwritev, os.fsync

    def take_a_part(handle: int, data: Any, place: int, found: int) -> int:
        if flags is None:
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
        assert found == flags
        steps.append("flushing write")
        return pwritev(handle, [data[0][:3]], place, found)

    def note(handle: int) -> None:
        steps.append("flush")
        fsync(handle)

    file = spool_file.OpenSpoolFile.create(str(tmp_path), "a.000000000001", b"first\n")
    monkeypatch.setattr(os, "pwritev", take_a_part)
    monkeypatch.setattr(os, "fsync", note)
    file.append(b"second\n")
    file.close()
    assert (tmp_path / "a.000000000001").read_bytes() == b"first\nsecond\n"
    assert steps == (["flush"] if flags is None else ["flushing write"] * 3)


def test_the_file_of_a_killed_process_is_complete(tmp_path: Path) -> None:
    """With all that it had acknowledged; the system unlocks it."""
    script = """
import sys, time
from collector.spool_file import OpenSpoolFile
file = OpenSpoolFile.create(sys.argv[1], "a.000000000001.v2.jsonl", b"first\\n")
file.append(b"second\\n")
print("acknowledged", flush=True)
time.sleep(60)
"""
    command = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"acknowledged\n"
        (file,) = list_files(tmp_path)
        assert read_complete(tmp_path / file.name) is None
        process.kill()
        process.wait()
    assert read_complete(tmp_path / file.name) == b"first\nsecond\n"


@pytest.mark.parametrize("has_links", [True, False])
def test_a_copy_of_a_process_replaces_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_links: bool
) -> None:
    """A machine that was copied while it ran: both write files of the same names."""
    monkeypatch.setattr(spool, "APPEND_SECONDS", 0.0)
    if not has_links:
        monkeypatch.setattr(os, "link", refuse(errno.EPERM))

    async def scenario() -> None:
        async with writing(tmp_path) as first, writing(tmp_path) as copy:
            copy._instance = first._instance
            for number in range(3):
                await first.append(b"first %d\n" % number)
                await copy.append(b"copy %d\n" % number)

    asyncio.run(scenario())
    wanted = {b"%s %d\n" % (who, n) for who in (b"first", b"copy") for n in range(3)}
    assert set(contents(tmp_path)) == wanted
    assert len({file.instance for file in list_files(tmp_path)}) == 2
    assert len(entries(tmp_path)) == 6


def test_a_copy_of_a_process_disturbs_no_file_that_is_being_written(
    tmp_path: Path,
) -> None:
    """Its hidden file is not removed."""

    async def scenario() -> None:
        async with writing(tmp_path) as copy:
            name = f".{copy._instance}.000000000001.v1.jsonl"
            (tmp_path / name).write_bytes(b"half of a fi")
            await copy.append(LINE)
            assert (tmp_path / name).read_bytes() == b"half of a fi"

    asyncio.run(scenario())
    assert contents(tmp_path) == [LINE]


def test_a_disk_that_takes_a_part_is_given_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """write() may write less than it is given."""
    write = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: write(handle, data[:3]))

    async def scenario() -> None:
        async with writing(tmp_path) as writer:
            await writer.append(LINE)

    asyncio.run(scenario())
    assert contents(tmp_path) == [LINE]


def test_a_frozen_disk_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request gives up after a while; its events may be stored later."""
    fsync, disk = os.fsync, threading.Event()

    def frozen_fsync(handle: int) -> None:
        disk.wait(10)
        fsync(handle)

    monkeypatch.setattr(os, "fsync", frozen_fsync)
    monkeypatch.setattr(spool, "COMMIT_TIMEOUT", timedelta(seconds=0.05))

    async def scenario() -> None:
        async with writing(tmp_path) as writer:
            for _ in range(2):  # the second one waits behind the first
                with pytest.raises(SpoolUnavailable, match="does not answer"):
                    await writer.append(LINE)
            disk.set()
            monkeypatch.setattr(spool, "COMMIT_TIMEOUT", timedelta(seconds=10))
            await writer.append(LINE)

    asyncio.run(scenario())
    assert b"".join(contents(tmp_path)) == LINE * 3


def test_a_stop_writes_what_waits(tmp_path: Path) -> None:
    """Requests in progress are answered before the process ends."""

    async def scenario() -> None:
        writer = make_writer(tmp_path)
        await writer.start()
        waiting = [asyncio.create_task(writer.append(LINE)) for _ in range(3)]
        await asyncio.sleep(0)
        await writer.close()
        await asyncio.gather(*waiting)

    asyncio.run(scenario())
    assert b"".join(contents(tmp_path)) == LINE * 3


def test_a_client_that_leaves_harms_nobody(tmp_path: Path) -> None:
    """Its events are stored, and the others are answered."""

    async def scenario() -> None:
        async with writing(tmp_path) as writer:
            gone = asyncio.create_task(writer.append(LINE))
            other = asyncio.create_task(writer.append(LINE))
            await asyncio.sleep(0)
            gone.cancel()
            await other

    asyncio.run(scenario())
    assert b"".join(contents(tmp_path)) == LINE * 2


def test_a_full_or_old_spool_takes_nothing(tmp_path: Path) -> None:
    """Until the updater empties it."""
    file = write_spool(tmp_path, [{"event_id": "e"}] * 10)
    assert make_writer(tmp_path, max_bytes=10).problem() == (
        "The spool is full: the updater does not empty it"
    )
    os.utime(file, (time.time() - 7_200,) * 2)
    writer = make_writer(tmp_path)
    assert writer.problem() == "The spool is too old: the updater does not empty it"
    with pytest.raises(SpoolUnavailable):
        writer.require_room()
    file.unlink()
    assert make_writer(tmp_path).problem() is None


def test_incomplete_files_of_killed_processes_are_removed(tmp_path: Path) -> None:
    """Not those of a process that may be at work."""
    for name, age in [(".a.1.v1.jsonl", 3_600), (".b.1.v1.jsonl", 1)]:
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    make_writer(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".b.1.v1.jsonl"]


def test_a_folder_that_cannot_be_used_is_a_setting_to_mend(tmp_path: Path) -> None:
    """The program does not start."""
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="SPOOL_DIR"):
        make_writer(tmp_path / "file" / "spool")
