"""``probe``: its flag and its rights."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from sketchmigrate.cli import flags
from sketchmigrate.cli.command import Command
from sketchmigrate.core.rights import CLEARING_VERSIONS, DELETE, WRITING, WRITING_KEYS, Rights

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping

    from sketchmigrate.cli.start import Start


class ProbeArguments(NamedTuple):
    """What ``probe`` was asked to do: with ``race`` it races its writes also where objects have versions."""

    race: bool


def _declare(parser: argparse.ArgumentParser, _: Mapping[str, str]) -> None:
    parser.add_argument("--race", action="store_true", help="race conditional writes against others also where the"
        " bucket keeps versions, of which that makes and removes some thousands")  # fmt: skip
    flags.add_output_flags(parser)
    flags.add_settings(parser)


def _load(arguments: ProbeArguments, start: Start) -> Callable[[], int]:
    run = start.run_directory()
    from sketchmigrate.cli.jobs.probe import probe_command

    return partial(probe_command, arguments, start.settings, start.options, start.terminal, run)


COMMAND = Command(
    "try what the store does with conditions, keys, listings and tags",
    place=6,
    declare=_declare,
    arguments=ProbeArguments,
    load=_load,
    rights={
        "probe": Rights(
            "tries what the store does",
            reads=False,
            listed=("production",),
            legacy=(),
            production=WRITING,
            probe=(DELETE,),
            optional=(CLEARING_VERSIONS, WRITING_KEYS),
        )
    },
)
