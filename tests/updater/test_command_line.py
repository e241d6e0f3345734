"""Command line of the updater: what each command accepts, and what it refuses."""

import itertools
from datetime import UTC, datetime

import pytest

from updater.command_line import (
    Command,
    DoctorCommand,
    FollowCommand,
    RestoreCommand,
    StatusCommand,
    SyncCommand,
    VerifyCommand,
    parse,
)

OPTIONS: dict[str, dict[str, list[str]]] = {
    "sync": {"--full": [], "--every": ["5"], "--tables": ["a,b"]},
    "status": {"--json": [], "--check": [], "--last": ["3"]},
    "verify": {"--json": [], "--tables": ["a,b"]},
    "doctor": {"--json": []},
    "report": {"--last": ["3"]},
    "follow": {"--every": ["5"]},
    "restore": {"--as-of": ["2026-01-31T18:00:00Z"]},
}


def listed(words: list[str]) -> str:
    """``a``, ``a and b``, or ``a, b and c``."""
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


ACCEPTED = [(name, option) for name, options in OPTIONS.items() for option in options]
EVERY_OPTION = {
    option: value for options in OPTIONS.values() for option, value in options.items()
}
REFUSED = [
    (name, option)
    for name, option in itertools.product(OPTIONS, EVERY_OPTION)
    if option not in OPTIONS[name]
]


