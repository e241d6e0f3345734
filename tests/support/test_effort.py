"""What a usual run leaves out, and what it must not."""

import re
from types import ModuleType
from typing import Any

import pytest

from tests.support import effort
from tests.support.effort import collected, is_long, runs_always, some_long
from tests.support.preloaded import ROOT

pytest_plugins = ["pytester"]

MODULE = """\
    import pytest
    from tests.support.effort import some_long
    @pytest.mark.parametrize("n", some_long(range(5), 2))
    def test_some(n):
        pass
    @pytest.mark.{}("test_some")
    def test_all():
        pass
""".format("long")


def run(
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    *arguments: str,
    chosen: str = "",
) -> pytest.RunResult:
    """Run MODULE with *arguments* and TEST_EFFORT=*chosen*."""
    pytester.makepyfile(test_module=MODULE)
    monkeypatch.setattr(effort, "EFFORT", chosen or "usual")
    monkeypatch.setattr(effort, "FULL", chosen in ("full", "thorough"))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.delenv("PYTEST_PLUGINS", raising=False)
    return pytester.runpytest_inprocess(
        *("-p", "tests.support.effort", "-p", "no:cacheprovider"), *arguments
    )


def test_a_usual_run_leaves_long_tests_out_and_says_so(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one line, with the command that runs them."""
    done = run(pytester, monkeypatch)
    done.assert_outcomes(passed=2, deselected=4)
    assert done.stdout.lines.count("4 long tests left to `make test-all`") == 1


@pytest.mark.parametrize("chosen", ["full", "thorough"])
def test_a_full_run_leaves_out_nothing(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, chosen: str
) -> None:
    """And says nothing."""
    done = run(pytester, monkeypatch, chosen=chosen)
    done.assert_outcomes(passed=6)
    assert "test-all" not in done.stdout.str()


@pytest.mark.parametrize(
    ("arguments", "passed"),
    [(["test_module.py::test_all"], 1), (["-m", "long"], 4)],
)
def test_long_tests_that_are_named_run(
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    passed: int,
) -> None:
    """By their name, or by their marker."""
    assert run(pytester, monkeypatch, *arguments).parseoutcomes()["passed"] == passed


def test_an_unknown_effort_is_an_error(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rather than a run that leaves tests out without being asked to."""
    done = run(pytester, monkeypatch, chosen="all")
    done.stderr.fnmatch_lines(["*TEST_EFFORT is 'full' or 'thorough', not 'all'*"])


@pytest.mark.long("test_a_usual_run_leaves_long_tests_out_and_says_so")
def test_a_process_of_a_parallel_run_tells_what_it_left_out(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line is that of the process that shows the results."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.delenv("TEST_EFFORT", raising=False)
    pytester.makepyfile(test_module=MODULE)
    done = pytester.runpytest_subprocess(
        *("-p", "xdist", "-p", "tests.support.effort", "-p", "no:cacheprovider"),
        *("--numprocesses", "2"),
    )
    done.assert_outcomes(passed=2)
    assert done.stdout.lines.count("4 long tests left to `make test-all`") == 1


@pytest.mark.parametrize(
    ("count", "kept"), [(1, [0]), (2, [0, 3]), (3, [0, 2, 4]), (9, [*range(7)])]
)
def test_parameters_that_are_not_long_are_spread(count: int, kept: list[int]) -> None:
    """The others have the marker."""
    chosen = [each for each in some_long(range(7), count) if isinstance(each, int)]
    assert chosen == kept


def test_for_each_long_test_one_of_its_kind_runs_always(
    request: pytest.FixtureRequest,
) -> None:
    """The test that its marker names, or the same test with other parameters."""
    tests = collected(request.config)
    files = {_function(test).partition("::")[0] for test in tests}
    always = {_function(test) for test in tests if not is_long(test)}
    for test in filter(is_long, tests):
        held_by = _held_by(test)
        if held_by.partition("::")[0] in files:  # a run may be of some files only
            assert held_by in always, f"of the kind of {test.nodeid}"


def test_the_test_that_a_marker_names_exists() -> None:
    """Also in a file that does not run now."""
    for file in sorted((ROOT / "tests").rglob("test_*.py")):
        text = file.read_text(encoding="utf-8")
        for name in re.findall(
            r'^ *@pytest\.mark\.long\(\s*"([^"]+)"', text, re.MULTILINE
        ):
            path, _, function = name.rpartition("::")
            named = (ROOT / path).read_text(encoding="utf-8") if path else text
            assert re.search(rf"^ *(async )?def {function}\(", named, re.MULTILINE), (
                name
            )


def test_marks_tell_which_functions_run_always(request: pytest.FixtureRequest) -> None:
    """As the tests that were collected do."""
    tests = [t for t in collected(request.config) if isinstance(t, pytest.Function)]
    always = {_function(test) for test in tests if not is_long(test)}
    for test in tests:
        if test.cls is None:
            name = test.function.__name__
            assert runs_always(test.module, name) == (_function(test) in always), name


@pytest.mark.parametrize(
    ("marks", "expected"),
    [
        ([], True),
        ([pytest.mark.long("other")], False),
        ([pytest.mark.parametrize("n", some_long(range(3)))], True),
        ([pytest.mark.parametrize("n", some_long(range(3), 0))], False),
        ([pytest.mark.parametrize("n", [1]), pytest.mark.external], True),
    ],
)
def test_a_function_whose_parameters_are_all_long_does_not_run_always(
    marks: list[pytest.MarkDecorator], expected: bool
) -> None:
    """Nor does one that is marked itself, or in a module that is marked."""

    def function() -> None:
        pass

    function.pytestmark = [mark.mark for mark in marks]  # type: ignore[attr-defined]
    assert runs_always(_module(function), "function") is expected
    assert not runs_always(_module(function, pytest.mark.long("other")), "function")


def _module(function: Any, *marks: pytest.MarkDecorator) -> ModuleType:
    module = ModuleType("module")
    vars(module).update(function=function, pytestmark=[*marks])
    return module


def _function(test: pytest.Item) -> str:
    """The id of a test without its parameters."""
    return test.nodeid.partition("[")[0]


def _held_by(test: pytest.Item) -> str:
    """The id of the function that the marker of a long test names."""
    marker = test.get_closest_marker("long")
    assert marker
    if not marker.args:
        return _function(test)
    name = str(marker.args[0])
    return name if "::" in name else f"{_function(test).partition('::')[0]}::{name}"
