"""``discover``: its flags. It takes what the role may read, so there are no rights to list."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from sketchmigrate.cli import flags
from sketchmigrate.cli.command import Command

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping

    from sketchmigrate.cli.start import Start


class DiscoverArguments(NamedTuple):
    """What ``discover`` was asked to look at: these schemas (none: all but the system's), all rows or samples."""

    schemas: list[str]
    full: bool


def _declare(parser: argparse.ArgumentParser, _: Mapping[str, str]) -> None:
    add = parser.add_argument
    add("--schema", dest="schemas", action="append", default=[], metavar="S",
        help="look at this schema alone; several times for several (default: all but the system's)")  # fmt: skip
    add("--full", action="store_true", help="read all rows and count, instead of samples")
    flags.add_output_flags(parser)
    flags.add_settings(parser)


def _load(arguments: DiscoverArguments, start: Start) -> Callable[[], int]:
    run = start.run_directory()
    from sketchmigrate.cli.jobs.discover import discover_command

    return partial(discover_command, arguments, start, run)


COMMAND = Command(
    "find every column that mentions legacy, and the settings for it",
    place=3,
    declare=_declare,
    arguments=DiscoverArguments,
    load=_load,
)
