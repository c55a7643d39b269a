"""``rollback``: what it undoes, its flags and its rights."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sketchmigrate.cli import flags
from sketchmigrate.cli.command import Command
from sketchmigrate.core.rights import Rights

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping

    from sketchmigrate.cli.start import Start


class RollbackArguments(NamedTuple):
    """What ``rollback`` was asked to undo: one ``run``, or every one ``below`` a folder. Keys are as typed."""

    run: Path | None
    below: Path | None
    only_keys: Path | None
    key_from: str | None
    key_until: str | None
    source: str | None


def _declare(parser: argparse.ArgumentParser, _: Mapping[str, str]) -> None:
    add, which = parser.add_argument, parser.add_mutually_exclusive_group(required=True)
    which.add_argument("run", type=Path, nargs="?", metavar="RUN_DIR", help="the directory of the run to undo")
    which.add_argument("--all", dest="below", type=Path, metavar="DIR",
                       help="undo every run below this folder, the newest first")  # fmt: skip
    add("--only-keys", type=Path, metavar="FILE", help="only the rows with these keys, one a line")
    add("--key-from", metavar="KEY", help="only rows from this key on (text: by code points)")
    add("--key-until", metavar="KEY", help="only rows up to this key, itself included")
    add("--source", metavar="NAME", help="only the rows of this source; keys need it where there are several")
    flags.add_pace_flags(parser, verb="set back")
    flags.add_processes_flag(parser, share="the flips, each with -p iterations", default="this one alone")
    flags.add_cluster_flag(parser, share="the flips")
    flags.add_verbose_flag(parser)
    flags.add_dry_run_flag(parser)
    flags.add_say_yes_flag(parser)
    flags.add_output_flags(parser)
    flags.add_csv_flag(parser)
    flags.add_telling_flags(parser)
    flags.add_settings(parser)


def _load(arguments: RollbackArguments, start: Start) -> Callable[[], int]:
    run = start.run_directory()
    from sketchmigrate.cli.jobs.rollback import rollback_command

    return partial(rollback_command, arguments, start, run)


COMMAND = Command(
    "set the rows of past runs back to legacy",
    place=16,
    declare=_declare,
    arguments=RollbackArguments,
    load=_load,
    rights={"rollback": Rights("sets rows back, where the legacy object is there", updates=True)},
)
