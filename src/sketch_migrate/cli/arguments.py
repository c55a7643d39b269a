"""The command line as a person types it, turned into one ``Invocation``. Imports nothing that only a run needs."""

from __future__ import annotations

import argparse
import difflib
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from sketch_migrate import __version__
from sketch_migrate.errors import UsageError
from sketch_migrate.settings import Options, setting_fields

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

MIGRATE = "migrate"
"""The command of an invocation without a command word."""


@dataclass(frozen=True, slots=True)
class DemoArguments:
    """What ``demo`` was asked to do. ``directory`` None is a temporary one."""

    avatars: int
    directory: Path | None
    wait: bool


@dataclass(frozen=True, slots=True)
class Invocation:
    """A command line that makes sense. ``setting_flags`` has lower-case names and the values as typed.

    ``arguments`` are a command word's own; their class tells which command is meant.
    """

    command: str = MIGRATE
    options: Options = field(default_factory=Options)
    config_file: Path | None = None
    setting_flags: dict[str, object] = field(default_factory=dict)
    arguments: DemoArguments | None = None


@dataclass(frozen=True, slots=True)
class Command:
    """A command word: a line of help, how it declares its flags, and what it makes of them."""

    summary: str
    declare: Callable[[argparse.ArgumentParser, Mapping[str, str]], None]
    invocation: Callable[[argparse.Namespace], Invocation]


def parse(argv: Sequence[str], environ: Mapping[str, str] | None = None) -> Invocation:
    """Read ``argv`` (as ``sys.argv``: with the program in front).

    ``-h`` and ``--version`` print to stdout and raise ``SystemExit(0)``. Raises ``UsageError``, after the usage was
    printed to stderr, for all that cannot be carried out as typed.
    """
    environ = os.environ if environ is None else environ
    program, words = _program(argv[0] if argv else ""), list(argv[1:])
    if words and words[0] in COMMANDS:
        command = COMMANDS[words[0]]
        return command.invocation(_read(_command_parser(program, words[0], environ), words[1:]))
    return _migration(_read(_migration_parser(program, environ), words))


class _Parser(argparse.ArgumentParser):
    """An ``ArgumentParser`` whose errors are ours: usage on stderr, and the reason for ``main`` to show."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        raise UsageError(_plainly(message), hint=f"{self.prog} -h describes every flag.")


def _plainly(message: str) -> str:
    """Say "-b/--batch-size: …" instead of argparse's "argument -b/--batch-size: …"."""
    return message.removeprefix("argument ")


def _program(argv0: str) -> str:
    """Name the program the way it was called."""
    name = Path(argv0).name
    return "python -m sketch_migrate" if name == "__main__.py" else name or "sketch-migrate"


def _read(parser: argparse.ArgumentParser, words: list[str]) -> argparse.Namespace:
    known = {flag for action in parser._actions for flag in action.option_strings}  # noqa: SLF001 - has no public list
    namespace, strays = parser.parse_known_args([part for word in words for part in _parted(word, known)])
    if strays:
        parser.error(_about_stray(strays[0], known))
    return namespace


def _parted(word: str, flags: set[str]) -> list[str]:
    """Part ``"-b 100"``, given as one argument by a quoting script, into flag and value."""
    flag, space, value = word.partition(" ")
    return [flag, value.strip()] if space and flag in flags else [word]


def _about_stray(word: str, flags: set[str]) -> str:
    if word.startswith("-"):
        name = word.partition("=")[0]
        close = difflib.get_close_matches(name, sorted(flags), n=1)
        return f"there is no flag {name}" + (f"; did you mean {close[0]}?" if close else "")
    commands = ", ".join(COMMANDS)
    if word in COMMANDS:
        return f"the command {word!r} must come first, in front of every flag"
    return f"{word!r} is not a command (there is: {commands}) and belongs to no flag"


def _at_least(minimum: int) -> Callable[[str], int]:
    def number(value: str) -> int:
        try:
            checked = int(value)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{value!r} is not a whole number") from None
        if checked < minimum:
            raise argparse.ArgumentTypeError(f"{checked} is too small, it must be at least {minimum}")
        return checked

    return number


