"""Tests in several forked processes: each runs once, wherever it is and however it ends."""

import os
import signal
from pathlib import Path

import pytest

from tests.support.preloaded import ROOT

pytest_plugins = ["pytester"]


def run(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, *options: str
) -> pytest.RunResult:
    """Run the files of *pytester* in two processes."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    return pytester.runpytest_subprocess(
        *("-p", "tests.support.scheduling", "-p", "tests.support.forking"),
        *("-p", "no:cacheprovider", "--processes", "2", *options),
        timeout=60,
    )


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
    run(pytester, monkeypatch).assert_outcomes(passed=80)
    set_up = [Path(name).read_text(encoding="utf-8").split() for name in names]
    assert [len(processes) for processes in set_up] == [1, 1, 1, 1]
    assert len({process for processes in set_up for process in processes}) == 2


def test_every_outcome_and_its_output_is_shown(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each process has output and temporary files of its own."""
    pytester.makepyfile(
        test_one="""
            import pytest
            def test_passes(tmp_path): print("unseen", file=open(tmp_path / "a", "x"))
            def test_fails(tmp_path):
                print("the output of one")
                assert tmp_path.parent.name == "none"
            def test_skipped(): pytest.skip("for a reason")
            @pytest.fixture
            def broken(): raise ValueError("in the fixture")
            def test_error(broken): pass
        """,
        test_two="""
            def test_fails():
                print("the output of two")
                assert [1, 2] == [1, 3]
        """,
    )
    done = run(pytester, monkeypatch, "-ra")
    done.assert_outcomes(passed=1, failed=2, skipped=1, errors=1)
    assert done.ret == pytest.ExitCode.TESTS_FAILED
    done.stdout.fnmatch_lines(["*'process-?' == 'none'*"])
    assert done.stdout.lines.count("the output of one") == 1
    assert done.stdout.lines.count("the output of two") == 1
    done.stdout.fnmatch_lines(["*[[]1, 2[]] == [[]1, 3[]]*"])
    done.stdout.fnmatch_lines(["SKIPPED * for a reason", "ERROR *in the fixture"])


def test_a_test_that_ends_its_process_fails_and_those_after_it_run(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In another process; the line says which test it was."""
    pytester.makepyfile(
        test_one="""
            import os
            def test_before(): pass
            def test_ends(): os._exit(3)
            def test_after(): pass
        """,
        test_two="""
            import os, signal
            def test_is_killed(): os.kill(os.getpid(), signal.SIGKILL)
        """,
    )
    done = run(pytester, monkeypatch)
    done.assert_outcomes(passed=2, failed=2)
    done.stdout.fnmatch_lines(["*test_ends has ended its process: exit status 3"])
    done.stdout.fnmatch_lines(["*test_is_killed has ended its process: exit status -9"])


def test_an_error_after_the_last_test_is_none_of_a_test_and_fails_the_run(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as that of a plugin which ends its work then."""
    pytester.makeconftest("""
        def pytest_sessionfinish(session):
            if hasattr(session.config, "workerinput"):
                raise ValueError("at the end")
    """)
    pytester.makepyfile(test_one="def test_it(): pass")
    done = run(pytester, monkeypatch)
    assert done.ret == pytest.ExitCode.INTERNAL_ERROR
    done.stderr.fnmatch_lines(["*ValueError: at the end"])


def test_processes_end_with_the_first_one(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if that is killed; their fixtures end as usual."""
    pipe = pytester.path / "ends"
    os.mkfifo(pipe)
    pytester.makeconftest(f"""
        import pytest
        @pytest.fixture(scope="session", autouse=True)
        def shared():
            with open({str(pipe)!r}, "w") as ends:
                yield
                ends.write("ended ")
    """)
    module = """
        import os, signal
        from contextlib import suppress
        FIRST = os.getpid()
        def test_it():
            with suppress(ProcessLookupError):
                os.kill(FIRST, signal.SIGKILL)
    """
    pytester.makepyfile(**{f"test_{n}": module for n in range(6)})
    reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    assert run(pytester, monkeypatch).ret == -signal.SIGKILL
    os.set_blocking(reading, True)
    with os.fdopen(reading, encoding="utf-8") as ends:
        assert {*ends.read().split()} == {"ended"}  # nobody has it open any longer


def test_the_run_stops_at_the_first_failure_if_it_shall(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No process begins another unit."""
    pytester.makepyfile(
        **{f"test_{n}": "def test_it(): assert False" for n in range(9)}
    )
    done = run(pytester, monkeypatch, "-x")
    assert done.ret == pytest.ExitCode.TESTS_FAILED
    done.assert_outcomes(failed=1)


def test_a_module_that_starts_threads_when_it_is_imported_is_refused(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fork would not have them, and what waits for them would wait forever."""
    pytester.makepyfile(
        test_one="""
            import threading
            threading.Thread(target=threading.Event().wait, daemon=True).start()
            def test_it(): pass
        """
    )
    done = run(pytester, monkeypatch)
    assert done.ret != 0
    text = done.stdout.str() + done.stderr.str()
    assert "test_one.py starts threads (" in text
    assert "while it is imported" in text
