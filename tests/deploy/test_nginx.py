"""The nginx example, running with TLS in front of a server on loopback."""

import gzip
import re
import shutil
import ssl
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from routers.queries.request import MAX_BODY_BYTES
from tests.support.servers import StubServer, closed_port, serving

pytestmark = pytest.mark.external

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "deploy" / "nginx"
NAME = "analytics.example.org"
EVENTS_NAME = "events.example.org"
JOINED_NAME = "joined.example.org"
COLLECTORS_NAME = "collectors.example.org"
TOKEN = "t0ken-that-never-shows"


@dataclass(frozen=True)
class Nginx:
    """A running nginx with the example configuration, and the server behind it."""

    https: httpx.Client
    http: httpx.Client
    behind: StubServer
    collector: StubServer
    logs: Path

    def logged(self, request: str) -> str:
        """Content of all logs, once they contain *request*."""
        until = time.monotonic() + 30
        while request not in (text := self._text()):
            assert time.monotonic() < until, text
            time.sleep(0.02)
        return text

    def _text(self) -> str:
        return "".join(log.read_text() for log in self.logs.glob("*.log"))


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    """A running nginx; the logs and the certificate are in a temporary folder."""
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/sbin")
    assert program, "nginx is missing: apt-get install nginx-light"
    folder = tmp_path_factory.mktemp("nginx")
    _make_certificate(folder)
    with serving() as behind, serving() as collector:
        plain, tls = closed_port(), closed_port()
        config = _write_config(folder, (behind.port, collector.port), plain, tls)
        arguments = ["-e", str(folder / "start.err"), "-p", str(folder), "-c", config]
        checked = subprocess.run(
            [program, "-t", *arguments], capture_output=True, text=True, timeout=30
        )
        assert checked.returncode == 0, checked.stderr
        process = subprocess.Popen([program, *arguments])
        try:
            trust = ssl.create_default_context(cafile=str(folder / "cert.pem"))
            with (
                httpx.Client(
                    base_url=f"https://127.0.0.1:{tls}",
                    headers={"Host": NAME},
                    verify=trust,
                ) as https,
                httpx.Client(
                    base_url=f"http://127.0.0.1:{plain}", headers={"Host": NAME}
                ) as http,
            ):
                _wait_until_listening(http)
                yield Nginx(https, http, behind, collector, folder)
        finally:
            process.terminate()
            process.wait(10)


