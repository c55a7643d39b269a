"""How long the first row of a large table waits, by the database's own commit timestamps."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.contestants import tool
from benchmarks.contestants.contest import Site
from benchmarks.processes import succeeded

if TYPE_CHECKING:
    from benchmarks.servers.responding import RespondingStore
    from benchmarks.servers.table import Table

SOME_ROWS = "2000"
"""So many are migrated: what comes after the first flip does not matter here."""


@dataclass(frozen=True, slots=True)
class FirstFlip:
    """Seconds until the first flip was committed: since the process began, and since the tool had started working."""

    rows: int
    since_exec_seconds: float
    since_work_seconds: float


def measure_first_flip(store: RespondingStore, table: Table, rows: int) -> FirstFlip:
    """Begin to migrate a table of so many rows. The table has to be full. Raises ``CommandFailed``."""
    with tempfile.TemporaryDirectory(prefix="sketch-bench-") as name:
        home = Path(name)
        usage = tool.run(Site(store, table, rows, home), "-yw", "-l", SOME_ROWS)
        if usage.exit_code != 1:  # rows are left, as was asked for
            succeeded(usage, "the tool")
        flipped_at = table.first_flip_at()
        return FirstFlip(rows, flipped_at - usage.began_at, flipped_at - tool.began_work_at(home))
