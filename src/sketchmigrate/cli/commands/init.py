"""``init``: its flags and its rights. It asks for what the flags leave open."""

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


class InitArguments(NamedTuple):
    """What ``init`` was asked to write."""

    output: Path


def _declare(parser: argparse.ArgumentParser, _: Mapping[str, str]) -> None:
    parser.add_argument("-o", "--output", type=Path, default=Path("sketch-migrate.toml"), metavar="FILE",
        help="the settings file to write, which must not be there (default %(default)s)")  # fmt: skip
    flags.add_output_flags(parser)
    flags.add_settings(parser)


def _load(arguments: InitArguments, start: Start) -> Callable[[], int]:
    from sketchmigrate.cli.jobs.init import init_command

    return partial(init_command, arguments, start)


COMMAND = Command(
    "look at a database and two buckets, and write a settings file",
    place=2,
    declare=_declare,
    arguments=InitArguments,
    load=_load,
    rights={
        "init": Rights(
            "lists what both buckets have at their top, and reads what columns the role may", reads=False, legacy=()
        )
    },
)
