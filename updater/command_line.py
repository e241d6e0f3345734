"""Command line of the updater; `sync` is the default command."""

import argparse
import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

from events.codes import RejectionCode

PROGRAM: Final = "update_readmodel.py"
DEFAULT: Final = "sync"

_EPILOG: Final = """\
without a command: sync, with the options of sync

  update_readmodel.py                    sync once
  update_readmodel.py --every            sync every SYNC_INTERVAL_SECONDS
  update_readmodel.py --every 60         sync every 60 seconds
  update_readmodel.py --full             fetch every row again, changed or not
  update_readmodel.py --tables A,B       sync only these tables
  update_readmodel.py status --last 3    show the tables and the last 3 runs
  update_readmodel.py views plan         say what edited SQL files would change
  update_readmodel.py replay --code x    check events again that were rejected as x
  update_readmodel.py forget USER_ID     remove all events of a user
  update_readmodel.py follow --every     download each new snapshot of the replica

`update_readmodel.py COMMAND --help` lists the options of a command.
Exit codes: 0 for success, 1 for a failure or a finding, 2 for wrong usage, 130 after Ctrl-C.
A second Ctrl-C leaves at once.
"""


@dataclass(frozen=True, slots=True)
class SyncCommand:
    """Options of `sync`.

    `every` is None for one sync, and 0 for the interval of the settings. `tables` is
    None for all tables.
    """

    full: bool
    tables: tuple[str, ...] | None
    every: float | None


@dataclass(frozen=True, slots=True)
class StatusCommand:
    """Options of `status`; `last` is the number of runs to show."""

    json: bool
    check: bool
    last: int


@dataclass(frozen=True, slots=True)
class VerifyCommand:
    """Options of `verify`; `tables` is None for all tables."""

    json: bool
    tables: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class DoctorCommand:
    """Options of `doctor`."""

    json: bool


@dataclass(frozen=True, slots=True)
class ViewsCommand:
    """What to do about SQL files: `list`, `plan` or `test`; `file` is for the last two."""

    action: str
    file: Path | None


@dataclass(frozen=True, slots=True)
class KafkaCommand:
    """Show how far the topic was read, or have it read again from its beginning."""

    restart: bool


@dataclass(frozen=True, slots=True)
class ReportCommand:
    """Options of `report`: show the last days, or send that of `day` again."""

    day: date | None
    send_again: bool
    why: str | None
    last: int


@dataclass(frozen=True, slots=True)
class ReplayCommand:
    """Options of `replay`: the codes of the dead letters."""

    codes: tuple[str, ...]
    dry_run: bool


@dataclass(frozen=True, slots=True)
class RetentionCommand:
    """Options of `retention`."""

    dry_run: bool


@dataclass(frozen=True, slots=True)
class ForgetCommand:
    """Options of `forget`: the user's id, as the clients send it."""

    user_id: str
    dry_run: bool


@dataclass(frozen=True, slots=True)
class FollowCommand:
    """Options of `follow`: `every` is None for once, and 0 for the usual interval."""

    every: float | None


@dataclass(frozen=True, slots=True)
class RestoreCommand:
    """Options of `restore`; `as_of` is None for the last snapshot."""

    as_of: datetime | None


type Command = (
    SyncCommand
    | StatusCommand
    | VerifyCommand
    | DoctorCommand
    | ViewsCommand
    | KafkaCommand
    | ReportCommand
    | ReplayCommand
    | RetentionCommand
    | ForgetCommand
    | FollowCommand
    | RestoreCommand
)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return seconds


