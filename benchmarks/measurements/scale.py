"""What further processes gain where the latency of a connection is the bound, and what they cost where it is not."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.contestants import tool
from benchmarks.contestants.contest import Site
from benchmarks.processes import CommandFailed, succeeded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.processes import Usage
    from benchmarks.servers.responding import RespondingStore
    from benchmarks.servers.table import Table

LATENCY_MS = 50

CONNECTIONS = 16
"""So many requests each process may have in flight behind a latency: their caps are shared, so it is times as many."""


@dataclass(frozen=True, slots=True)
class Way:
    """A number of workers, and the flags that ask for them."""

    name: str
    workers: int
    flags: tuple[str, ...]


ONE = Way("1 process", 1, ("--processes", "1"))
TWO = Way("2 processes", 2, ("--processes", "2"))
FOUR = Way("4 processes", 4, ("--processes", "4"))
TWO_DASK = Way("2 Dask workers", 2, ("--cluster", "local:2"))


@dataclass(frozen=True, slots=True)
class Shared:
    """One run. ``seconds`` are of the whole process, ``working_seconds`` from the first line of its log to its end.

    ``connections`` is how many each worker had at most, 0 for its own choice. ``server_share`` is the part of a core
    that the responder used; the database's CPU time is 0 where it was not measured.
    """

    way: str
    workers: int
    latency_ms: int
    connections: int
    rows: int
    seconds: float
    working_seconds: float
    cpu_seconds: float
    peak_kib: int
    server_share: float
    database_cpu_seconds: float = 0.0

    @property
    def rows_per_second(self) -> float:
        """Rows for each second of the whole process, Python's start included."""
        return self.rows / self.seconds

    @property
    def working_rows_per_second(self) -> float:
        """Rows for each second since the tool began to work: its checks, and the start of its workers, included."""
        return self.rows / self.working_seconds

    @property
    def cpu_us_per_row(self) -> float:
        """CPU time of all processes for each row, in microseconds."""
        return self.cpu_seconds / self.rows * 1e6

    @property
    def all_cpu_us_per_row(self) -> float:
        """The same with that of the responder and of the database."""
        return (self.cpu_seconds + self.server_share * self.seconds + self.database_cpu_seconds) / self.rows * 1e6


def measure_shared(store: RespondingStore, table: Table, way: Way, rows: int, *, latency_ms: int) -> Shared:
    """Migrate a table once, in one way. Raises ``CommandFailed``, also where a row was left."""
    table.fill(rows)
    store.counted()
    with tempfile.TemporaryDirectory(prefix="sketch-bench-") as home:
        site = Site(store, table, rows, Path(home))
        before = table.server_cpu_seconds()
        usage = succeeded(tool.run(site, "-yw", *way.flags, more=caps(way) if latency_ms else {}), way.name)
        database_cpu_seconds = table.server_cpu_seconds() - before
        if left := table.legacy_rows():
            raise CommandFailed(f"{way.name} left {left} of {rows} rows", hint=usage.out[-2000:])
        run = shared(way, site, store, usage, latency_ms=latency_ms)
        return replace(run, database_cpu_seconds=database_cpu_seconds)


def caps(way: Way) -> Mapping[str, str]:
    """Return the settings that give each worker its connections behind a latency."""
    return {"SKETCH_MAX_CONCURRENCY": str(CONNECTIONS * way.workers)}


def shared(way: Way, site: Site, store: RespondingStore, usage: Usage, *, latency_ms: int) -> Shared:
    """Return the figures of a run that is over. The store's counts began with it."""
    return Shared(
        way=way.name,
        workers=way.workers,
        latency_ms=latency_ms,
        connections=CONNECTIONS if latency_ms else 0,
        rows=site.rows,
        seconds=usage.wall_seconds,
        working_seconds=usage.began_at + usage.wall_seconds - tool.began_work_at(site.home),
        cpu_seconds=usage.cpu_seconds,
        peak_kib=usage.peak_kib,
        server_share=store.counted().cpu_seconds / usage.wall_seconds,
    )
