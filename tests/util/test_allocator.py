"""The allocator is told before Polars brings it."""

import os
import subprocess
import sys
from pathlib import Path

from util import allocator

PROJECT = Path(allocator.__file__).parent.parent

TOLD = """
import sys
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "polars":
            import os
            print(os.environ.get(sys.argv[1]))
sys.meta_path.insert(0, Watch())
import main
"""


def told(**environment: str) -> str:
    """What the variable is at the moment at which the API imports Polars."""
    plain = allocator.without(os.environ)
    run = subprocess.run(
        [sys.executable, "-c", TOLD, allocator.VARIABLE],
        cwd=PROJECT,
        env=plain | environment,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return run.stdout.splitlines()[0]


def test_the_api_tells_it_first() -> None:
    """Once Polars is there, it no longer looks."""
    assert told() == allocator.CONF


def test_what_is_set_already_stays() -> None:
    """Whoever runs it knows their machine."""
    assert told(**{allocator.VARIABLE: "narenas:1"}) == "narenas:1"


def test_what_polars_writes_there_itself_is_not_handed_on() -> None:
    """A program that was started by one with Polars would take it for a choice."""
    given = {allocator.VARIABLE: "dirty_decay_ms:500", "HOME": "/"}
    assert allocator.without(given) == {"HOME": "/"}


def test_it_understands_what_it_is_told() -> None:
    """Else it says so on standard error."""
    run = subprocess.run(
        [sys.executable, "-c", "import util.allocator, polars; polars.Series([1])"],
        cwd=PROJECT,
        env=allocator.without(os.environ),
        check=True,
        capture_output=True,
        text=True,
    )
    assert run.stderr == ""
