"""The allocator's settings are in place before Polars loads it."""

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.effort import some_long
from util import allocator

PROJECT = Path(allocator.__file__).parent.parent

REPORT = """
import sys
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "polars":
            import os
            print(os.environ.get(sys.argv[1]))
sys.meta_path.insert(0, Watch())
__import__(sys.argv[2])
"""


def reported(program: str = "main", **environment: str) -> str:
    """Return the variable's value at the moment *program* imports Polars."""
    plain = allocator.child_environment(os.environ)
    run = subprocess.run(
        [sys.executable, "-c", REPORT, allocator.VARIABLE, program],
        cwd=PROJECT,
        env=plain | environment,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return run.stdout.splitlines()[0]


def test_the_api_sets_it_before_it_imports_polars() -> None:
    """Jemalloc reads it once, when it is loaded."""
    assert reported() == allocator.FOR_ANSWERS


@pytest.mark.long("test_the_allocator_accepts_the_value")
def test_the_updater_returns_memory_at_once() -> None:
    """Its peak of memory counts, not its speed."""
    assert reported("update_readmodel") == allocator.FOR_SYNCS


@pytest.mark.long("test_the_api_sets_it_before_it_imports_polars")
@pytest.mark.parametrize("program", some_long(["main", "update_readmodel"]))
def test_an_operators_value_stays(program: str) -> None:
    """Operators know their machine."""
    assert reported(program, **{allocator.VARIABLE: "narenas:1"}) == "narenas:1"


def test_a_child_does_not_inherit_the_value_that_polars_writes() -> None:
    """The child would take it for an operator's choice."""
    environment = {allocator.VARIABLE: "dirty_decay_ms:500", "HOME": "/"}
    assert allocator.child_environment(environment) == {"HOME": "/"}


@pytest.mark.parametrize("conf", [allocator.FOR_ANSWERS, allocator.FOR_SYNCS])
def test_the_allocator_accepts_the_value(conf: str) -> None:
    """It reports malformed settings on standard error."""
    run = subprocess.run(
        [sys.executable, "-c", "import polars; polars.Series([1])"],
        cwd=PROJECT,
        env=allocator.child_environment(os.environ) | {allocator.VARIABLE: conf},
        check=True,
        capture_output=True,
        text=True,
    )
    assert run.stderr == ""


ARENAS = """
import ctypes, os, threading
from util import allocator
if "shared" in os.environ:
    allocator.share_one_arena()
for _ in range(3):
    thread = threading.Thread(target=lambda: bytes(10_000))
    thread.start()
    thread.join()
ctypes.CDLL(None).malloc_stats()
"""


@pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "malloc_stats"), reason="needs glibc"
)
@pytest.mark.parametrize(("environment", "arenas"), [({}, 2), ({"shared": ""}, 1)])
def test_threads_can_share_an_arena(environment: dict[str, str], arenas: int) -> None:
    """Else they have others, which keep what another thread has freed."""
    plain = {k: v for k, v in os.environ.items() if k != allocator.ARENAS_VARIABLE}
    run = subprocess.run(
        [sys.executable, "-c", ARENAS],
        cwd=PROJECT,
        env=plain | environment,
        check=True,
        capture_output=True,
        text=True,
    )
    assert run.stderr.count("Arena ") == arenas
