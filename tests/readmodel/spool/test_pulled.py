"""A spool that is pulled over HTTP: nothing is missed, whatever the network does."""

import random
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from socket import create_server
from urllib.parse import urlsplit

import pytest

from collect_events import create_app
from collector.offered_spool import OfferedSpool
from events.spool_files import SpoolFile, list_files
from events.spool_transfer import StoredSpoolFile
from readmodel.spool import collector_client, pulled
from readmodel.spool.collector_client import CollectorClient
from readmodel.spool.pulled import PulledSpool
from tests.routers.conftest import served
from tests.support.effort import examples
from tests.support.events import collector_settings, line, write_spool
from tests.support.pulling import pulled as pulled_directly
from tests.support.storage import FAULTS, Network, network
from util.errors import SpoolError

SPOOL_TOKEN = "token-of-the-updater-0123456789abcdef"
OTHER = "20261121T110000000000-11111111"


@pytest.fixture(scope="module")
def shared_net(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Network, Path]]:
    """A collector behind a network that can fail, and its spool."""
    folder = tmp_path_factory.mktemp("pulled") / "spool"
    settings = collector_settings(folder, SPOOL_TOKEN=SPOOL_TOKEN)
    with (
        served(create_app(settings)) as url,
        network(urlsplit(url).port or 0) as net,
    ):
        yield net, folder


@pytest.fixture
def net(shared_net: tuple[Network, Path]) -> Iterator[Network]:
    """The network, which works."""
    net, folder = shared_net
    yield net
    net.fault = lambda *_: None
    net.requests.clear()
    for file in folder.iterdir():
        file.unlink()


@pytest.fixture
def folder(shared_net: tuple[Network, Path]) -> Path:
    """The collector's spool."""
    return shared_net[1]


@pytest.fixture
def spool(net: Network) -> Iterator[PulledSpool]:
    """The spool as the updater has it."""
    client = CollectorClient(f"http://127.0.0.1:{net.port}", SPOOL_TOKEN)
    yield PulledSpool(client, 2**20)
    client.close()


def arrived(spool: PulledSpool) -> list[SpoolFile]:
    """The files whose content is there."""
    return [f for f in spool.listing().files if spool.content(f) is not None]


def test_files_are_pulled_stored_and_then_removed(
    spool: PulledSpool, folder: Path
) -> None:
    """The collector keeps them until it is told that a snapshot contains them."""
    written = write_spool(folder, [line("e1")]).read_bytes()
    spool.pull()
    (file,) = arrived(spool)
    assert spool.content(file) == written
    assert spool.waiting
    assert spool.waiting[:2] == (1, len(written))
    spool.pull()
    assert len(list_files(folder)) == 1
    spool.remove([file])
    assert spool.content(file) is None
    assert len(list_files(folder)) == 1
    spool.pull()
    assert list_files(folder) == []
    assert spool.listing() == ([], True)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("at", ["/spool/files", "/spool/read", "/spool/acknowledge"])
def test_each_fault_of_each_request_is_survived(
    net: Network, spool: PulledSpool, folder: Path, fault: str, at: str
) -> None:
    """Listing, fetching, acknowledging: what arrives damaged is fetched again."""
    contents = [write_spool(folder, [line(f"e{n}")], n).read_bytes() for n in (1, 2)]
    net.fault = lambda _, path: fault if path.startswith(at) else None
    for _ in range(2):
        with suppress(SpoolError):
            spool.pull()
        files = arrived(spool)
        assert [spool.content(file) for file in files] == contents[: len(files)]
        spool.remove(files)
    net.fault = lambda *_: None
    for _ in range(3):
        spool.pull()
        spool.remove(arrived(spool))
    assert list_files(folder) == []
    assert spool.listing() == ([], True)


def test_another_content_than_was_listed_is_not_taken(
    net: Network, spool: PulledSpool, folder: Path
) -> None:
    """As long as it is damaged; the files of other instances are taken meanwhile."""
    damaged = write_spool(folder, [line("e1")])
    content = damaged.read_bytes()
    write_spool(folder, [line("e2")], instance=OTHER)
    OfferedSpool(folder).page()

    def damage(_method: str, path: str) -> None:
        # After it was listed, as by a proxy or a bad block.
        is_read = path.startswith("/spool/read")
        damaged.write_bytes(content.replace(b"e1", b"e0") if is_read else content)

    net.fault = damage
    with pytest.raises(SpoolError, match="arrived damaged"):
        spool.pull()
    assert [file.instance for file in arrived(spool)] == [OTHER]
    assert not spool.listing().is_complete
    net.fault = lambda *_: None
    damaged.write_bytes(content)
    spool.pull()
    assert len(arrived(spool)) == 2


@pytest.mark.parametrize("seed", range(examples(2, 30)))
def test_a_network_that_fails_at_random_loses_nothing(
    net: Network, folder: Path, seed: int
) -> None:
    """Each file is stored as it was written, at least once; none stays."""
    chance = random.Random(seed)
    net.fault = lambda *_: chance.choice(FAULTS) if chance.random() < 0.2 else None
    client = CollectorClient(f"http://127.0.0.1:{net.port}", SPOOL_TOKEN)
    spool = PulledSpool(client, 1_000)
    written: dict[str, bytes | None] = {}
    stored: dict[str, bytes | None] = {}
    for number in range(1, 12):
        file = write_spool(folder, [line(f"e{number}")], number)
        written[file.name] = file.read_bytes()
        with suppress(SpoolError):
            spool.pull()
        if chance.random() < 0.2:  # the updater is killed
            spool = PulledSpool(client, 1_000)
        files = arrived(spool)
        stored |= {file.name: spool.content(file) for file in files}
        if chance.random() < 0.8:
            spool.remove(files)
    net.fault = lambda *_: None
    for _ in range(10):
        spool.pull()
        stored |= {file.name: spool.content(file) for file in arrived(spool)}
        spool.remove(arrived(spool))
    client.close()
    assert stored == written
    assert list_files(folder) == []


