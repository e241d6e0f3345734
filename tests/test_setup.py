"""The scripts of the set-up; a second one has nothing to do."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.external

ROOT = Path(__file__).parent.parent

PYPROJECT = """
[project]
name = "empty"
version = "1"
requires-python = ">=3.12"

[dependency-groups]
rare = []

[tool.uv]
package = false
"""

LOCK = """
version = 1
requires-python = ">=3.12"

[[package]]
name = "empty"
version = "1"
source = { virtual = "." }

[package.dev-dependencies]
rare = []
"""

FAILING = "#!/bin/sh\necho 'pyenv: version is not selected' >&2\nexit 127\n"
OLD_UV = "#!/bin/sh\necho 'uv 0.4.30'\n"


class Project:
    """A project without packages, with its own copy of the scripts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.first_on_path = folder / "first on path"
        self.first_on_path.mkdir(parents=True)
        shutil.copytree(ROOT / "scripts", folder / "scripts")
        (folder / "pyproject.toml").write_text(PYPROJECT)
        (folder / "uv.lock").write_text(LOCK)
        (folder / ".python-version").write_text("3.12\n")

    def put(self, name: str, script: str) -> None:
        """Put *script* first on PATH as the program *name*."""
        program = self.first_on_path / name
        program.write_text(script)
        program.chmod(0o755)

    def set_up(
        self, *arguments: str, **environ: str
    ) -> subprocess.CompletedProcess[str]:
        """Run the set-up with *environ*, or with this process's environment."""
        # The uv in this project's .tools/ comes after the programs of the test.
        places = [str(self.first_on_path), str(ROOT / ".tools/bin"), os.environ["PATH"]]
        return subprocess.run(
            [self.folder / "scripts" / "bootstrap", *arguments],
            env=environ or os.environ | {"PATH": os.pathsep.join(places)},
            capture_output=True,
            text=True,
            check=False,
        )

    def version(self) -> tuple[int, int]:
        """Major and minor version of the environment's Python."""
        code = "import sys; print(*sys.version_info[:2])"
        python = self.folder / ".venv" / "bin" / "python"
        printed = subprocess.check_output([python, "-c", code], text=True)
        major, minor = map(int, printed.split())
        return major, minor


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project in a folder whose name contains a space."""
    return Project(tmp_path / "a project")


def test_a_second_set_up_has_nothing_to_do(project: Project) -> None:
    """The first set-up reports its steps; the second prints nothing."""
    first = project.set_up()
    assert first.returncode == 0, first.stderr
    assert "▸ Installing the packages of uv.lock" in first.stderr
    assert project.version() >= (3, 12)
    second = project.set_up()
    assert (second.returncode, second.stdout, second.stderr) == (0, "", "")


def test_an_optional_group_is_installed_on_request(project: Project) -> None:
    """Its packages stay when another command sets up without the group."""
    assert project.set_up("--group", "rare").returncode == 0
    (packages,) = project.folder.glob(".venv/lib/python3*/site-packages")
    rival = packages / "rival-1.0.dist-info"
    rival.mkdir()
    (rival / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: rival\nVersion: 1.0\n"
    )
    (rival / "RECORD").touch()
    again = project.set_up()
    assert (again.returncode, again.stderr) == (0, "")
    assert rival.exists()
    unknown = project.set_up("--group", "unknown")
    assert unknown.returncode == 1
    assert "`unknown` is not defined" in unknown.stderr


def test_programs_that_do_not_run_are_skipped(project: Project) -> None:
    """The set-up succeeds despite pyenv's shims of versions that are not selected."""
    for name in ("uv", "python3.12", "python3.13"):
        project.put(name, FAILING)
    done = project.set_up()
    assert done.returncode == 0, done.stderr
    assert "not selected" not in done.stderr
    assert project.version() >= (3, 12)


def test_an_outdated_uv_is_skipped(project: Project) -> None:
    """It would not support all settings of pyproject.toml."""
    project.put("uv", OLD_UV)
    done = project.set_up()
    assert done.returncode == 0, done.stderr
    assert project.version() >= (3, 12)


def test_an_environment_without_its_python_is_rebuilt(project: Project) -> None:
    """Upgrading the operating system can remove the interpreter."""
    assert project.set_up().returncode == 0
    python = project.folder / ".venv" / "bin" / "python"
    python.unlink()
    python.symlink_to("/nowhere/python3.12")
    assert project.set_up().returncode == 0
    assert project.version() >= (3, 12)


def test_without_an_installer_it_prints_a_remedy(project: Project) -> None:
    """Without Python, pip and curl it prints one line and leaves no files behind."""
    for name in ("sh", "awk", "cut", "dirname", "id", "mkdir", "mktemp", "rm", "tail"):
        found = shutil.which(name)
        assert found
        (project.first_on_path / name).symlink_to(found)
    done = project.set_up(PATH=str(project.first_on_path), HOME="/nowhere")
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("✗ uv could not be installed: install it by hand")
    assert not (project.folder / ".tools").exists()


def folder_of_tests(project: Project, **environ: str) -> str:
    """What scripts/test-folder prints, without the newline."""
    path = os.pathsep.join([str(project.first_on_path), os.environ["PATH"]])
    return subprocess.check_output(
        [project.folder / "scripts" / "test-folder"],
        env={"PATH": path, **environ},
        text=True,
    ).rstrip("\n")


def test_the_folder_of_the_tests_may_be_chosen(project: Project) -> None:
    """As for every program."""
    assert folder_of_tests(project, TMPDIR="/a folder") == "/a folder"


def test_the_folder_of_the_tests_is_in_memory_only_if_there_is_plenty(
    project: Project,
) -> None:
    """Containers often have 64 MB of it."""
    assert folder_of_tests(project) in ("/dev/shm", "/tmp")
    project.put("df", "#!/bin/sh\necho title; echo shm 65536 0 65536 0% /dev/shm\n")
    assert folder_of_tests(project) == "/tmp"
