"""The Dockerfile, executed without a container engine, and the resulting programs.

Each stage becomes a folder. COPY copies only files that .dockerignore allows and git
lists; RUN runs in the folder. The commands of the final stages are started from the
result as an unprivileged user. Steps that need root (adding the user) are not run.
"""

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from demo.database import write_database
from demo.sample import sample
from tests.support.servers import closed_port

pytestmark = pytest.mark.external

ROOT = Path(__file__).parents[2]
TOKEN = "image-t0ken"
NOBODY = 65534


@dataclass
class BuildStage:
    """A stage of the Dockerfile: its name, its base and its instructions in order."""

    name: str
    base: str
    steps: list[tuple[str, str]] = field(default_factory=list)

    def arguments_of(self, instruction: str) -> list[str]:
        """Arguments of each use of *instruction*, in order."""
        return [rest for name, rest in self.steps if name == instruction]


def _stages() -> dict[str, BuildStage]:
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    stages: dict[str, BuildStage] = {}
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        instruction, _, rest = line.strip().partition(" ")
        if instruction == "FROM":
            base, *name = re.split(r"\s+AS\s+", rest.strip())
            stage = BuildStage(name[0] if name else "", base)
            stages[stage.name] = stage
        else:
            stage.steps.append((instruction, rest.strip()))
    return stages


STAGES = _stages()


def _is_sent(path: str) -> bool:
    """True if .dockerignore, which excludes everything by default, allows *path*."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    allowed = [line[1:] for line in lines if line.startswith("!")]
    return any(path == name or path.startswith(f"{name}/") for name in allowed)


def _context() -> list[str]:
    """Files of the build context: tracked and new files that are not ignored."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    return [path for path in listed if _is_sent(path) and (ROOT / path).exists()]


def _uv() -> str:
    for path in (shutil.which("uv"), ROOT / ".tools" / "bin" / "uv"):
        works = (
            path
            and not subprocess.run(
                [str(path), "--version"], cwd="/", capture_output=True
            ).returncode
        )
        if works:
            return str(path)
    pytest.fail("uv is missing: run make setup")


def _copy(arguments: list[str], stage: Path) -> None:
    *sources, target = arguments
    sent = _context()
    for source in sources:
        files = [f for f in sent if f == source or f.startswith(f"{source}/")]
        assert files, f"COPY {source} matches no file"
        for file in files:
            inside = Path(file).relative_to(source) if file != source else Path()
            place = stage / target
            if file == source and (target.endswith("/") or len(sources) > 1):
                place = place / Path(file).name
            elif file != source:
                place = place / inside
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / file, place)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The content of /app in the images, built in an empty folder by the build stage."""
    app = tmp_path_factory.mktemp("image") / "app"
    app.mkdir()
    # As in the image, except for uv and Python, which come from this machine.
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(app.parent / "home")}
    environ |= {"UV_PYTHON": os.path.realpath(sys.executable)}
    environ |= {name: os.environ[name] for name in _PASSED if name in os.environ}
    for instruction, rest in STAGES["build"].steps:
        match instruction, shlex.split(rest):
            case "ENV" | "ARG", settings:
                environ |= dict(setting.split("=", 1) for setting in settings)
            case "WORKDIR", [folder]:
                assert folder == "/app"
            case "COPY", [origin, *_] if origin.startswith("--from="):
                assert rest == "--from=uv /uv /usr/local/bin/uv"
            case "COPY", paths:
                _copy(paths, app)
            case "RUN", _:
                command = re.sub(r"^uv ", f"{shlex.quote(_uv())} ", rest)
                subprocess.run(
                    ["sh", "-c", command], cwd=app, env=environ, check=True, timeout=300
                )
            case _:
                pytest.fail(f"this test cannot run {instruction} {rest}")
    return app


# Variables for access to the package registry and for the cache.
_PASSED = (
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "PIP_INDEX_URL",
    "SSL_CERT_FILE",
    "UV_CACHE_DIR",
    "UV_DEFAULT_INDEX",
    "UV_INDEX_URL",
    "UV_OFFLINE",
)


def _program(target: str, app: Path, instruction: str = "CMD") -> list[str]:
    """Command of *target*, with the path of the built /app."""
    (arguments,) = STAGES[target].arguments_of(instruction)
    command = arguments[arguments.index("[") :]
    python = str(app / ".venv" / "bin" / "python")
    return [python if part == "python" else part for part in json.loads(command)]


def _unprivileged() -> list[str]:
    """Command prefix that runs a program as nobody, with read access to all files.

    Empty if the tests do not run as root; write-protected folders suffice then.
    """
    if os.geteuid():
        return []
    only = "-all,+dac_read_search"
    return [
        "setpriv",
        f"--reuid={NOBODY}",
        f"--regid={NOBODY}",
        "--clear-groups",
        f"--inh-caps={only}",
        "--ambient-caps=+dac_read_search",
        f"--bounding-set={only}",
        "--no-new-privs",
    ]


def _environ(app: Path, **more: str) -> dict[str, str]:
    settings = dict(
        s.split("=", 1) for s in shlex.split(STAGES["base"].arguments_of("ENV")[0])
    )
    settings["PATH"] = (
        settings["PATH"].replace("/app", str(app)).replace("$PATH", "/bin")
    )
    return settings | more


@contextmanager
def _started(command: list[str], app: Path, **settings: str) -> Iterator[int]:
    """Start a process and yield its id; it must exit by itself on SIGTERM."""
    process = subprocess.Popen(
        [*_unprivileged(), *command], cwd=app, env=_environ(app, **settings)
    )
    try:
        yield process.pid
        assert process.poll() is None, "the process exited early"
        process.send_signal(signal.SIGTERM)
        process.wait(10)
    finally:
        process.kill()
        process.wait()


def _check(target: str, app: Path, port: int = 0, **settings: str) -> int:
    """Exit code of the health check of *target*."""
    command = [
        part.replace("127.0.0.1:5100", f"127.0.0.1:{port}")
        for part in _program(target, app, "HEALTHCHECK")
    ]
    return subprocess.run(
        [*_unprivileged(), *command],
        cwd=app,
        env=_environ(app, **settings),
        capture_output=True,
        timeout=30,
    ).returncode


def _set_writable(folder: Path, *, writable: bool) -> None:
    """Let the programs' user own *folder*, or make it read-only for that user."""
    for path in [folder, *folder.rglob("*")]:
        if path.is_symlink():
            continue
        if not os.geteuid():
            os.chown(path, *((NOBODY, NOBODY) if writable else (0, 0)))
        mode = 0o755 if path.is_dir() else 0o644
        path.chmod(mode if writable else mode & ~0o222)


