"""The command line as a person types it, turned into one ``Invocation``. Imports nothing that only a run needs."""

from __future__ import annotations

import argparse
import difflib
import os
import sys
import textwrap
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from sketchmigrate import __version__
from sketchmigrate.cli.commands import COMMANDS
from sketchmigrate.cli.flags import (
    SETTING,
    add_cluster_flag,
    add_config_flag,
    add_csv_flag,
    add_dry_run_flag,
    add_output_flags,
    add_pace_flags,
    add_processes_flag,
    add_say_yes_flag,
    add_setting_flags,
    add_trial_flag,
    add_verbose_flag,
)
from sketchmigrate.core.errors import UsageError
from sketchmigrate.settings import NO_CLOBBER, Options

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sketchmigrate.cli.commands import CommandArguments

MIGRATE = "migrate"
"""The command of an invocation without a command word."""


@dataclass(frozen=True, slots=True)
class Invocation:
    """A command line that makes sense. ``setting_flags`` has lower-case names and the values as typed.

    ``arguments`` are a command word's own, and None where there is none and it migrates.
    """

    command: str = MIGRATE
    options: Options = field(default_factory=Options)
    config_file: Path | None = None
    setting_flags: dict[str, object] = field(default_factory=dict)
    arguments: CommandArguments | None = None


def parse(argv: Sequence[str], environ: Mapping[str, str] | None = None) -> Invocation:
    """Read ``argv`` (as ``sys.argv``: with the program in front).

    ``-h`` and ``--version`` print to stdout and raise ``SystemExit(0)``. Raises ``UsageError``, after the usage was
    printed to stderr, for all that cannot be carried out as typed.
    """
    environ = os.environ if environ is None else environ
    program, words = _program(argv[0] if argv else ""), list(argv[1:])
    if words and words[0] in COMMANDS:
        parser = _command_parser(program, words[0], environ)
        return _invocation(words[0], _checked(parser, _read(parser, words[1:]), words[0]))
    parser = _migration_parser(program, environ)
    namespace = _checked(parser, _read(parser, words), MIGRATE)
    if namespace.overwrite and namespace.no_clobber != Options().no_clobber:
        parser.error(f"-w allows to replace what --no-clobber {namespace.no_clobber} protects: give one of them")
    return _invocation(MIGRATE, namespace)


def _checked(parser: argparse.ArgumentParser, namespace: argparse.Namespace, command: str) -> argparse.Namespace:
    """Check the flags that say who shares the work, where there are any."""
    cluster, processes = getattr(namespace, "cluster", ""), getattr(namespace, "processes", None)
    if cluster and processes is not None:
        parser.error("--processes is for this machine alone, --cluster has workers of its own: give one of them")
    if (cluster or processes is not None) and command in {"plan", "verify"} and namespace.deep is None:
        flag = "--cluster" if cluster else "--processes"
        parser.error(f"{flag} shares the reading of --deep, which is not given")
    return namespace


class _Parser(argparse.ArgumentParser):
    """An ``ArgumentParser`` whose errors are ours: usage on stderr, and the reason for ``main`` to show."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        raise UsageError(_plainly(message), hint=f"{self.prog} -h describes every flag.")


class _MigrationParser(_Parser):
    """One whose help ends with that of every command: their parsers are made when it is asked for, and not before."""

    environ: Mapping[str, str] = os.environ

    def format_help(self) -> str:
        """Return the help."""
        self.epilog = _commands_help(self.prog, self.environ)
        return super().format_help()


def _plainly(message: str) -> str:
    """Say "-b/--batch-size: …" instead of argparse's "argument -b/--batch-size: …"."""
    return message.removeprefix("argument ")


def _program(argv0: str) -> str:
    """Name the program the way it was called."""
    name = Path(argv0).name
    return "python -m sketchmigrate" if name == "__main__.py" else name or "sketch-migrate"


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


