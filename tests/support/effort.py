"""How much a run of the tests tries: TEST_EFFORT in the environment.

| TEST_EFFORT | generated tests | long tests |
|---|---|---|
| not set (`make test`) | few examples | left out |
| `full` (`make test-all`, CI) | more | included |
| `thorough` | many, without bounds | included |

A test is long, `@pytest.mark.long("test_of_its_kind")`, if both hold:

- It takes more than about one second of processor time, by itself or with all parameters.
- It is a repeated, larger or rarer variant of a behaviour whose kind a lighter test holds,
  which runs always. The marker names that test: its function, or `path::function` if it is
  in another file. Parameters are marked by `some_long`: those that are not marked hold it.

A run says how many it left out. A test that is named on the command line
(`pytest path::test`), or chosen by `-m long`, runs always.
"""

import math
import os
from collections.abc import Iterable, Sequence
from types import ModuleType
from typing import Any

import pytest
from _pytest.mark import ParameterSet

EFFORT = os.environ.get("TEST_EFFORT") or "usual"
THOROUGH = EFFORT == "thorough"
FULL = EFFORT in ("full", "thorough")

_LEFT_OUT = pytest.StashKey[int]()
_COLLECTED = pytest.StashKey[Sequence[pytest.Item]]()
_OUTPUT = "long tests left out"


def examples(full: int, thorough: int | None = None) -> int:
    """The number of examples: *full*, usually a third; *thorough* is ten times as many."""
    if THOROUGH:
        return thorough or 10 * full
    return full if FULL else math.ceil(full / 3)


def by_effort[T](usual: T, full: T, thorough: T | None = None) -> T:
    """A number of rounds or rows, or a time; *thorough* is *full* by default."""
    if THOROUGH and thorough is not None:
        return thorough
    return full if FULL else usual


def bounded[T](items: Sequence[T], count: int) -> Sequence[T]:
    """All of *items* in a thorough run, else *count* of them, evenly spread."""
    return items if THOROUGH else _spread(items, count)


def fewer[T](items: Sequence[T], count: int) -> Sequence[T]:
    """All of *items* in a full run, else *count* of them, evenly spread."""
    return items if FULL else _spread(items, count)


def some_long[T](items: Iterable[T], count: int = 1) -> list[T]:
    """Parameters of a test, of which *count*, evenly spread, are not long.

    An item is one value, a tuple of as many values as there are arguments, or a
    `pytest.param`.
    """
    listed = list(items)
    usual = _spread(range(len(listed)), count)
    return [
        item if number in usual else _marked_long(item)
        for number, item in enumerate(listed)
    ]


def _marked_long(item: Any) -> Any:
    if isinstance(item, ParameterSet):
        marks = (*item.marks, pytest.mark.long)
        return pytest.param(*item.values, marks=marks, id=item.id)
    values = item if isinstance(item, tuple) else (item,)
    return pytest.param(*values, marks=pytest.mark.long)


def _spread[T](items: Sequence[T], count: int) -> Sequence[T]:
    if len(items) <= count:
        return items
    return [items[index * len(items) // count] for index in range(count)]


def collected(config: pytest.Config) -> Sequence[pytest.Item]:
    """All tests of the run's files, also those that it leaves out."""
    return config.stash[_COLLECTED]


def is_long(item: pytest.Item) -> bool:
    """True if a usual run leaves *item* out."""
    return item.get_closest_marker("long") is not None


def runs_always(module: ModuleType, name: str) -> bool:
    """True if a usual run has the test function *name*, with some of its parameters."""
    marks = [*_marks(module), *_marks(getattr(module, name))]
    return not any(
        mark.name == "long" or (mark.name == "parametrize" and _all_long(mark.args[1]))
        for mark in marks
    )


def _marks(holder: object) -> list[pytest.Mark]:
    """The marks of a function, and those that a module gives all of its tests."""
    marks = getattr(holder, "pytestmark", [])
    listed: list[Any] = marks if isinstance(marks, list) else [marks]
    return [each if isinstance(each, pytest.Mark) else each.mark for each in listed]


def _all_long(values: Iterable[Any]) -> bool:
    """True if each parameter is one that some_long has marked."""
    return all(
        any(mark.name == "long" for mark in getattr(value, "marks", ()))
        for value in values
    )


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker, and refuse an effort that does not exist."""
    config.addinivalue_line(
        "markers", "long(held_by): left to `make test-all`, see tests/support/effort.py"
    )
    if EFFORT not in ("usual", "full", "thorough"):
        raise pytest.UsageError(f"TEST_EFFORT is 'full' or 'thorough', not {EFFORT!r}")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Leave the long tests out of a usual run."""
    config.stash[_COLLECTED] = [*items]
    if FULL or _are_named(config):
        return
    left_out = [item for item in items if is_long(item)]
    config.stash[_LEFT_OUT] = len(left_out)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not is_long(item)]


def _are_named(config: pytest.Config) -> bool:
    """True if the command line names single tests, or the marker."""
    return "long" in config.option.markexpr or any("::" in arg for arg in config.args)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Let a process of a parallel run tell the first one what it left out."""
    if hasattr(session.config, "workeroutput"):
        left_out = session.config.stash.get(_LEFT_OUT, 0)
        session.config.workeroutput[_OUTPUT] = left_out


@pytest.hookimpl(optionalhook=True)  # xdist's own
def pytest_testnodedown(node: Any) -> None:
    """Note what a process left out: each collects all tests."""
    left_out = getattr(node, "workeroutput", {}).get(_OUTPUT, 0)
    node.config.stash[_LEFT_OUT] = left_out


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say in one line how many long tests there are besides, and how to run them."""
    if left_out := config.stash.get(_LEFT_OUT, 0):
        terminalreporter.write_line(f"{left_out} long tests left to `make test-all`")
