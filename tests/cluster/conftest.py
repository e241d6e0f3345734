"""A real scheduler with two workers, and APIs with and without it."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry

import testbed.cluster
from bench.data import NOW, write
from cluster.address import cluster_address
from cluster.connection import ClusterConnection
from cluster.metrics import FALLBACKS, ClusterMetrics
from config import Settings
from demo.sample import sample
from readmodel.store.content import current_content
from routers.cluster_answers import ClusterAnswers
from testbed.cluster import LocalCluster, local_cluster
from tests.routers.conftest import client_of, make_settings
from tests.support import preloaded

PAUSE_SECONDS = 0.5
"""Between two questions to the workers."""

WAIT_SECONDS = 90
"""On a busy machine."""


@dataclass
class Api:
    """A client of an API whose answers a cluster computes."""

    client: TestClient
    connection: ClusterConnection
    registry: CollectorRegistry

    def get(self, path: str) -> bytes:
        """The answer, which must be 200."""
        answer = self.client.get(path)
        assert answer.status_code == 200, answer.text
        return answer.content

    @property
    def answers(self) -> float:
        """Answers by the cluster."""
        return self.registry.get_sample_value("fpp_cluster_answers_total") or 0

    def fallbacks(self, reason: str) -> float:
        """Answers that were computed locally for *reason*."""
        return self.registry.get_sample_value(FALLBACKS, {"reason": reason}) or 0

    @property
    def all_fallbacks(self) -> float:
        """Those for any reason."""
        return sum(
            one.value
            for family in self.registry.collect()
            for one in family.samples
            if one.name == FALLBACKS
        )

    def wait_for_workers(self, count: int) -> None:
        """Until *count* workers may run plans."""
        wait_until(lambda: self.connection.workers == count)


def wait_until(holds: Callable[[], bool]) -> None:
    """Fail after WAIT_SECONDS."""
    until = time.monotonic() + WAIT_SECONDS
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.fixture(scope="session")
def read_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample at scale 1, as a DATA_DIR."""
    data_dir = tmp_path_factory.mktemp("cluster") / "data"
    write(sample(NOW, 1), data_dir)
    return data_dir


@pytest.fixture(scope="session")
def replica(read_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy in another folder, as a follower on another machine has it."""
    return copy_of(read_model, tmp_path_factory.mktemp("elsewhere") / "copy")


def copy_of(data_dir: Path, place: Path) -> Path:
    """Copy *data_dir* to *place*."""
    shutil.copytree(data_dir, place, symlinks=True)
    return place


@pytest.fixture(scope="module")
def running(read_model: Path, replica: Path) -> Iterator[LocalCluster]:
    """A scheduler and two workers, each with a DATA_DIR of its own."""
    with (
        preloaded.used_by(testbed.cluster),
        local_cluster(read_model, replica) as cluster,
    ):
        yield cluster


@contextmanager
def api_of(
    data_dir: Path, settings: Settings, seconds: float = WAIT_SECONDS
) -> Iterator[Api]:
    """An API for *data_dir* that uses the cluster of *settings*."""
    registry = CollectorRegistry()
    connection = ClusterConnection(
        cluster_address(settings),
        partial(current_content, data_dir),
        ClusterMetrics(registry),
        seconds,
        pause=PAUSE_SECONDS,
        probe_seconds=WAIT_SECONDS,
    )
    with ExitStack() as stack:
        client = stack.enter_context(client_of(make_settings(data_dir=data_dir), NOW))
        client.app.state.cluster = ClusterAnswers(connection, 0)  # type: ignore[attr-defined]
        connection.start()
        stack.callback(connection.close)
        yield Api(client, connection, registry)


@pytest.fixture(scope="module")
def api(read_model: Path, running: LocalCluster) -> Iterator[Api]:
    """An API with both workers."""
    with api_of(read_model, make_settings(engine_url=running.url)) as api:
        api.wait_for_workers(2)
        yield api


@pytest.fixture(scope="module")
def local(read_model: Path) -> Iterator[TestClient]:
    """An API without a cluster."""
    with client_of(make_settings(data_dir=read_model), NOW) as client:
        yield client


@pytest.fixture(scope="session")
def tls_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """CA, CERT and KEY: an authority of our own, and a certificate that it has signed."""
    folder = tmp_path_factory.mktemp("tls")
    authority, signer = _certificate("authority", None)
    certificate, key = _certificate("cluster", (authority, signer))
    contents = {
        "CA": authority.public_bytes(Encoding.PEM),
        "CERT": certificate.public_bytes(Encoding.PEM),
        "KEY": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    }
    for name, content in contents.items():
        (folder / f"{name}.pem").write_bytes(content)
    return {name: str(folder / f"{name}.pem") for name in contents}


type _Signer = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]


def _certificate(name: str, issuer: _Signer | None) -> _Signer:
    """A certificate for *name* by *issuer*, or one of an authority without."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), True)
        .sign(issuer[1] if issuer else key, hashes.SHA256())
    )
    return certificate, key
