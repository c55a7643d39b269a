"""``repair``: its flags and its rights."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from sketchmigrate.cli import flags
from sketchmigrate.cli.command import Command
from sketchmigrate.cli.commands import migrate

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping

    from sketchmigrate.cli.start import Start


class RepairArguments(NamedTuple):
    """What ``repair`` was asked to do: ``deep`` is the part to compare byte by byte, in percent, or None.

    ``metadata`` is that of which to compare content headers, user metadata and tags.
    """

    deep: float | None
    metadata: float | None


def _declare(parser: argparse.ArgumentParser, _: Mapping[str, str]) -> None:
    share = "the work of --deep and --metadata, and the migration of what was left"
    flags.add_deep_flag(parser, "migrated rows")
    flags.add_metadata_flag(parser)
    flags.add_pace_flags(parser, verb="migrate")
    flags.add_processes_flag(parser, share=share)
    flags.add_cluster_flag(parser, share=share)
    flags.add_transfer_flag(parser)
    flags.add_trial_flag(parser)
    flags.add_verbose_flag(parser)
    flags.add_say_yes_flag(parser)
    flags.add_output_flags(parser)
    flags.add_csv_flag(parser)
    flags.add_telling_flags(parser)
    flags.add_settings(parser)


def _load(arguments: RepairArguments, start: Start) -> Callable[[], int]:
    run = start.run_directory()
    from sketchmigrate.cli.job import run_job
    from sketchmigrate.cli.jobs.repair import RepairJob

    return partial(run_job, RepairJob(arguments, start, run))


COMMAND = Command(
    "copy again what has changed since, migrate what is left, verify",
    place=14,
    declare=_declare,
    arguments=RepairArguments,
    load=_load,
    rights={
        "repair": migrate.RIGHTS._replace(
            purpose="copies again what was changed since, and migrates what was left", by_block=False
        )
    },
)
