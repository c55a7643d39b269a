"""``demo``: its flags. It has no settings, as it migrates on servers of its own."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sketchmigrate.cli import flags
from sketchmigrate.cli.command import Command

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping

    from sketchmigrate.cli.start import Start


class DemoArguments(NamedTuple):
    """What ``demo`` was asked to do. ``directory`` None is a temporary one."""

    avatars: int
    directory: Path | None
    wait: bool


def _declare(parser: argparse.ArgumentParser, environ: Mapping[str, str]) -> None:
    parser.add_argument("--avatars", type=flags.at_least(1), default=environ.get("DEMO_AVATARS") or 10_000, metavar="N",
                        help="how many to make, half of them legacy (default $DEMO_AVATARS, or 10000)")  # fmt: skip
    parser.add_argument("--dir", dest="directory", type=Path, metavar="DIR",
                        help="keep database and objects there (default: a temporary folder)")  # fmt: skip
    parser.add_argument("--no-wait", dest="wait", action="store_false", help="stop the servers and exit at the end")


def _load(arguments: DemoArguments, start: Start) -> Callable[[], int]:
    from sketchmigrate.demo import run_demo

    return partial(run_demo, arguments, start.terminal)


COMMAND = Command(
    "migrate sample avatars between servers that it starts here",
    place=1,
    declare=_declare,
    arguments=DemoArguments,
    load=_load,
)
