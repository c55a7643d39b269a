"""What it costs that a run looks at the database, where nothing limits it: with all limits and with none, in turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.measurements.cost import cost_of_run
from benchmarks.measurements.paired import Paired, run_pair

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.contestants.contest import Site
    from benchmarks.measurements.cost import Cost
    from benchmarks.servers.responding import RespondingStore
    from benchmarks.servers.table import Table

FLAGS = ("-yw",)
NO_LIMITS = {
    "SKETCH_MAX_REPLICA_LAG_SECONDS": "0",
    "SKETCH_MAX_REPLICA_LAG_BYTES": "0",
    "SKETCH_MAX_SLOT_WAL_PERCENT": "0",
    "SKETCH_MAX_SLOT_WAL_BYTES": "0",
    "SKETCH_MAX_WAL_BYTES_PER_SECOND": "0",
    "SKETCH_MAX_LOCK_WAITERS": "0",
    "SKETCH_MAX_ROWS_PER_SECOND": "0",
    "SKETCH_PAUSE_FOR_AUTOVACUUM": "never",
}
"""The defaults are the other half of a pair."""


def measure_governor(store: RespondingStore, table: Table, rows: int, pair: int) -> Iterator[Paired]:
    """Migrate a table with the limits of every day, and with none. Raises ``CommandFailed``."""

    def run(site: Site, is_bare: bool) -> Cost:
        return cost_of_run(site, store, *FLAGS, more=NO_LIMITS if is_bare else {})

    return run_pair(store, table, rows, pair, run)
