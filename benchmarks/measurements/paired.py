"""What something costs a run: runs that have it and bare ones, in neighbouring pairs."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.contestants.contest import Site
from benchmarks.processes import CommandFailed
from benchmarks.spread import Spread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from benchmarks.measurements.cost import Cost
    from benchmarks.servers.responding import RespondingStore
    from benchmarks.servers.table import Table


@dataclass(frozen=True, slots=True)
class Paired:
    """One run, which has what is measured unless it ``is_bare``. Two with the same ``pair`` are neighbours."""

    pair: int
    is_bare: bool
    rows: int
    seconds: float
    cpu_seconds: float

    @property
    def rows_per_second(self) -> float:
        """Rows for each second of the whole process, Python's start included."""
        return self.rows / self.seconds

    @property
    def cpu_us_per_row(self) -> float:
        """CPU time of the tool's process for each row, in microseconds."""
        return self.cpu_seconds / self.rows * 1e6


def run_pair(
    store: RespondingStore, table: Table, rows: int, pair: int, run: Callable[[Site, bool], Cost]
) -> Iterator[Paired]:
    """Migrate a table twice, one of them bare; which comes first changes from pair to pair. Raises ``CommandFailed``.

    ``run`` migrates a site and is told whether that is the bare one. A row that is left is a failure as well.
    """
    for is_bare in (False, True) if pair % 2 else (True, False):
        table.fill(rows)
        with tempfile.TemporaryDirectory(prefix="sketch-bench-") as home:
            cost = run(Site(store, table, rows, Path(home)), is_bare)
        if left := table.legacy_rows():
            raise CommandFailed(f"the tool left {left} of {rows} rows")
        yield Paired(pair, is_bare, rows, cost.seconds, cost.cpu_seconds)


def times_bare(runs: Sequence[Paired], of: Callable[[Paired], float]) -> Spread | None:
    """Return how many times a figure of the bare run that of its neighbour is, pair by pair; None without a pair."""
    bare = {each.pair: of(each) for each in runs if each.is_bare}
    ratios = [of(each) / bare[each.pair] for each in runs if not each.is_bare and bare.get(each.pair)]
    return Spread.of(ratios) if ratios else None