def _make_certificate(folder: Path) -> None:
    names = f"subjectAltName=DNS:{NAME},IP:127.0.0.1"
    key = ["-newkey", "ec", "-nodes", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    content = ["-days", "2", "-subj", f"/CN={NAME}", "-addext", names]
    output = ["-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run(
        ["openssl", "req", "-x509", *key, *content, *output],
        cwd=folder,
        check=True,
        capture_output=True,
        timeout=30,
    )


def _write_config(folder: Path, ports: tuple[int, int], plain: int, tls: int) -> str:
    """Write the example with other ports, addresses and paths; return the main file."""
    changes = {
        "127.0.0.1:5100": f"127.0.0.1:{ports[0]}",
        "listen 80;": f"listen 127.0.0.1:{plain};",
        "listen [::]:80;": "",
    }
    _write_site(folder, "fpp-analytics.conf", NAME, tls, changes)
    collector = {"127.0.0.1:5200": f"127.0.0.1:{ports[1]}"}
    _write_site(folder, "fpp-analytics-events.conf", EVENTS_NAME, tls, collector)
    # The second one is down.
    second = {"127.0.0.1:5201": f"127.0.0.1:{closed_port()}"}
    example = "fpp-analytics-collectors.conf"
    _write_site(folder, example, COLLECTORS_NAME, tls, collector | second)
    changes = collector | {"127.0.0.1:5100": f"127.0.0.1:{ports[0]}"}
    _write_site(folder, "fpp-analytics-joined.conf", JOINED_NAME, tls, changes)
    config = folder / "nginx.conf"
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    scratch = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    config.write_text(
        f"daemon off; master_process off; pid {folder}/pid; events {{}}\n"
        # Another site on the same host may have enabled gzip.
        f"http {{ gzip on; gzip_types *; {scratch} include {folder}/fpp-*.conf; }}\n"
    )
    return str(config)


def _write_site(
    folder: Path, example: str, name: str, tls: int, changes: dict[str, str]
) -> None:
    """Write one example with the *changes* and those of every site."""
    site = (EXAMPLES / example).read_text()
    live = f"/etc/letsencrypt/live/{name}"
    changes = changes | {
        "listen 443 ssl http2;": f"listen 127.0.0.1:{tls} ssl http2;",
        "listen [::]:443 ssl http2;": "",
        f"{live}/fullchain.pem": str(folder / "cert.pem"),
        f"{live}/privkey.pem": str(folder / "key.pem"),
        "/var/log/nginx": str(folder),
    }
    for found, actual in changes.items():
        assert found in site, found
        site = site.replace(found, actual)
    (folder / example).write_text(site)


def _wait_until_listening(http: httpx.Client) -> None:
    until = time.monotonic() + 10
    while True:
        try:
            http.get("/")
            return
        except httpx.ConnectError:
            assert time.monotonic() < until, "nginx does not listen"
            time.sleep(0.02)


def test_the_token_reaches_the_api_and_no_log(nginx: Nginx) -> None:
    """The log omits it as a header and, if misplaced by a client, in the URL."""
    headers = {"Authorization": f"Bearer {TOKEN}", "Referer": f"http://x/{TOKEN}"}
    answer = nginx.https.get("/room/7/stats", params={"t": TOKEN}, headers=headers)
    assert answer.status_code == 200
    assert nginx.behind.requests[-1].headers["authorization"] == f"Bearer {TOKEN}"
    assert TOKEN not in nginx.logged('"GET /room/7/stats HTTP/')


def test_a_failing_api_leaves_no_token_in_the_error_log(nginx: Nginx) -> None:
    """By default nginx would log the complete request line of such an error."""
    nginx.behind.drop = True
    try:
        answer = nginx.https.get("/", params={"t": TOKEN})
    finally:
        nginx.behind.drop = False
    assert answer.status_code == 502
    # The error log is written before this line.
    assert TOKEN not in nginx.logged('" 502 ')


@pytest.mark.parametrize(
    ("name", "path"),
    [(NAME, "/"), (NAME, "/query"), (NAME, "/report"), (EVENTS_NAME, "/events")],
)
def test_the_programs_receive_the_client_address_and_a_request_id(
    nginx: Nginx, name: str, path: str
) -> None:
    """An X-Forwarded-For sent by the client is replaced, at every address."""
    forged = {"X-Forwarded-For": "6.6.6.6", "Host": name}
    nginx.https.post(path, content=b"x", headers=forged)
    headers = nginx.behind.requests[-1].headers
    assert headers["x-forwarded-for"] == "127.0.0.1"
    assert headers["x-forwarded-proto"] == "https"
    assert len(headers["x-request-id"]) == 32


def test_nginx_does_not_compress_answers(nginx: Nginx) -> None:
    """It passes on compressed and uncompressed bodies unchanged."""
    before = nginx.behind.answer
    nginx.behind.answer = gzip.compress(b"x" * 5_000)
    try:
        answer = nginx.https.get("/", headers={"Accept-Encoding": "gzip"})
    finally:
        nginx.behind.answer = before
    assert "content-encoding" not in answer.headers
    assert gzip.decompress(answer.content) == b"x" * 5_000


def test_nginx_refuses_bodies_and_long_headers(nginx: Nginx) -> None:
    """They do not reach the API."""
    count = len(nginx.behind.requests)
    assert nginx.https.post("/", content=b"x" * 2_000).status_code == 413
    assert nginx.https.get("/", headers={"X-Long": "x" * 9_000}).status_code == 400
    assert len(nginx.behind.requests) == count


@pytest.mark.parametrize("path", ["/query", "/report"])
def test_sql_reaches_the_api(nginx: Nginx, path: str) -> None:
    """A statement of the longest that the API takes, and no endless one."""
    body = b"x" * MAX_BODY_BYTES
    assert nginx.https.post(path, content=body).status_code == 200
    assert nginx.behind.requests[-1].body == body
    assert nginx.https.post(path, content=body * 2).status_code == 413


def test_metrics_are_not_public(nginx: Nginx) -> None:
    """Prometheus scrapes the API directly."""
    assert nginx.https.get("/metrics").status_code == 404


def test_people_without_tls_are_sent_to_https(nginx: Nginx) -> None:
    """With the path and the query; nothing reaches the API."""
    count = len(nginx.behind.requests)
    answer = nginx.http.get("/dashboard?period=7d")
    assert answer.status_code == 308
    assert answer.headers["location"] == f"https://{NAME}/dashboard?period=7d"
    assert len(nginx.behind.requests) == count


def test_a_token_without_tls_is_refused(nginx: Nginx) -> None:
    """With a redirect, clients would continue to send the token in the clear first."""
    count = len(nginx.behind.requests)
    assert nginx.http.get("/", headers={"Authorization": TOKEN}).status_code == 403
    assert nginx.http.post("/session").status_code == 403
    assert len(nginx.behind.requests) == count
    assert "max-age" in nginx.https.get("/").headers["strict-transport-security"]


def test_events_reach_the_collector(nginx: Nginx) -> None:
    """With bodies of a megabyte; what is for operators does not."""
    host = {"Host": EVENTS_NAME}
    body = b"x" * 2**20
    answer = nginx.https.post("/events", content=body, headers=host)
    assert answer.status_code == 200
    assert nginx.collector.requests[-1].body == body
    assert nginx.https.get("/metrics", headers=host).status_code == 404
    assert nginx.https.get("/readyz", headers=host).status_code == 404


@pytest.mark.parametrize("name", [EVENTS_NAME, COLLECTORS_NAME, JOINED_NAME])
@pytest.mark.parametrize("path", ["/spool/files", "/spool/files/a.v1.jsonl"])
def test_the_spool_is_not_public(nginx: Nginx, name: str, path: str) -> None:
    """An updater on another host asks the collector directly."""
    count = len(nginx.collector.requests)
    nginx.https.get(path, headers={"Host": name})
    assert len(nginx.collector.requests) == count


def test_events_reach_a_collector_that_is_there(nginx: Nginx) -> None:
    """Each once, while another one is down: the address is the same."""
    count = len(nginx.collector.requests)
    for number in range(6):
        answer = nginx.https.post(
            "/events", content=b"%d" % number, headers={"Host": COLLECTORS_NAME}
        )
        assert answer.status_code == 200
    bodies = [request.body for request in nginx.collector.requests[count:]]
    assert bodies == [b"%d" % number for number in range(6)]


@pytest.mark.parametrize(
    "path",
    [
        *("/events", "/v1/batch", "/healthz", "/api/analytics/events"),
        *("/api/analytics/ingest", "/api/analytics/healthz"),
    ],
)
def test_under_one_address_events_go_to_the_collector(nginx: Nginx, path: str) -> None:
    """With bodies of a megabyte, and the token."""
    headers = {"Host": JOINED_NAME, "Authorization": f"Bearer {TOKEN}"}
    answer = nginx.https.post(path, content=b"x" * 2**20, headers=headers)
    assert answer.status_code == 200
    received = nginx.collector.requests[-1]
    assert (received.path, len(received.body)) == (path, 2**20)
    assert received.headers["authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/dashboard", "/health", "/events/rejected", "/analytics/top-events"),
        *("/api/analytics/reports/dau", "/api/analytics/docs", "/eventsx"),
    ],
)
def test_under_one_address_all_else_goes_to_the_api(nginx: Nginx, path: str) -> None:
    """Questions about events, too."""
    answer = nginx.https.get(path, headers={"Host": JOINED_NAME})
    assert answer.status_code == 200
    assert nginx.behind.requests[-1].path == path


