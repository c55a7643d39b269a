"""The command line of ``scripts/bench``."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

SCALE = "scale"
MEASUREMENTS = (
    "end-to-end",
    "ceiling",
    "far",
    "seaweed",
    "ceph",
    "streamed",
    "streamed-far",
    "streamed-large",
    "cost",
    "growth",
    "shapes",
    "first-flip",
    "pace",
    "pace-changing",
    "pace-prefixes",
    "listing",
    "looks",
    "micro",
    "application",
    "application-apart",
    "governor",
    "observed",
    "rollback-processes",
    "start",
)
"""What ``--only`` chooses from, in the order in which it is measured."""

PEERS = ("ceiling", "s5cmd", "rclone", "boto3")
OUTPUT = Path("docs/performance")


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is measured. Sizes are in rows; a round gives every contestant a turn."""

    name: str
    rows: tuple[int, ...]
    rounds: int
    calibration_rows: int
    ceph_rows: int

    streamed_rows: int
    """From one store into another."""

    large_objects: int
    """The same with large ones."""

    cost_rows: tuple[int, ...]

    growth_rows: tuple[int, ...]
    """Tables in turn, the largest between two small ones."""

    latencies_ms: tuple[int, ...]
    fixed_concurrency: tuple[int, ...]
    """Tried behind 50 ms, beside the tool's own choice."""

    shared_rows: int
    """For ``--scale``: behind a latency, where one process moves 320 rows a second."""

    shared_rounds: int

    shared_fast_rows: int
    """For ``--scale``: without a latency."""

    shared_fast_rounds: int
    """These are short, and what else the machine does shows in them."""

    shape_rows: int
    shape_rounds: int
    """In each, a run over the classic rows and one over each other shape's."""

    application_rows: int
    application_pairs: int
    """Of an application alone, and the same beside a run, in each situation."""

    governor_rows: int
    governor_pairs: int
    observed_rows: int
    observed_pairs: int
    """Of a run with limits, and one without."""

    rollback_rows: int
    """Behind a latency, where one process sets 320 rows a second back."""

    look_rows: int
    """References, and objects a side, that ``verify`` and ``status`` look at."""

    rollback_pairs: int
    """Of a rollback by one process, and one by two."""

    start_rounds: int

    resumed_rows: int
    """Of which nine in ten are done already."""


QUICK = Extent(
    name="quick",
    rows=(10_000,),
    rounds=1,
    calibration_rows=1_000,
    ceph_rows=0,
    streamed_rows=2_000,
    large_objects=0,
    cost_rows=(20_000,),
    growth_rows=(),
    latencies_ms=(),
    fixed_concurrency=(),
    shared_rows=2_000,
    shared_fast_rows=50_000,
    shared_rounds=1,
    shared_fast_rounds=1,
    shape_rows=20_000,
    shape_rounds=1,
    application_rows=12_000,
    application_pairs=1,
    governor_rows=20_000,
    governor_pairs=1,
    observed_rows=20_000,
    observed_pairs=1,
    rollback_rows=2_000,
    look_rows=100_000,
    rollback_pairs=1,
    start_rounds=3,
    resumed_rows=100_000,
)
DEFAULT = Extent(
    name="default",
    rows=(20_000, 200_000),
    rounds=5,
    calibration_rows=2_000,
    ceph_rows=10_000,
    streamed_rows=20_000,
    large_objects=64,
    cost_rows=(20_000, 100_000, 200_000, 1_000_000),
    growth_rows=(1_000_000, 10_000_000, 1_000_000),
    latencies_ms=(50,),
    fixed_concurrency=(512, 1_024),
    shared_rows=20_000,
    shared_fast_rows=100_000,
    shared_rounds=2,
    shared_fast_rounds=3,
    shape_rows=200_000,
    shape_rounds=3,
    application_rows=36_000,
    application_pairs=5,
    governor_rows=200_000,
    governor_pairs=5,
    observed_rows=200_000,
    observed_pairs=5,
    rollback_rows=10_000,
    look_rows=1_000_000,
    rollback_pairs=5,
    start_rounds=9,
    resumed_rows=2_000_000,
)
FULL = Extent(
    name="full",
    rows=(20_000, 200_000),
    rounds=5,
    calibration_rows=2_000,
    ceph_rows=10_000,
    streamed_rows=20_000,
    large_objects=64,
    cost_rows=(20_000, 100_000, 200_000, 1_000_000),
    growth_rows=(1_000_000, 10_000_000, 1_000_000),
    latencies_ms=(0, 10, 50, 150),
    fixed_concurrency=(128, 256, 512, 1_024, 2_048),
    shared_rows=20_000,
    shared_fast_rows=200_000,
    shared_rounds=5,
    shared_fast_rounds=5,
    shape_rows=200_000,
    shape_rounds=5,
    application_rows=36_000,
    application_pairs=5,
    governor_rows=200_000,
    governor_pairs=5,
    observed_rows=200_000,
    observed_pairs=5,
    rollback_rows=10_000,
    look_rows=10_000_000,
    rollback_pairs=5,
    start_rounds=9,
    resumed_rows=10_000_000,
)
LARGE_ROWS = 100_000
"""From here on a turn takes a minute and more."""

