"""The command words: what each is for, its flags, and the arguments that they make.

A new one is declared here, and carried out by ``main``. Whatever of its flags is an option of the run (``-b``,
``--json``) arrives in ``Options``; all others must be fields of its class of arguments.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from sketch_migrate.cli.flags import (
    add_dry_run_flag,
    add_output_flags,
    add_pace_flags,
    add_say_yes_flag,
    add_verbose_flag,
    at_least,
)

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping


@dataclass(frozen=True, slots=True)
class DemoArguments:
    """What ``demo`` was asked to do. ``directory`` None is a temporary one."""

    avatars: int
    directory: Path | None
    wait: bool


@dataclass(frozen=True, slots=True)
class RollbackArguments:
    """What ``rollback`` was asked to undo: one ``run``, or every one ``below`` a folder. Keys are as typed."""

    run: Path | None
    below: Path | None
    only_keys: Path | None
    key_from: str | None
    key_until: str | None


CommandArguments: TypeAlias = DemoArguments | RollbackArguments
"""The arguments of any command word; their class tells which one is meant."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command word: a line of help, how it declares its flags, and the class of its arguments.

    With ``has_settings`` it has ``--config`` and a flag for each setting as well.
    """

    summary: str
    declare: Callable[[argparse.ArgumentParser, Mapping[str, str]], None]
    arguments: Callable[..., CommandArguments]
    has_settings: bool = True


def _declare_demo(parser: argparse.ArgumentParser, environ: Mapping[str, str]) -> None:
    parser.add_argument("--avatars", type=at_least(1), default=environ.get("DEMO_AVATARS") or 10_000, metavar="N",
                        help="how many to make, half of them legacy (default $DEMO_AVATARS, or 10000)")  # fmt: skip
    parser.add_argument("--dir", dest="directory", type=Path, metavar="DIR",
                        help="keep database and objects there (default: a temporary folder)")  # fmt: skip
    parser.add_argument("--no-wait", dest="wait", action="store_false", help="stop the servers and exit at the end")


def _declare_rollback(parser: argparse.ArgumentParser, _: Mapping[str, str]) -> None:
    add, which = parser.add_argument, parser.add_mutually_exclusive_group(required=True)
    which.add_argument("run", type=Path, nargs="?", metavar="RUN_DIR", help="the directory of the run to undo")
    which.add_argument("--all", dest="below", type=Path, metavar="DIR",
                       help="undo every run below this folder, the newest first")  # fmt: skip
    add("--only-keys", type=Path, metavar="FILE", help="only the rows with these keys, one a line")
    add("--key-from", metavar="KEY", help="only rows from this key on (text: by code points)")
    add("--key-until", metavar="KEY", help="only rows up to this key, itself included")
    add_pace_flags(parser, verb="set back")
    add_verbose_flag(parser)
    add_dry_run_flag(parser)
    add_say_yes_flag(parser)
    add_output_flags(parser)


def _declare_probe(parser: argparse.ArgumentParser, _: Mapping[str, str]) -> None:
    add_output_flags(parser)


COMMANDS: dict[str, Command] = {
    "rollback": Command("set the rows of past runs back to legacy", _declare_rollback, RollbackArguments),
    "demo": Command(
        "start a database and an S3 server here, and migrate sample avatars",
        _declare_demo,
        DemoArguments,
        has_settings=False,
    ),
}
"""Every command word, in the order of the help."""