def _migration_parser(program: str, environ: Mapping[str, str]) -> _Parser:
    indent = " " * len(f"usage: {program} ")
    parser = _MigrationParser(
        prog=program,
        usage=f"{program} [-h] [-p PARALLELIZATION_LEVEL] [-b BATCH_SIZE]\n"
        f"{indent}[-l LIMIT] [-v] [-d] [-s] [-t] [-w] [-y]\n"
        f"{indent}[--processes N] [--cluster WHERE] [--no-clobber HOW]\n"
        f"{indent}[--trial | --no-trial] [--config FILE] [--json]\n"
        f"{indent}[--no-progress] [--csv-safe]\n"
        f"{indent}[--version] [--SETTING VALUE ...]\n"
        f"       {program} COMMAND [-h] ...",
        description="Copy objects from the legacy to the production bucket, and rewrite the\n"
        "database rows that hold their keys. A good first run is: -v -d -p 1",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.environ = environ
    add = parser.add_argument
    add_pace_flags(parser)
    add_processes_flag(parser)
    add_cluster_flag(parser)
    add_verbose_flag(parser)
    add_dry_run_flag(parser)
    add("-s", "--status-only", action="store_true", help="the status report, nothing else")
    add("-t", "--technical-status", action="store_true",
        help="end with a line for programs: tech_status and, with commas between, legacy objects, production"
        " objects, legacy rows, production rows, all rows")  # fmt: skip
    add("-w", "--overwrite", action="store_true", help="allow replacing a different object in production")
    add("--no-clobber", choices=NO_CLOBBER, default=NO_CLOBBER[0], metavar="HOW",
        help="without -w: how to make sure that nothing different is replaced, also not what is stored at that"
        f" moment. One of {', '.join(NO_CLOBBER)} (default %(default)s: the first that the store is proved"
        " to honour, else check-first)")  # fmt: skip
    add_trial_flag(parser)
    add_say_yes_flag(parser)
    add_config_flag(parser)
    add_output_flags(parser)
    add_csv_flag(parser)
    add("--version", action="version", version=f"sketch-migrate {__version__}", help="print the version")
    add_setting_flags(parser)
    return parser


def _command_parser(program: str, word: str, environ: Mapping[str, str]) -> _Parser:
    command = COMMANDS[word]
    parser = _Parser(
        prog=f"{program} {word}",
        description=command.summary,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    command.declare(parser, environ)
    if command.has_settings:
        add_config_flag(parser)
        usage = parser.format_usage().removeprefix("usage: ").rstrip() + " [--SETTING VALUE ...]"
        parser.usage = usage.replace("%", "%%")  # as made so far: two dozen settings would drown it
        add_setting_flags(parser)
    return parser


def _commands_help(program: str, environ: Mapping[str, str]) -> str:
    lines = ["commands (the first argument; without one it migrates):"]
    for word, command in COMMANDS.items():
        usage = " ".join(_command_parser(program, word, environ).format_usage().split())
        lines += textwrap.wrap(
            usage.removeprefix(f"usage: {program} "),
            width=78,
            initial_indent="  ",
            subsequent_indent=" " * 12,
            break_long_words=False,
            break_on_hyphens=False,
        )
        lines += textwrap.wrap(command.summary, width=78, initial_indent=" " * 6, subsequent_indent=" " * 6)
    return "\n".join(lines)


def _invocation(word: str, namespace: argparse.Namespace) -> Invocation:
    """Sort what was typed into settings, options of the run, and the command's own arguments."""
    values: dict[str, object] = vars(namespace)
    config_file = values.pop("config", None)
    setting_flags = {name: values.pop(name) for name in list(values) if name.startswith(SETTING)}
    options = {each.name: values.pop(each.name) for each in fields(Options) if each.name in values}
    return Invocation(
        command=word,
        options=Options(**options),  # type: ignore[arg-type]  # argparse's types are those of Options
        config_file=config_file,  # type: ignore[arg-type]  # the same: a Path
        setting_flags={name.removeprefix(SETTING): value for name, value in setting_flags.items()},
        arguments=COMMANDS[word].arguments(**values) if word in COMMANDS else None,
    )
