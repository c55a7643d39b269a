"""``verify``: its flags and its rights."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from sketchmigrate.cli import flags
from sketchmigrate.cli.command import Command
from sketchmigrate.core.rights import COMPARING, GET, READING_KEYS, Rights
from sketchmigrate.core.rule import BOTH_SIDES

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping

    from sketchmigrate.cli.start import Start


class VerifyArguments(NamedTuple):
    """What ``verify`` was asked to do: ``deep`` is the part to compare byte by byte, in percent, or None.

    ``metadata`` is that of which to compare content headers, user metadata and tags. ``discover``: look through the
    whole database for what mentions legacy.
    """

    deep: float | None
    metadata: float | None
    discover: bool


def _declare(parser: argparse.ArgumentParser, _: Mapping[str, str]) -> None:
    flags.add_shared_deep_flags(parser, "migrated rows", share="the work of --deep and --metadata")
    flags.add_metadata_flag(parser)
    parser.add_argument("--discover", action="store_true",
        help="look through all of the database for columns that mention legacy, too")  # fmt: skip
    flags.add_output_flags(parser)
    flags.add_csv_flag(parser)
    flags.add_settings(parser)


def _load(arguments: VerifyArguments, start: Start) -> Callable[[], int]:
    run = start.run_directory()
    from sketchmigrate.cli.job import run_job
    from sketchmigrate.cli.jobs.verify import VerifyJob

    return partial(run_job, VerifyJob(arguments, start, run))


COMMAND = Command(
    "prove that every reference has its object, and the right one",
    place=13,
    declare=_declare,
    arguments=VerifyArguments,
    load=_load,
    rights={
        "verify": Rights(
            "proves that every row has its object",
            production=(GET,),
            optional=(*COMPARING, READING_KEYS),
            inventories=BOTH_SIDES,
        )
    },
    contradiction=flags.shared_deep_contradiction,
)
