"""Whether another checkout of the tool is as fast as this one: both on the responder, in turn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.measurements.cost import measure_cost
from benchmarks.processes import ROOT
from benchmarks.servers.responding import responding_store
from benchmarks.spread import Spread

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.measurements.cost import Cost
    from benchmarks.servers.table import Table


@dataclass(frozen=True, slots=True)
class Trees:
    """How many times as fast this checkout is as the other, and how many times as much CPU a row takes, by pairs."""

    rates: Spread
    cpu: Spread


def compare_trees(table: Table, other: Path, rows: int, pairs: int, tell: Callable[[str], None]) -> Trees:
    """Migrate a table with each checkout in turn, so many times. Which one begins changes from pair to pair."""
    rates, cpu = [], []
    with responding_store() as store:
        for number in range(pairs):
            costs: dict[str, Cost] = {}
            trees = {"this": ROOT, "other": other}
            for which in sorted(trees, reverse=bool(number % 2)):
                costs[which] = cost = measure_cost(store, table, rows, ("-yw",), tree=trees[which])
                tell(f"  {which:<5} {rows / cost.seconds:>7,.0f} rows/s {cost.cpu_us_per_row:>5.1f} µs a row")
            rates.append(costs["other"].seconds / costs["this"].seconds)
            cpu.append(costs["this"].cpu_us_per_row / costs["other"].cpu_us_per_row)
    return Trees(Spread.of(rates), Spread.of(cpu))