def test_under_one_address_reports_have_bodies_and_metrics_are_not_public(
    nginx: Nginx,
) -> None:
    """`POST /report` and `POST /query` reach the API."""
    host = {"Host": JOINED_NAME}
    body = b"x" * 65_000
    assert nginx.https.post("/query", content=body, headers=host).status_code == 200
    assert nginx.behind.requests[-1].body == body
    for path in ("/metrics", "/readyz", "/api/analytics/metrics"):
        assert nginx.https.get(path, headers=host).status_code == 404


CONFIGURATIONS = sorted((*EXAMPLES.glob("*.conf"), *ROOT.glob("examples/*/nginx.conf")))


@pytest.mark.parametrize("file", CONFIGURATIONS, ids=lambda file: file.stem)
def test_every_example_replaces_the_address_that_a_client_sends(file: Path) -> None:
    """Limits are per address: whoever could choose one would evade them.

    A location with headers of its own inherits none.
    """
    text = re.sub(r"^\s*#.*$", "", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert "proxy_add_x_forwarded_for" not in text
    replaced = "proxy_set_header X-Forwarded-For $remote_addr;"
    blocks = re.findall(r"location[^{]*\{[^{}]*\}", text)
    proxied = [block for block in blocks if "proxy_pass" in block]
    assert proxied
    server = re.sub(r"location[^{]*\{[^{}]*(\{[^{}]*\}[^{}]*)*\}", "", text)
    for block in proxied:
        sets = block if "proxy_set_header" in block else server
        assert replaced in sets, block