def _until(done: Callable[[], bool], failure: str) -> None:
    until = time.monotonic() + 60
    while not done():
        assert time.monotonic() < until, failure
        time.sleep(0.2)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.long("test_the_context_has_the_programs_without_tests")
def test_the_image_contains_the_programs_without_build_tools(image: Path) -> None:
    """It has no tests, no demonstration, no development packages and no uv."""
    names = {path.name for path in image.iterdir()}
    assert {"main.py", "update_readmodel.py", "config.py", ".venv"} <= names
    assert not names & {"tests", "demo", "bench", ".git", ".env", "data"}
    packages = next((image / ".venv" / "lib").glob("*/site-packages"))
    assert (packages / "polars").is_dir()
    for name in ("pytest", "mypy", "ruff", "schemathesis", "uv", "pip"):
        assert not (packages / name).exists(), name


@pytest.mark.long("test_all_targets_have_their_own_user_and_a_health_check")
def test_the_programs_run_from_the_image_without_privileges(
    image: Path, tmp_path: Path
) -> None:
    """The updater writes DATA_DIR; the API serves it although it cannot write there."""
    data = tmp_path / "data"
    data.mkdir()
    source = tmp_path / "source.db"
    write_database(source, sample(datetime.now(UTC), 0.005))
    _set_writable(data, writable=True)
    updater = {"DATA_DIR": str(data), "SOURCE_URL": f"sqlite:///{source}"}
    assert _check("updater", image, 0, **updater) == 1
    with _started(_program("updater", image), image, **updater):
        _until((data / "current").exists, "it did not sync")
        # The check is a program of its own, so it is not what waits.
        _until(
            lambda: _check("updater", image, 0, **updater) == 0,
            "it did not become healthy",
        )
    _set_writable(data, writable=False)
    before = sorted(path.name for path in data.rglob("*"))
    port = closed_port()
    command = _program("api", image)
    command[command.index("5100")] = str(port)
    command[command.index("0.0.0.0")] = "127.0.0.1"
    api = {"DATA_DIR": str(data), "ANALYTICS_SECRET_TOKEN": TOKEN}
    assert _check("api", image, port) != 0
    with _started(command, image, **api) as pid:
        _until(lambda: _listens(port), "it did not start")
        _until(lambda: _check("api", image, port) == 0, "it did not become healthy")
        status = Path(f"/proc/{pid}/status").read_text()
        assert re.search(r"^CapEff:\s+0+4?$", status, re.MULTILINE), status
        url = f"http://127.0.0.1:{port}"
        answer = httpx.get(url, headers={"Authorization": f"Bearer {TOKEN}"})
        assert answer.status_code == 200
        assert answer.json()["data"]["votes"]["total_votes"] > 0
        page = httpx.get(f"{url}/dashboard", follow_redirects=True)
        assert page.status_code == 200
    assert sorted(path.name for path in data.rglob("*")) == before
    _set_writable(data, writable=True)


def test_the_context_has_the_programs_without_tests() -> None:
    """Whatever the build stage copies is sent to it; no test, demonstration or data is."""
    sent = {Path(name).parts[0] for name in _context()}
    assert {"main.py", "update_readmodel.py", "collect_events.py", "config.py"} <= sent
    assert not sent & {"tests", "bench", ".git", ".env", "data"}
    for arguments in STAGES["build"].arguments_of("COPY"):
        first, *_ = shlex.split(arguments)
        assert first.startswith("--from=") or first.split("/")[0] in sent, arguments


def test_all_targets_have_their_own_user_and_a_health_check() -> None:
    """They do not run as root; the user owns the folders of data and spool."""
    base = STAGES["base"]
    assert base.arguments_of("USER") == ["fpp"]
    (command,) = base.arguments_of("RUN")
    assert "useradd --system --uid 10001" in command
    assert "--owner=fpp --group=fpp --mode=0750 /data /spool" in command
    assert not re.search(r"apt|apk|pip|curl|gcc", command)
    for target in ("api", "updater", "collector"):
        assert STAGES[target].base == "base"
        assert STAGES[target].arguments_of("HEALTHCHECK")
        assert STAGES[target].arguments_of("USER") == []


def test_the_default_target_is_the_api() -> None:
    """Without a target, the last stage is built."""
    assert list(STAGES.values())[-1].base == "api"


def test_the_sample_target_finds_what_it_copies() -> None:
    """It is built only for trials, so a missing file would go unnoticed."""
    for arguments in STAGES["sample"].arguments_of("COPY"):
        *sources, _ = shlex.split(arguments)
        assert all(any(f.startswith(s) for f in _context()) for s in sources), arguments
