"""``fence``: its flags and its rights."""

from __future__ import annotations

from functools import partial
from types import NoneType
from typing import TYPE_CHECKING

from sketchmigrate.cli import flags
from sketchmigrate.cli.command import Command
from sketchmigrate.core.rights import Rights

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping

    from sketchmigrate.cli.start import Start


def _declare(parser: argparse.ArgumentParser, _: Mapping[str, str]) -> None:
    flags.add_output_flags(parser)
    flags.add_settings(parser)


def _load(_: None, start: Start) -> Callable[[], int]:
    run = start.run_directory()
    from sketchmigrate.cli.jobs.fence import fence_command

    return partial(fence_command, start, run)


COMMAND = Command(
    "print a constraint that refuses new legacy references",
    place=15,
    declare=_declare,
    arguments=NoneType,
    load=_load,
    rights={"fence": Rights("counts the legacy rows that are left, and prints SQL", listed=(), legacy=())},
    only_prints=True,
)
