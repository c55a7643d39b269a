"""How long the first row of a large table waits, by the database's own commit timestamps, and how fast others pass."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.contestants import tool
from benchmarks.contestants.contest import Site
from benchmarks.processes import ROOT, succeeded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.processes import Usage
    from benchmarks.servers.responding import RespondingStore
    from benchmarks.servers.table import Table

SOME_ROWS = "2000"
"""So many are migrated: what comes after the first flip does not matter here."""


PARTS = 10
"""Of a resumed run, all of these parts of the rows but one are finished."""


@dataclass(frozen=True, slots=True)
class FirstFlip:
    """Seconds until the first flip was committed: since the process began, and since the tool had started working.

    ``finished`` rows at the beginning of the table were done already.
    """

    rows: int
    since_exec_seconds: float
    since_work_seconds: float
    finished: int = 0


def measure_first_flip(store: RespondingStore, table: Table, rows: int) -> FirstFlip:
    """Begin to migrate a table of so many rows. The table has to be full. Raises ``CommandFailed``."""
    with tempfile.TemporaryDirectory(prefix="sketch-bench-") as name:
        home = Path(name)
        usage = _run(Site(store, table, rows, home))
        flipped_at = table.first_flip_at()
        return FirstFlip(rows, flipped_at - usage.began_at, flipped_at - tool.began_work_at(home))


def measure_resumed(store: RespondingStore, table: Table, rows: int, tree: Path = ROOT) -> FirstFlip:
    """Go on with a table of so many rows, of which nine of ten are done, by a run whose ledger says where it was.

    The first rows are filled as done, and the run that has the last of these on record is a short one.
    """
    done = rows - rows // PARTS
    table.fill(rows, finished=done - int(SOME_ROWS))
    with tempfile.TemporaryDirectory(prefix="sketch-bench-") as name:
        home = Path(name)
        _run(Site(store, table, rows, home), tree)
        usage = _run(Site(store, table, rows, home), tree)
        flipped_at = table.first_flip_at(behind=done)
        return FirstFlip(rows, flipped_at - usage.began_at, flipped_at - tool.began_work_at(home), done)


@dataclass(frozen=True, slots=True)
class Passed:
    """Seconds of a run over a table whose rows are all finished, beyond those of a run over an empty one."""

    rows: int
    seconds: float

    @property
    def per_second(self) -> float:
        """Rows that were passed each second."""
        return self.rows / self.seconds


def measure_passed(store: RespondingStore, table: Table, rows: int, pairs: int) -> Iterator[Passed]:
    """Yield, pair by pair, what it takes to pass so many finished rows. Raises ``CommandFailed``."""
    table.fill(0)
    alone = [_seconds_over(Site(store, table, 0, Path())) for _ in range(pairs)]
    table.fill(rows, finished=rows)
    for seconds in alone:
        yield Passed(rows, _seconds_over(Site(store, table, rows, Path())) - seconds)


def _seconds_over(site: Site) -> float:
    with tempfile.TemporaryDirectory(prefix="sketch-bench-") as name:
        return succeeded(tool.run(replace(site, home=Path(name)), "-yw"), "the tool").wall_seconds


def _run(site: Site, tree: Path = ROOT) -> Usage:
    usage = tool.run(site, "-yw", "-l", SOME_ROWS, "-p", "1", tree=tree)
    if usage.exit_code != 1:  # rows are left, as was asked for
        succeeded(usage, "the tool")
    return usage