def test_a_collector_that_does_not_answer_is_given_up(
    net: Network, spool: PulledSpool, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a time-out; the next pull finds what is there."""
    write_spool(folder, [line("e1")])
    net.fault = lambda *_: "hang"
    with monkeypatch.context() as impatient:
        short = timedelta(milliseconds=50)
        impatient.setattr(collector_client, "READ_TIMEOUT", short)
        with pytest.raises(SpoolError, match="cannot be reached"):
            spool.pull()
    net.fault = lambda *_: None
    spool.close()
    spool.pull()
    assert len(arrived(spool)) == 1


def test_an_answer_that_trickles_in_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It meets no time-out, but a deadline."""
    monkeypatch.setattr(collector_client, "DEADLINE", timedelta(milliseconds=50))
    monkeypatch.setattr(collector_client, "SLOWEST_BYTES_PER_SECOND", 10**9)
    ended = threading.Event()

    def trickle() -> None:
        with suppress(OSError):
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
                while not ended.wait(0.01):
                    connection.sendall(b"x")

    with create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=trickle)
        thread.start()
        url = "http://127.0.0.1:{1}".format(*server.getsockname())
        spool = PulledSpool(CollectorClient(url, SPOOL_TOKEN), 1)
        try:
            with pytest.raises(SpoolError, match="cannot be reached"):
                spool.pull()
        finally:
            ended.set()
            thread.join()


@pytest.mark.parametrize(
    ("url", "token", "said"),
    [
        ("", "wrong-token-0123456789abcdef", "refuses SPOOL_TOKEN"),
        ("/health?", SPOOL_TOKEN, "something else than a collector"),
        ("/nowhere", SPOOL_TOKEN, "does not have what it listed"),
    ],
)
def test_a_wrong_token_or_address_is_named(
    net: Network, url: str, token: str, said: str
) -> None:
    """In one sentence without the token."""
    spool = PulledSpool(
        CollectorClient(f"http://127.0.0.1:{net.port}{url}", token), 2**20
    )
    with pytest.raises(SpoolError, match=said) as raised:
        spool.pull()
    assert token not in str(raised.value)
    spool.close()


def test_a_collector_that_is_down_is_named() -> None:
    """With its address."""
    spool = PulledSpool(CollectorClient("http://127.0.0.1:9", SPOOL_TOKEN), 1)
    with pytest.raises(SpoolError, match=r"127\.0\.0\.1:9 cannot be reached"):
        spool.pull()


def test_what_is_in_memory_is_bounded(tmp_path: Path) -> None:
    """But at least one file is fetched; the others follow when it is stored."""
    for number in range(1, 5):
        write_spool(tmp_path, [line(f"e{number}")], number)
    size = list_files(tmp_path)[0].bytes
    spool = pulled_directly(tmp_path, 2 * size)
    for _ in range(2):
        spool.pull()
        assert len(arrived(spool)) == 2
    assert spool.has_backlog
    spool.remove(arrived(spool))
    spool.pull()
    assert [file.name[-16:-9] for file in arrived(spool)] == ["0000003", "0000004"]
    assert not spool.has_backlog
    small = pulled_directly(tmp_path, 1)
    small.pull()
    assert len(arrived(small)) == 1


def test_a_long_listing_comes_in_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Up to a bound; then it does not say that there are no other instances."""
    for number in range(1, 8):
        write_spool(tmp_path, [line(f"e{number}")], number)
    page = OfferedSpool.page
    monkeypatch.setattr(
        OfferedSpool, "page", lambda self, after, _most: page(self, after, 2)
    )
    spool = pulled_directly(tmp_path)
    spool.pull()
    assert len(spool.listing().files) == 7
    assert spool.listing().is_complete
    monkeypatch.setattr(pulled, "MOST_LISTED", 4)
    spool = pulled_directly(tmp_path)
    spool.pull()
    assert len(spool.listing().files) == 4
    assert not spool.listing().is_complete
    assert spool.has_backlog


def test_only_what_was_stored_is_acknowledged(tmp_path: Path) -> None:
    """Not another file of the same name that came after it: a copied machine."""
    file = write_spool(tmp_path, [line("e1")])
    spool = pulled_directly(tmp_path)
    spool.pull()
    listed = arrived(spool)
    file.write_text("another content\n")
    OfferedSpool(tmp_path).acknowledge(
        [StoredSpoolFile(name=f.name, sha256=f.sha256 or "") for f in listed]
    )
    spool.remove(listed)
    with pytest.MonkeyPatch.context() as patch:
        # The collector has computed no checksum of it yet.
        patch.setattr(spool._client, "offered", OfferedSpool(tmp_path))
        spool.pull()
        assert file.read_text() == "another content\n"
        assert listed[0].sha256 != arrived(spool)[0].sha256
        spool.remove(listed)
        spool.pull()
    assert file.exists()