def _run_count(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number, 0 or more")
    return int(text)


def _table_names(text: str) -> tuple[str, ...]:
    # As in TABLES: a name that contains a comma is quoted.
    fields = next(csv.reader([text], skipinitialspace=True), [])
    names = tuple(name.strip() for name in fields if name.strip())
    if not names:
        raise argparse.ArgumentTypeError("name at least one table")
    return names


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a day, YYYY-MM-DD") from None


def _instant(text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not an instant with its offset, as in 2026-01-31T18:00:00Z"
        )
    return instant


def _reason(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("say why")
    return " ".join(text.split())


_SUMMARIES: Final = {
    "sync": "mirror the database into DATA_DIR, once or repeatedly",
    "status": "show the read model's tables and the last runs",
    "verify": "compare the read model with the database",
    "doctor": "check everything that a sync needs",
    "views": "list and check the SQL files, or say what a change would do",
    "kafka": "show how far the topic was read, or have it read again",
    "report": "show the daily reports that were sent, or send one again",
    "replay": "check rejected events again; those that pass are stored",
    "retention": "remove events that are older than EVENT_RETENTION_DAYS",
    "forget": "remove all events of one user",
    "follow": "download new snapshots of the replica, once or repeatedly",
    "restore": "fill an empty DATA_DIR from the replica",
}
_DRY_RUN: Final = {
    "action": "store_true",
    "help": "say what would be done, and change nothing",
}
_OPTIONS: Final[Mapping[str, Mapping[str, Any]]] = {
    "sync": {
        "--every": {
            "nargs": "?",
            "type": _seconds,
            "const": 0,
            "metavar": "SECONDS",
            "help": "repeat; the default interval is SYNC_INTERVAL_SECONDS",
        },
        "--full": {
            "action": "store_true",
            "help": "fetch every row again, changed or not",
        },
        "--tables": {
            "type": _table_names,
            "metavar": "A,B",
            "help": "sync only these tables; the others stay as they are",
        },
    },
    "status": {
        "--json": {"action": "store_true", "help": "print one JSON object"},
        "--check": {
            "action": "store_true",
            "help": "print only the age; exit with 1 if missing or stale",
        },
        "--last": {
            "type": _run_count,
            "default": 10,
            "metavar": "N",
            "help": "number of runs to show (default: %(default)s)",
        },
    },
    "verify": {
        "--json": {"action": "store_true", "help": "print a line of JSON per table"},
        "--tables": {
            "type": _table_names,
            "metavar": "A,B",
            "help": "verify only these tables",
        },
    },
    "doctor": {
        "--json": {"action": "store_true", "help": "print one JSON object"},
    },
    "views": {
        "action": {
            "nargs": "?",
            "choices": ("list", "plan", "test"),
            "default": "list",
            "help": "list: every definition and error (the default); plan: what the next "
            "sync would change; test: build the tables of FILE aside and test them",
        },
        "file": {
            "nargs": "?",
            "type": Path,
            "metavar": "FILE",
            "help": "a SQL file, instead of the one of its name in VIEWS_DIR",
        },
    },
    "kafka": {
        "--restart": {
            "action": "store_true",
            "help": "read the topic from its beginning, after a gap, or if it was "
            "created again; stored events are recognised by their ids",
        },
    },
    "report": {
        "--day": {"type": _day, "metavar": "DAY", "help": "the day to send again"},
        "--send-again": {
            "action": "store_true",
            "help": "post the report of DAY once more, whatever became of it",
        },
        "--why": {
            "type": _reason,
            "metavar": "TEXT",
            "help": "the reason, which the ledger keeps",
        },
        "--last": {
            "type": _run_count,
            "default": 10,
            "metavar": "N",
            "help": "number of days to show (default: %(default)s)",
        },
    },
    "replay": {
        "--code": {
            "dest": "codes",
            "action": "append",
            "required": True,
            "choices": [str(code) for code in RejectionCode],
            "metavar": "CODE",
            "help": "only dead letters with this code; repeat it for several codes",
        },
        "--dry-run": _DRY_RUN,
    },
    "retention": {"--dry-run": _DRY_RUN},
    "forget": {
        "user_id": {"metavar": "USER_ID", "help": "the id, as clients send it"},
        "--dry-run": _DRY_RUN,
    },
    "follow": {
        "--every": {
            "nargs": "?",
            "type": _seconds,
            "const": 0,
            "metavar": "SECONDS",
            "help": "repeat; look for a new snapshot every 10 seconds by default",
        },
    },
    "restore": {
        "--as-of": {
            "type": _instant,
            "metavar": "INSTANT",
            "help": "the last snapshot at this instant, as in 2026-01-31T18:00:00Z",
        },
    },
}
_OPTIONS_WITH_VALUE: Final = {
    "--tables",
    "--last",
    "--day",
    "--why",
    "--code",
    "--as-of",
}

type _Parsers = Mapping[str, argparse.ArgumentParser]


def parse(arguments: Sequence[str]) -> Command:
    """Parse *arguments*. Raises SystemExit: 2 for wrong usage, 0 after --help."""
    parser, commands = _parsers()
    options, rest = parser.parse_known_args(_command_first(arguments))
    if rest:
        commands[options.command].error(_problem(options.command, rest))
    values = vars(options)
    match values.pop("command"):
        case "sync":
            return SyncCommand(**values)
        case "status":
            return StatusCommand(**values)
        case "verify":
            return VerifyCommand(**values)
        case "kafka":
            return KafkaCommand(**values)
        case "views":
            return _views(ViewsCommand(**values), commands["views"])
        case "report":
            return _report(ReportCommand(**values), commands["report"])
        case "replay":
            return ReplayCommand(
                tuple(dict.fromkeys(values["codes"])), values["dry_run"]
            )
        case "retention":
            return RetentionCommand(**values)
        case "forget":
            return ForgetCommand(**values)
        case "follow":
            return FollowCommand(**values)
        case "restore":
            return RestoreCommand(**values)
        case _:
            return DoctorCommand(**values)


def _views(command: ViewsCommand, parser: argparse.ArgumentParser) -> ViewsCommand:
    if command.action == "test" and command.file is None:
        parser.error("test needs a FILE")
    if command.action == "list" and command.file is not None:
        parser.error("list takes no FILE")
    return command


def _report(command: ReportCommand, parser: argparse.ArgumentParser) -> ReportCommand:
    if command.send_again and None in (command.day, command.why):
        parser.error("--send-again needs --day DAY and --why TEXT")
    if not command.send_again and (command.day or command.why):
        parser.error("--day and --why belong to --send-again")
    return command


def _parsers() -> tuple[argparse.ArgumentParser, _Parsers]:
    """Build the main parser and the parser of each command."""
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        usage="%(prog)s [COMMAND] [options]",
        description="Mirror the database into Parquet snapshots in DATA_DIR.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(
        prog=PROGRAM, dest="command", title="commands", metavar="COMMAND"
    )
    for name, text in _SUMMARIES.items():
        description = f"{text[0].upper()}{text[1:]}."
        command = commands.add_parser(name, help=text, description=description)
        for option, details in _OPTIONS[name].items():
            command.add_argument(option, **details)
    return parser, commands.choices


def _command_first(arguments: Sequence[str]) -> Sequence[str]:
    """Move the command to the front, so that its options may stand before it.

    Without a command it is sync: ``--json status`` becomes ``status --json``, and
    ``--full`` becomes ``sync --full``.
    """
    previous = ""
    for position, word in enumerate(arguments):
        if word in _OPTIONS and previous not in _OPTIONS_WITH_VALUE:
            return [word, *arguments[:position], *arguments[position + 1 :]]
        previous = word
    if set(arguments) & {"-h", "--help"}:
        return ["--help"]
    return [DEFAULT, *arguments]


def _problem(command: str, rest: Sequence[str]) -> str:
    """Say what is wrong with the arguments that *command* does not know."""
    options = [word.partition("=")[0] for word in rest if word.startswith("-")]
    if options:
        return f"{command} does not accept {_listed([*map(_described, options)])}"
    if rest[0] in _OPTIONS:
        return f"give one command, not both {command} and {rest[0]}"
    return f"{rest[0]!r} is unknown: the commands are {_listed([*_OPTIONS])}"


def _described(option: str) -> str:
    """``--full`` becomes ``--full (an option of sync)``."""
    owners = [name for name, options in _OPTIONS.items() if option in options]
    return f"{option} (an option of {_listed(owners)})" if owners else option


def _listed(words: Sequence[str]) -> str:
    """``["a", "b", "c"]`` becomes ``a, b and c``."""
    *others, last = words
    return f"{', '.join(others)} and {last}" if others else last
