"""The spool for an updater on another host: nothing is removed that was not stored."""

import os
from pathlib import Path

import pytest

from collector import offered_spool
from collector.callers import Callers
from collector.offered_spool import OfferedSpool
from config import load
from events.spool_files import checksum, list_files
from events.spool_transfer import StoredSpoolFile
from tests.collector.conftest import StartCollector
from tests.support.events import TOKEN, line, write_spool
from util.errors import SettingsError

SPOOL_TOKEN = "token-of-the-updater-0123456789abcdef"
HEADERS = {"Authorization": f"Bearer {SPOOL_TOKEN}"}


def stored(path: Path) -> StoredSpoolFile:
    """The acknowledgement of a file with its content of now."""
    return StoredSpoolFile(name=path.name, sha256=checksum(path.read_bytes()))


def test_a_file_is_removed_by_its_name_and_content(tmp_path: Path) -> None:
    """Repeating that is no error, and removes nothing else."""
    first, second = (write_spool(tmp_path, [line(f"e{n}")], n) for n in (1, 2))
    acknowledged = stored(first)
    other = StoredSpoolFile(name=second.name, sha256=acknowledged.sha256)
    offered = OfferedSpool(tmp_path)
    result = offered.acknowledge([other, acknowledged])
    assert (result.removed, result.missing, result.differing) == (1, 0, [second.name])
    result = offered.acknowledge([acknowledged])
    assert (result.removed, result.missing, result.differing) == (0, 1, [])
    assert [file.name for file in list_files(tmp_path)] == [second.name]
    first.write_text("written under the same name by a copy of this machine\n")
    assert offered.acknowledge([acknowledged]).differing == [first.name]
    assert first.exists()


def test_a_removal_is_on_the_disk_before_the_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder is flushed last: no crash brings the file back."""
    steps: list[str] = []
    unlink, fsync = os.unlink, os.fsync

    def note_unlink(path: Path) -> None:
        steps.append("unlink")
        unlink(path)

    def note_fsync(handle: int) -> None:
        steps.append("fsync")
        fsync(handle)

    file = write_spool(tmp_path, [line("e1")])
    monkeypatch.setattr(os, "unlink", note_unlink)
    monkeypatch.setattr(os, "fsync", note_fsync)
    OfferedSpool(tmp_path).acknowledge([stored(file)])
    assert steps == ["unlink", "fsync"]


def test_a_listing_is_in_order_and_continues_after_a_name(tmp_path: Path) -> None:
    """With what waits in all; files that are not complete are in none."""
    for number in (3, 1, 2):
        write_spool(tmp_path, [line(f"e{number}")], number)
    (tmp_path / ".hidden.v1.jsonl").touch()
    (tmp_path / "a b.v1.jsonl").touch()
    offered = OfferedSpool(tmp_path)
    first = offered.page(most=2)
    assert [file.name[-10] for file in first.files] == ["1", "2"]
    assert (first.more, first.waiting_files) == (True, 3)
    rest = offered.page(first.files[-1].name, 2)
    assert [file.name[-10] for file in rest.files] == ["3"]
    assert not rest.more
    assert (
        offered.page(most=0).waiting_bytes == sum(f.bytes for f in first.files) * 3 / 2
    )


def test_a_slow_disk_makes_pages_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The updater does not wait until it gives up; it comes again."""
    monkeypatch.setattr(offered_spool, "PAGE_SECONDS", -1)
    for number in (1, 2):
        write_spool(tmp_path, [line(f"e{number}")], number)
    page = OfferedSpool(tmp_path).page()
    assert (len(page.files), page.more) == (1, True)


def test_a_file_that_cannot_be_read_holds_back_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is listed without a checksum."""
    bad, good = (write_spool(tmp_path, [line(f"e{n}")], n) for n in (1, 2))
    read = Path.read_bytes

    def read_some(path: Path) -> bytes:
        if path == bad:
            raise OSError(5, "Input/output error")
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", read_some)
    page = OfferedSpool(tmp_path).page()
    wanted = [(bad.name, None), (good.name, checksum(read(good)))]
    assert [(file.name, file.sha256) for file in page.files] == wanted


@pytest.mark.parametrize(
    "body",
    [
        *("", "[]", '{"files": 5}', '{"names": ["../../etc/passwd"]}'),
        *('{"names": [".a.v1.jsonl"]}', '{"names": ["a/b.v1.jsonl"]}'),
        *('{"files": [{"name": "a.v1.jsonl"}]}', '{"names": ["a.v1.jsonl\\n"]}'),
    ],
)
def test_malformed_requests_are_refused(start: StartCollector, body: str) -> None:
    """No name leads out of the folder."""
    client = start(SPOOL_TOKEN=SPOOL_TOKEN)
    for path in ("/spool/read", "/spool/acknowledge"):
        answer = client.post(path, content=body, headers=HEADERS)
        assert answer.status_code == 422, answer.text
    assert client.get("/spool/files?limit=1001", headers=HEADERS).status_code == 422


def test_a_body_without_end_is_not_read(start: StartCollector) -> None:
    """Not even of the updater; of others no byte is."""
    client = start(SPOOL_TOKEN=SPOOL_TOKEN)
    large = b"x" * 2_000_000
    for headers, status in ((HEADERS, 413), ({}, 403)):
        for path in ("/spool/read", "/spool/acknowledge"):
            answer = client.post(path, content=large, headers=headers)
            assert answer.status_code == status


def test_a_failing_disk_is_503(start: StartCollector, spool_dir: Path) -> None:
    """The updater tries again later."""
    client = start(SPOOL_TOKEN=SPOOL_TOKEN)
    spool_dir.rename(spool_dir.with_name("elsewhere"))
    try:
        assert client.get("/spool/files", headers=HEADERS).status_code == 503
    finally:
        spool_dir.with_name("elsewhere").rename(spool_dir)


def test_without_a_token_nobody_takes_events(start: StartCollector) -> None:
    """Not even with one that may send them."""
    client = start()
    assert client.get("/spool/files").status_code == 403
    assert client.get("/spool/files", headers=HEADERS).status_code == 401


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"SPOOL_TOKEN": TOKEN}, "SPOOL_TOKEN is one of INGEST_TOKENS"),
        ({"SPOOL_TOKEN": f"updater:{TOKEN}"}, "SPOOL_TOKEN is one of INGEST_TOKENS"),
        ({"SPOOL_TOKEN": "short"}, "SPOOL_TOKEN has a token of less than"),
        ({"INGEST_TOKENS": ""}, "INGEST_TOKENS are missing"),
    ],
)
def test_a_token_that_is_no_protection_is_refused(
    settings: dict[str, str], said: str
) -> None:
    """SPOOL_TOKEN alone does not let anybody send events, either."""
    given = {"INGEST_TOKENS": TOKEN, "SPOOL_TOKEN": SPOOL_TOKEN} | settings
    with pytest.raises(SettingsError, match=said):
        Callers.of(load(given))


def test_several_tokens_allow_a_rotation(start: StartCollector) -> None:
    """Separated by commas, with or without names."""
    client = start(SPOOL_TOKEN=f"new:{'x' * 40},{SPOOL_TOKEN}")
    for token in ("x" * 40, SPOOL_TOKEN):
        headers = {"Authorization": f"Bearer {token}"}
        assert client.get("/spool/files", headers=headers).status_code == 200
