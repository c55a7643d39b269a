"""``plan``: its flags and its rights."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from sketchmigrate.cli import flags
from sketchmigrate.cli.command import Command
from sketchmigrate.core.prices import USD_PER_1000_COPIES, USD_PER_1000_READS
from sketchmigrate.core.rights import COMPARING, LOOK_AHEAD, READING_KEYS, Rights
from sketchmigrate.core.rule import BOTH_SIDES
from sketchmigrate.settings import Options

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping

    from sketchmigrate.cli.start import Start


class PlanArguments(NamedTuple):
    """What ``plan`` was asked to do: prices in USD for 1 000 requests, ``rate`` in rows/s or None where not given.

    ``deep`` is the part of what cannot be told otherwise to compare byte by byte, in percent, or None. ``full``: all
    objects are looked at for what copies do not keep, not a sample.
    """

    deep: float | None
    full: bool
    probe: bool
    rate: float | None
    price_copy: float
    price_read: float


def _declare(parser: argparse.ArgumentParser, _: Mapping[str, str]) -> None:
    add = parser.add_argument
    flags.add_shared_deep_flags(
        parser, "legacy rows whose object may be in production already, where ETags cannot tell it"
    )
    add("--full", action="store_true", help="look at all objects to copy, not a sample, for what the copies do not"
        " keep: two requests each")  # fmt: skip
    add("--probe", action="store_true", help="try what the store does with conditional writes (makes objects of its"
        " own in production, and removes them)")  # fmt: skip
    add("--trial", action="store_true", default=Options().trial, help="try one flip and roll it back, to see"
        " whether the table takes it (takes the right to UPDATE; docs/rollback.md has what is not undone)")  # fmt: skip
    add("--rate", type=flags.positive, metavar="ROWS",
        help="rows/s to reckon with (default: that of the newest migration)")  # fmt: skip
    add("--price-copy", type=flags.positive, default=USD_PER_1000_COPIES, metavar="USD",
        help="price of 1000 copies, puts or listings (default %(default)s, AWS us-east-1 Standard)")  # fmt: skip
    add("--price-read", type=flags.positive, default=USD_PER_1000_READS, metavar="USD",
        help="price of 1000 looks at an object (default %(default)s)")  # fmt: skip
    flags.add_output_flags(parser)
    flags.add_csv_flag(parser)
    flags.add_settings(parser)


def _load(arguments: PlanArguments, start: Start) -> Callable[[], int]:
    run = start.run_directory()
    from sketchmigrate.cli.job import run_job
    from sketchmigrate.cli.jobs.plan import PlanJob

    return partial(run_job, PlanJob(arguments, start, run))


COMMAND = Command(
    "say beforehand what a migration would meet, cost and take",
    place=7,
    declare=_declare,
    arguments=PlanArguments,
    load=_load,
    rights={
        "plan": Rights(
            "says beforehand what a migration would meet"
            " (with --probe it needs probe's rights too, with --deep verify's)",
            tries_flip=True,
            optional=(*LOOK_AHEAD, *COMPARING, READING_KEYS),
            inventories=BOTH_SIDES,
        )
    },
    contradiction=flags.shared_deep_contradiction,
)
