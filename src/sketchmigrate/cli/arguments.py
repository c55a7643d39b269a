"""The command line as a person types it, turned into one ``Invocation``. Imports nothing that only a run needs."""

from __future__ import annotations

import argparse
import difflib
import os
import sys
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from sketchmigrate.cli.command import MIGRATE, all_commands, find, is_word, names, words
from sketchmigrate.cli.flags import SETTING
from sketchmigrate.cli.help import HelpParser, overview, usages
from sketchmigrate.core.errors import UsageError
from sketchmigrate.settings import Options

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from _typeshed import SupportsWrite


@dataclass(frozen=True, slots=True)
class Invocation:
    """A command line that makes sense. ``setting_flags`` has lower-case names and the values as typed.

    ``arguments`` are a command word's own, and None where there is none and it migrates. ``typed`` is the whole command
    line behind the program.
    """

    command: str = MIGRATE
    options: Options = field(default_factory=Options)
    config_file: Path | None = None
    setting_flags: dict[str, object] = field(default_factory=dict)
    arguments: object = None
    typed: tuple[str, ...] = ()


def parse(argv: Sequence[str], environ: Mapping[str, str] | None = None) -> Invocation:
    """Read ``argv`` (as ``sys.argv``: with the program in front).

    ``-h`` and ``--version`` print to stdout and raise ``SystemExit(0)``, or ``OSError`` where that cannot be written.
    Raises ``UsageError``, after the usage was printed to stderr, for all that cannot be carried out as typed.
    """
    environ = os.environ if environ is None else environ
    program, typed = _program(argv[0] if argv else ""), _without_help(list(argv[1:]))
    shows_all = "--all" in typed and bool({"-h", "--help"}.intersection(typed))
    has_word = bool(typed) and is_word(typed[0])
    word = typed.pop(0) if has_word else MIGRATE
    parser = _parser(program, word, environ)
    if shows_all:
        typed.remove("--all")
        parser.shows_all = True
    if not has_word:
        parser.overview = partial(_overview, program)
        parser.appendix = partial(_usages, program, environ)
    namespace = _read(parser, program, typed)
    if wrong := _shared_contradiction(namespace) or find(word).contradiction(namespace):
        parser.error(wrong)
    return replace(_invocation(word, namespace), typed=tuple(argv[1:]))


def _without_help(typed: list[str]) -> list[str]:
    """Return what was typed with the flag in the place of the word ``help``."""
    match typed:
        case ["help", word, *more] if is_word(word):
            return [word, "-h", *more]
        case ["help", word, *_] if not word.startswith("-"):
            return [word]  # an error says which words there are
        case ["help", *more]:
            return ["-h", *more]
    return typed


def _shared_contradiction(typed: argparse.Namespace) -> str:
    """Say what is wrong with the flags that tell who shares the work, and who is told, where there are any."""
    if getattr(typed, "cluster", "") and getattr(typed, "processes", None) is not None:
        return "--processes is for this machine alone, --cluster has workers of its own: give one of them"
    if getattr(typed, "events", "") == "-" and typed.json_output:
        return "--events - and --json both want stdout: name a file for the events"
    return ""


class _Parser(HelpParser):
    """A parser whose errors are ours: usage on stderr, and the reason for ``main`` to show."""

    def _print_message(self, message: str, file: SupportsWrite[str] | None = None) -> None:
        """Print it at once: argparse would not say that it cannot be written."""
        if message and file is not None:
            file.write(message)
            if hasattr(file, "flush"):
                file.flush()

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        raise UsageError(_plainly(message), hint=f"{self.prog} -h describes the flags.")


def _plainly(message: str) -> str:
    """Say "-b/--batch-size: …" instead of argparse's "argument -b/--batch-size: …"."""
    return message.removeprefix("argument ")


def _program(argv0: str) -> str:
    """Name the program the way it was called."""
    name = Path(argv0).name
    return "python -m sketchmigrate" if name == "__main__.py" else name or "sketch-migrate"


def _read(parser: argparse.ArgumentParser, program: str, typed: list[str]) -> argparse.Namespace:
    known = {flag for action in parser._actions for flag in action.option_strings}  # noqa: SLF001 - has no public list
    # a second argument that may be left out would count as left out at a flag between it and the first
    several = len([action for action in parser._actions if not action.option_strings]) > 1  # noqa: SLF001 - the same
    read = parser.parse_known_intermixed_args if several else parser.parse_known_args
    namespace, strays = read([part for word in typed for part in _parted(word, known)])
    if strays and not strays[0].startswith("-") and not is_word(strays[0]):
        raise UsageError(_about_word(strays[0]), hint=f"{program} help names all commands.")
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
    return f"the command {word!r} must come first, in front of every flag"


def _about_word(word: str) -> str:
    close = difflib.get_close_matches(word, names(), n=1)
    meant = f"did you mean {close[0]}?" if close else f"there is: {', '.join(words())}"
    return f"{word!r} is not a command and belongs to no flag; {meant}"


def _parser(program: str, word: str, environ: Mapping[str, str]) -> _Parser:
    command = find(word)
    parser = _Parser(
        prog=program if word == MIGRATE else f"{program} {word}",
        description=command.summary,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    command.declare(parser, environ)
    return parser


def _overview(program: str, migration: HelpParser) -> str:
    return overview(program, all_commands(), migration)


def _usages(program: str, environ: Mapping[str, str]) -> str:
    return usages(program, all_commands(), lambda word: _parser(program, word, environ).format_usage())


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
        arguments=find(word).arguments(**values),
    )