def _migration_parser(program: str, environ: Mapping[str, str]) -> _Parser:
    indent = " " * len(f"usage: {program} ")
    parser = _Parser(
        prog=program,
        usage=f"{program} [-h] [-p PARALLELIZATION_LEVEL] [-b BATCH_SIZE]\n"
        f"{indent}[-l LIMIT] [-v] [-d] [-s] [-t] [-w] [-y]\n"
        f"{indent}[--config FILE] [--json] [--no-progress]\n"
        f"{indent}[--version] [--SETTING VALUE ...]\n"
        f"       {program} {{{','.join(COMMANDS)}}} [-h] ...",
        description="Copy objects from the legacy to the production bucket, and rewrite the\n"
        "database rows that hold their keys. A good first run is: -v -d -p 1",
        epilog=_commands_help(program, environ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add, usual = parser.add_argument, Options()
    add("-p", "--parallelization-level", type=_at_least(1), default=usual.parallelization_level, metavar="N",
        help="iterations in parallel (default %(default)s)")  # fmt: skip
    add("-b", "--batch-size", type=_at_least(1), default=usual.batch_size, metavar="N",
        help="entries (rows and objects) of one iteration (default %(default)s)")  # fmt: skip
    add("-l", "--limit", type=_at_least(0), default=usual.limit, metavar="N",
        help="migrate at most N entries, then stop (default 0: all)")  # fmt: skip
    add("-v", "--verbose", action="store_true", help="a line for every entry and what was done with it")
    add("-d", "--dry-run", action="store_true", help="say what would be done (with -v: every copy and update), do none")
    add("-s", "--status-only", action="store_true", help="the status report, nothing else")
    add("-t", "--technical-status", action="store_true",
        help="end with a line for programs: tech_status and, with commas between, legacy objects, production"
        " objects, legacy rows, production rows, all rows")  # fmt: skip
    add("-w", "--overwrite", action="store_true", help="allow replacing a different object in production")
    add("-y", "--say-yes", action="store_true", help="do not ask before changing anything")
    add("--config", type=Path, metavar="FILE",
        help="settings file, .py or .toml (default: lib/config.py beside the script,"
        " then ./sketch-migrate.toml)")  # fmt: skip
    add("--json", dest="json_output", action="store_true", help="the result as one JSON document on stdout")
    add("--no-progress", dest="show_progress", action="store_false", help="no bar and no lines of progress")
    add("--version", action="version", version=f"sketch-migrate {__version__}", help="print the version")
    _add_setting_flags(parser)
    return parser


def _add_setting_flags(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "settings",
        "Each is a line of the settings file in capitals (DB_HOST), overridden by the\n"
        "environment (SKETCH_DB_HOST), overridden by its flag. Secrets come from the\n"
        "environment only: SKETCH_DB_USER, SKETCH_DB_PASS, AWS_ACCESS_KEY_ID,\n"
        "AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN.",
    )
    for setting in setting_fields():
        yes_or_no = isinstance(setting.default, bool)
        default = ("no", "yes")[bool(setting.default)] if yes_or_no else str(setting.default).removesuffix(".0")
        shown = "" if setting.default in ("", None) else f" (default {default})".replace("%", "%%")
        group.add_argument(
            setting.flag,
            dest=f"setting:{setting.name}",
            metavar="yes|no" if yes_or_no else setting.in_file.rpartition("_")[2],
            default=argparse.SUPPRESS,
            help=setting.help + shown,
        )


def _migration(namespace: argparse.Namespace) -> Invocation:
    values: dict[str, object] = vars(namespace)
    flags = {name.removeprefix("setting:"): value for name, value in values.items() if name.startswith("setting:")}
    options = {name: value for name, value in values.items() if name != "config" and ":" not in name}
    return Invocation(options=Options(**options), config_file=namespace.config, setting_flags=flags)  # type: ignore[arg-type]  # argparse's types are those of Options


def _command_parser(program: str, word: str, environ: Mapping[str, str]) -> _Parser:
    parser = _Parser(prog=f"{program} {word}", description=COMMANDS[word].summary, allow_abbrev=False)
    COMMANDS[word].declare(parser, environ)
    return parser


def _commands_help(program: str, environ: Mapping[str, str]) -> str:
    lines = ["commands (the first argument; without one it migrates):"]
    for word, command in COMMANDS.items():
        usage = " ".join(_command_parser(program, word, environ).format_usage().split())
        lines += [f"  {usage.removeprefix(f'usage: {program} ')}", f"      {command.summary}"]
    return "\n".join(lines)


def _declare_demo(parser: argparse.ArgumentParser, environ: Mapping[str, str]) -> None:
    parser.add_argument("--avatars", type=_at_least(1), default=environ.get("DEMO_AVATARS") or 10_000, metavar="N",
                        help="how many to make, half of them legacy (default $DEMO_AVATARS, or 10000)")  # fmt: skip
    parser.add_argument("--dir", dest="directory", type=Path, metavar="DIR",
                        help="keep database and objects there (default: a temporary folder)")  # fmt: skip
    parser.add_argument("--no-wait", dest="wait", action="store_false", help="stop the servers and exit at the end")


def _demo(namespace: argparse.Namespace) -> Invocation:
    return Invocation(command="demo", arguments=DemoArguments(**vars(namespace)))


COMMANDS: dict[str, Command] = {
    "demo": Command("start a database and an S3 server here, and migrate sample avatars", _declare_demo, _demo),
}
"""Every command word. A new one is added here and nowhere else."""
