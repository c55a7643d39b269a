"""``handoff``: its flags and its rights."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from sketchmigrate.cli import flags
from sketchmigrate.cli.command import Command
from sketchmigrate.core.rights import READING_KEYS, Rights
from sketchmigrate.core.rule import SideName

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping

    from sketchmigrate.cli.start import Start


class HandoffArguments(NamedTuple):
    """``handoff`` takes the settings alone."""


def _declare(parser: argparse.ArgumentParser, _: Mapping[str, str]) -> None:
    flags.add_output_flags(parser)
    flags.add_settings(parser)


def _load(_: HandoffArguments, start: Start) -> Callable[[], int]:
    run = start.run_directory()
    from sketchmigrate.cli.job import run_job
    from sketchmigrate.cli.jobs.handoff import HandoffJob

    return partial(run_job, HandoffJob(start, run))


COMMAND = Command(
    "list the objects to copy, for a job of S3 Batch Operations",
    place=18,
    declare=_declare,
    arguments=HandoffArguments,
    load=_load,
    rights={
        "handoff": Rights(
            "lists the objects that are to be copied, for a job of S3 Batch Operations",
            optional=(READING_KEYS,),
            inventories=(SideName.LEGACY,),
        )
    },
)
