"""Encrypted sessions: what sslmode and an authority promise."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from readmodel.source.postgres.source import PostgresSource
from testbed.postgres import Database, Server, fresh_database, private_server
from tests.readmodel.source.postgres.reading import source_of
from util.errors import SourceError


def certificate(folder: Path, host: str) -> tuple[Path, Path]:
    """A certificate that signs itself, and its key."""
    crt, key = folder / f"{host}.crt", folder / f"{host}.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-nodes", "-days", "2",
         "-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", f"/CN={host}", "-addext", f"subjectAltName=DNS:{host}",
         "-keyout", str(key), "-out", str(crt)],
        check=True, capture_output=True,
    )  # fmt: skip
    return crt, key


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for localhost, and its key."""
    return certificate(tmp_path_factory.mktemp("tls"), "localhost")


@pytest.fixture(scope="module")
def encrypted(authority: tuple[Path, Path]) -> Iterator[Server]:
    """A server that only lets encrypted sessions in, with SCRAM."""
    with private_server() as server:
        server.stop()
        for source, name in zip(authority, ("server.crt", "server.key"), strict=True):
            server.own(server.data / name, source.read_bytes())
        hba = "hostssl all all 127.0.0.1/32 scram-sha-256\n"
        server.own(server.data / "pg_hba.conf", hba.encode())
        server.options = ("ssl=on",)
        yield server.start()


@pytest.fixture
def database(encrypted: Server) -> Iterator[Database]:
    """An empty database on the encrypted server."""
    with fresh_database(encrypted.root) as fresh:
        yield fresh


def encryption(source: PostgresSource) -> bool:
    """Whether a session of *source* is encrypted."""
    with source.view() as view:
        return view.is_encrypted


def test_sessions_are_encrypted_where_the_server_offers_it(database: Database) -> None:
    """Without a setting."""
    assert encryption(source_of(database))


def test_a_server_that_wants_encryption_refuses_others(database: Database) -> None:
    """With the server's words."""
    with pytest.raises(SourceError, match=r"no pg_hba.conf entry .*no encryption"):
        encryption(source_of(database, options={"sslmode": "disable"}))


def test_a_certificate_is_verified_by_the_authority(
    database: Database, authority: tuple[Path, Path], tmp_path: Path
) -> None:
    """Its signature and the name of the host."""
    trusted = {"sslmode": "verify-ca", "sslrootcert": str(authority[0])}
    assert encryption(source_of(database, options=trusted))
    by_name = trusted | {"sslmode": "verify-full", "hostaddr": "127.0.0.1"}
    reader = database.reader
    named = PostgresSource(
        "localhost", reader.port, reader.user, reader.password, database.name, by_name
    )
    assert encryption(named)
    with pytest.raises(SourceError, match="does not match host name"):
        encryption(source_of(database, options=trusted | {"sslmode": "verify-full"}))
    other, _ = certificate(tmp_path, "localhost")
    with pytest.raises(SourceError, match="certificate verify failed"):
        encryption(source_of(database, options=trusted | {"sslrootcert": str(other)}))


def test_a_server_without_encryption_is_refused_where_it_is_required(
    postgres: Database,
) -> None:
    """Nothing is sent in the clear."""
    with pytest.raises(SourceError, match="server does not support SSL"):
        encryption(source_of(postgres, options={"sslmode": "require"}))