LARGE_ROUNDS = 5
"""So many are enough for a median there."""


@dataclass(frozen=True, slots=True)
class Arguments:
    """What is asked for. ``output`` None writes no files; ``rows`` empty leaves the sizes to the extent."""

    extent: Extent
    only: tuple[str, ...]
    against: tuple[str, ...]
    rows: tuple[int, ...]
    rounds: int
    check: bool
    profile: bool
    scale: bool
    other_tree: Path | None
    output: Path | None
    resume: bool
    renews: bool
    """What ``--only`` names is measured anew, where it is measured already."""
    command: str

    def rounds_of(self, rows: int) -> int:
        """Return how many rounds a table of so many rows gets."""
        return self.rounds or (self.extent.rounds if rows < LARGE_ROWS else min(self.extent.rounds, LARGE_ROUNDS))


def parse(argv: Sequence[str]) -> Arguments:
    """Read the command line. Exits with 2 where it is wrong."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Measure sketch-migrate beside its peers.")
    add = parser.add_argument
    extent = parser.add_mutually_exclusive_group()
    extent.add_argument("--quick", action="store_const", const=QUICK, dest="extent", help="a rough look, five minutes")
    extent.add_argument(
        "--full", action="store_const", const=FULL, dest="extent", help="more rounds, latencies and numbers in flight"
    )
    add("--check", action="store_true", help="exit with 1 where a target is missed")
    add("--profile", action="store_true", help="instead: where the tool's CPU time goes, stage by stage")
    add("--scale", action="store_true", help="instead: several processes beside one, in six minutes")
    add("--against-tree", type=Path, metavar="PATH", help="instead: this checkout beside another one, in five pairs")
    add("--only", nargs="+", choices=MEASUREMENTS, metavar="NAME", help=", ".join(MEASUREMENTS))
    add(
        "--against",
        nargs="*",
        choices=PEERS,
        default=PEERS,
        metavar="PEER",
        help=f"{', '.join(PEERS)}, or none of them",
    )
    add("--rows", nargs="+", type=int, default=(), metavar="N", help="sizes of the table, end to end")
    add("--rounds", type=int, default=0, metavar="N", help="rounds of each size")
    where = f"write there (default: {OUTPUT}; with --quick and for a part of it all: nowhere)"
    add("--output", type=Path, metavar="DIR", help=where)
    add(
        "--resume",
        action="store_true",
        help="go on with the figures there: what is missing, or what --only names",
    )
    found = parser.parse_args(argv)
    partial = found.only or found.extent is QUICK or found.rows or tuple(found.against) != PEERS
    return Arguments(
        extent=found.extent or DEFAULT,
        only=(SCALE,) if found.scale else tuple(found.only or MEASUREMENTS),
        against=tuple(found.against),
        rows=tuple(found.rows),
        rounds=found.rounds,
        check=found.check,
        profile=found.profile,
        scale=found.scale,
        other_tree=found.against_tree and found.against_tree.resolve(),
        output=found.output or (None if partial and not found.resume else OUTPUT),
        resume=found.resume,
        renews=bool(found.only),
        command=" ".join(["scripts/bench", *argv]),
    )