def refusal(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Return the error of *arguments*, which must be refused as wrong usage."""
    with pytest.raises(SystemExit) as caught:
        parse(arguments)
    assert caught.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("usage: update_readmodel.py ")
    return printed.err.rpartition("error: ")[2].strip()


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        ([], SyncCommand(full=False, tables=None, every=None)),
        (["--every"], SyncCommand(full=False, tables=None, every=0)),
        (["--every", "0.5"], SyncCommand(full=False, tables=None, every=0.5)),
        (["--full"], SyncCommand(full=True, tables=None, every=None)),
        (["--tables", "a, b,"], SyncCommand(full=False, tables=("a", "b"), every=None)),
        (
            ["--tables=a", "--every=60", "--full"],
            SyncCommand(full=True, tables=("a",), every=60),
        ),
        (["follow"], FollowCommand(every=None)),
        (["follow", "--every"], FollowCommand(every=0)),
        (["restore"], RestoreCommand(as_of=None)),
        (
            ["restore", "--as-of", "2026-01-31T18:00:00Z"],
            RestoreCommand(as_of=datetime(2026, 1, 31, 18, tzinfo=UTC)),
        ),
        (["status"], StatusCommand(json=False, check=False, last=10)),
        (["status", "--json"], StatusCommand(json=True, check=False, last=10)),
        (["status", "--check"], StatusCommand(json=False, check=True, last=10)),
        (["status", "--last", "0"], StatusCommand(json=False, check=False, last=0)),
        (["verify"], VerifyCommand(json=False, tables=None)),
        (
            ["verify", "--json", "--tables", "a,b"],
            VerifyCommand(json=True, tables=("a", "b")),
        ),
        (["doctor"], DoctorCommand(json=False)),
        (["doctor", "--json"], DoctorCommand(json=True)),
    ],
)
def test_arguments_become_a_command(arguments: list[str], command: Command) -> None:
    """Without a command word it is a sync."""
    assert parse(arguments) == command


@pytest.mark.parametrize(
    "arguments", [[], ["--every"], ["--every", "5"], ["--full"], ["--tables", "a"]]
)
def test_sync_without_its_name_is_the_same(arguments: list[str]) -> None:
    """The name is optional, before or after the options."""
    assert parse(["sync", *arguments]) == parse(arguments)
    assert parse([*arguments, "sync"]) == parse(arguments)


@pytest.mark.parametrize(("name", "option"), ACCEPTED)
def test_an_option_may_stand_before_or_after_its_command(
    name: str, option: str
) -> None:
    """Both orders mean the same, and differ from the command alone."""
    words = [option, *EVERY_OPTION[option]]
    assert parse([*words, name]) == parse([name, *words])
    assert parse([name, *words]) != parse([name])


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize(("name", "option"), REFUSED)
def test_an_option_of_another_command_is_refused(
    name: str, option: str, before: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error names the option, the command, and the commands that have it."""
    words = [option, *EVERY_OPTION[option]]
    error = refusal([*words, name] if before else [name, *words], capsys)
    owners = [owner for owner, options in OPTIONS.items() if option in options]
    assert error == (f"{name} does not accept {option} (an option of {listed(owners)})")


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--send-again"], "--send-again needs --day DAY and --why TEXT"),
        (["--send-again", "--why", "x"], "--send-again needs --day DAY and --why TEXT"),
        (["--day", "2026-11-25"], "--day and --why belong to --send-again"),
        (
            ["--day", "25.11.2026"],
            "argument --day: '25.11.2026' is not a day, YYYY-MM-DD",
        ),
        (
            ["--day", "2026-11-25", "--send-again", "--why", " "],
            "argument --why: say why",
        ),
    ],
)
def test_a_report_is_sent_again_only_for_a_day_and_a_reason(
    words: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error says what is missing."""
    assert refusal(["report", *words], capsys) == problem


@pytest.mark.parametrize("option", ["--json", "--check", "--last"])
def test_without_a_command_only_options_of_sync_are_accepted(
    option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The implied command is named like any other."""
    error = refusal([option, *EVERY_OPTION[option]], capsys)
    assert error.startswith(f"sync does not accept {option} (an option of status")


def test_several_wrong_options_are_all_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One error is enough to correct the command."""
    words = ["status", "--full", "--every", "5", "--tables", "nonsense", "--colour=red"]
    assert refusal(words, capsys) == (
        "status does not accept --full (an option of sync), "
        "--every (an option of sync and follow), --tables (an option of sync and verify) "
        "and --colour"
    )


def test_a_table_may_have_the_name_of_a_command() -> None:
    """The value of an option is not a command."""
    assert parse(["--tables", "status"]) == parse(["sync", "--tables=status"])


def test_an_unknown_command_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """The error lists the commands."""
    assert refusal(["stats"], capsys) == (
        "'stats' is unknown: the commands are sync, status, verify, doctor, views, "
        "kafka, report, replay, retention, forget, follow and restore"
    )


@pytest.mark.parametrize("instant", ["2026-01-31", "2026-01-31T18:00:00", "now", ""])
def test_an_instant_has_an_offset(
    instant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without one, nobody knows which it is."""
    assert refusal(["restore", f"--as-of={instant}"], capsys) == (
        f"argument --as-of: {instant!r} is not an instant with its offset, as in "
        "2026-01-31T18:00:00Z"
    )


def test_two_commands_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """A run does one thing."""
    error = refusal(["status", "verify"], capsys)
    assert error == "give one command, not both status and verify"


@pytest.mark.parametrize("seconds", ["0", "-1", "soon", "inf", "nan", ""])
def test_an_interval_is_a_positive_number_of_seconds(
    seconds: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error shows the value."""
    assert refusal([f"--every={seconds}"], capsys) == (
        f"argument --every: {seconds!r} is not a number of seconds above 0"
    )


@pytest.mark.parametrize("count", ["-1", "1.5", "ten", "", "²"])
def test_last_is_a_whole_number(count: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Negative numbers have no meaning."""
    assert refusal(["status", "--last", count], capsys) == (
        f"argument --last: {count!r} is not a whole number, 0 or more"
    )


@pytest.mark.parametrize("name", ["sync", "verify"])
@pytest.mark.parametrize("names", ["", ",", " , "])
def test_tables_names_at_least_one(
    name: str, names: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """An empty variable in a script must not mean all tables."""
    error = refusal([name, "--tables", names], capsys)
    assert error == "argument --tables: name at least one table"


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["--full", "--help"]])
def test_help_without_a_command_lists_the_commands_and_the_forms_of_a_sync(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 0, on standard output."""
    with pytest.raises(SystemExit) as caught:
        parse(words)
    assert caught.value.code == 0
    text = capsys.readouterr().out
    for expected in (*OPTIONS, *OPTIONS["sync"]):
        assert expected in text


@pytest.mark.parametrize("name", OPTIONS)
def test_help_of_a_command_lists_its_options_only(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before or after the command."""
    for words in ([name, "--help"], ["--help", name]):
        with pytest.raises(SystemExit) as caught:
            parse(words)
        assert caught.value.code == 0
        text = capsys.readouterr().out
        assert text.startswith(f"usage: update_readmodel.py {name} [-h]")
        found = {option for option in EVERY_OPTION if option in text}
        assert found == set(OPTIONS[name])
