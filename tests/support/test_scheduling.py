"""The order of the tests in a parallel run, and which of them share a process."""

from pathlib import Path

import pytest

from tests.support.preloaded import ROOT
from tests.support.scheduling import LONG, SHARED, unit_of

pytest_plugins = ["pytester"]


@pytest.mark.parametrize(
    ("test", "unit"),
    [
        ("tests/util/test_logs.py::test_it", "tests/util/test_logs.py"),
        ("tests/util/test_logs.py::test_it[a::b/c.py]", "tests/util/test_logs.py"),
        ("tests/browser/test_view.py::test_it[tests/util]", "tests/browser"),
        ("tests/browsers/test_view.py::test_it", "tests/browsers/test_view.py"),
    ],
)
def test_a_unit_is_a_file_or_a_folder_with_shared_fixtures(
    test: str, unit: str
) -> None:
    """Whatever the parameters of a test contain."""
    assert unit_of(test) == unit


def test_the_listed_units_exist() -> None:
    """Each is named once."""
    assert len({*LONG}) == len(LONG)
    assert {*SHARED} <= {*LONG}
    assert all((ROOT / unit).exists() for unit in LONG)


def test_every_package_fixture_is_in_a_shared_folder() -> None:
    """Or each process would set it up."""
    marked = [
        file.parent
        for file in (ROOT / "tests").rglob("conftest.py")
        if 'scope="package"' in file.read_text(encoding="utf-8")
    ]
    assert {str(folder.relative_to(ROOT)) for folder in marked} <= {*SHARED}


@pytest.mark.long("test_a_unit_is_a_file_or_a_folder_with_shared_fixtures")
def test_the_tests_of_a_file_run_in_one_process_and_each_runs(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fixture of the module is set up once."""
    module = """
        import os
        from pathlib import Path
        import pytest
        @pytest.fixture(scope="module")
        def shared():
            with open({name!r}, "a") as file:
                file.write(f"{{os.getpid()}}\\n")
        @pytest.mark.parametrize("n", range(20))
        def test_it(shared, n):
            pass
    """
    names = [str(Path(pytester.path, f"set-up-{number}")) for number in range(4)]
    files = {f"test_{n}": module.format(name=name) for n, name in enumerate(names)}
    pytester.makepyfile(**files)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    done = pytester.runpytest_subprocess(
        *("-p", "xdist", "-p", "tests.support.scheduling", "-p", "no:cacheprovider"),
        *("--numprocesses", "2", "--dist", "loadscope", "--no-loadscope-reorder"),
    )
    done.assert_outcomes(passed=80)
    set_up = [Path(name).read_text(encoding="utf-8").split() for name in names]
    assert [len(processes) for processes in set_up] == [1, 1, 1, 1]
    assert len({process for processes in set_up for process in processes}) == 2


def test_two_tests_of_one_name_are_an_error(pytester: pytest.Pytester) -> None:
    """Of these, a parallel run would leave out one without a word."""
    pytester.makeconftest("""
        from tests.support.scheduling import check_names
        def pytest_collection_modifyitems(items):
            check_names([*items, *items[:1]])
    """)
    pytester.makepyfile("def test_it(): pass")
    done = pytester.runpytest_inprocess()
    done.stderr.fnmatch_lines(["*test_it is the name of several tests*"])
