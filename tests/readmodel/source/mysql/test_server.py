"""Connections use TLS if the server offers it, and only TLS with an authority."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from readmodel.source.mysql.server import MysqlServer
from testbed.mariadb import Database, fresh_database, private_server
from tests.support.mysql import mirror, mysql_source
from util.errors import SourceError

pytestmark = pytest.mark.external


KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")
"""Made in a hundredth of the time of an RSA key."""


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority, a certificate for 127.0.0.1 that it signed, another authority."""
    folder = tmp_path_factory.mktemp("tls")

    def openssl(*arguments: str) -> None:
        command = ["openssl", *arguments]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)

    for name in ("ca", "other"):
        openssl("req", "-x509", *KEY, "-nodes", "-days", "2", "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.pem")  # fmt: skip
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1,DNS:127.0.0.1")
    openssl("req", *KEY, "-nodes", "-subj", "/CN=127.0.0.1", "-keyout", "server.key", "-out", "server.csr")  # fmt: skip
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", "2", "-set_serial", "1", "-extfile", "names", "-out", "server.pem")  # fmt: skip
    return folder


@pytest.mark.long(
    "tests/readmodel/source/mysql/test_login.py::test_a_server_that_asks_for_the_password_in_clear_text_is_refused"
)
def test_tls_is_used_if_offered_and_required_with_an_authority(
    certificates: Path, tmp_path: Path
) -> None:
    """A certificate that another authority signed is refused."""
    with (
        private_server(
            "--require-secure-transport=ON",
            f"--ssl-ca={certificates / 'ca.pem'}",
            f"--ssl-cert={certificates / 'server.pem'}",
            f"--ssl-key={certificates / 'server.key'}",
        ) as server,
        fresh_database(server.root) as secured,
    ):
        secured.run("CREATE TABLE things (id int)", "INSERT INTO things VALUES (1)")
        source = mysql_source(secured)
        trusted = replace(source, ssl_ca=str(certificates / "ca.pem"))
        for each in (source, trusted):
            mirror(each, tmp_path)
        stranger = replace(source, ssl_ca=str(certificates / "other.pem"))
        with pytest.raises(SourceError, match=r"certificate"):
            mirror(stranger, tmp_path)


def test_a_server_without_tls_is_refused_with_an_authority(
    database: Database, certificates: Path, tmp_path: Path
) -> None:
    """The password is not sent over an unencrypted connection."""
    trusted = replace(mysql_source(database), ssl_ca=str(certificates / "ca.pem"))
    with pytest.raises(SourceError, match=r"SSL|TLS"):
        mirror(trusted, tmp_path)


def test_a_socket_can_be_used(tmp_path: Path) -> None:
    """A host that starts with a slash is its path."""
    with (
        private_server("--skip-networking=0") as server,
        fresh_database(server.root) as local,
    ):
        local.run(
            "CREATE TABLE things (id int)",
            f"CREATE USER {local.reader.user}@localhost IDENTIFIED BY 'x'",
            f"GRANT SELECT ON `{local.name}`.* TO {local.reader.user}@localhost",
        )
        socket = str(server.folder / "s.sock")
        source = replace(mysql_source(local), host=socket, password="x")
        mirror(source, tmp_path)
        assert source.name == f"{local.name} on {socket}"
        local.run(f"DROP USER {local.reader.user}@localhost")


@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_an_ipv6_address_may_have_brackets(host: str) -> None:
    """As it has in a URL."""
    server = MysqlServer(host, 3306, "u", "p", "fpp")
    assert server.connection_arguments()["host"] == "::1"
    assert server.name == "fpp on [::1]:3306"
