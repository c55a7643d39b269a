"""What every contestant is given, and what it is found to have done."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from benchmarks.processes import measured
from benchmarks.servers.table import SINGLE_UPDATE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from benchmarks.processes import Usage
    from benchmarks.servers.stores import BenchStore
    from benchmarks.servers.table import Table


_LEAST_PER_SECOND, _LEAST_SECONDS = 2_000, 60
"""A turn of s5cmd or the script that is slower, and has taken so long, is ended.

With 200 000 objects of one prefix, ``s5cmd cp`` with an asterisk does not end on rclone's server within six minutes.
"""


@dataclass(frozen=True, slots=True)
class Site:
    """A full legacy bucket, an empty production bucket, a table whose ``rows`` are all legacy, a folder to work in."""

    store: BenchStore
    table: Table
    rows: int
    home: Path

    def aws_environ(self) -> dict[str, str]:
        """Return the variables by which every client of S3 finds its key."""
        server = self.store.server
        return {
            "AWS_ACCESS_KEY_ID": server.access_key,
            "AWS_SECRET_ACCESS_KEY": server.secret_key,
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }


@dataclass(frozen=True, slots=True)
class Turn:
    """What one turn of a contestant took, from the start of its first process to the last row, and what it lost."""

    contestant: str
    store: str
    rows: int
    seconds: float
    cpu_seconds: float
    peak_kib: int
    lost: int
    said: str = ""
    parallelism: int = 0
    was_ended: bool = False
    """Before it had brought all rows: its rate is that of the time until then."""

    @property
    def rows_per_second(self) -> float:
        """Rows that were brought, for each second of it all."""
        return self._brought / self.seconds

    @property
    def cpu_us_per_row(self) -> float:
        """CPU time of the client's processes for each row that was brought, in microseconds."""
        return self.cpu_seconds / self._brought * 1e6 if self._brought else 0.0

    @property
    def _brought(self) -> int:
        return self.rows - self.lost


class Contestant(Protocol):
    """Someone who migrates. ``name`` is how the tables call it, ``settings`` what it can be tuned by, best first."""

    @property
    def name(self) -> str:
        """How the tables call it."""

    def migrate(self, site: Site, parallelism: int) -> Turn:
        """Migrate the whole site, and tell what that took. What it lost is found out by others."""

    @property
    def sets_rows(self) -> bool:
        """Whether it sets the rows as well: only the ceiling does not."""

    @property
    def choices(self) -> Sequence[int]:
        """The parallelism to choose from, in a calibration; a single one needs none."""


def copied_then_updated(
    name: str,
    site: Site,
    command: Sequence[object],
    environ: Mapping[str, str],
    prepare_seconds: float = 0,
    *,
    timeout_seconds: int = 1800,
) -> Turn:
    """Run a command that copies the objects; then set all rows in one UPDATE, whose time is added.

    The command is killed when its time is over.
    """
    usage = measured(command, environ=environ, cwd=site.home, timeout_seconds=timeout_seconds)
    began = time.perf_counter()
    site.table.database.execute(SINGLE_UPDATE)
    return turn(name, site, usage, more_seconds=prepare_seconds + time.perf_counter() - began)


def turn(name: str, site: Site, usage: Usage, *, more_seconds: float = 0) -> Turn:
    """Return a turn from what a contestant's command used."""
    return Turn(
        contestant=name,
        store=site.store.name,
        rows=site.rows,
        seconds=usage.wall_seconds + more_seconds,
        cpu_seconds=usage.cpu_seconds,
        peak_kib=usage.peak_kib,
        lost=0,
        said="" if usage.exit_code == 0 else (usage.err or usage.out)[-600:],
        was_ended=usage.timed_out,
    )


def most_seconds(rows: int) -> int:
    """Return after how many seconds a turn of a peer that may be slow is ended."""
    return max(_LEAST_SECONDS, rows // _LEAST_PER_SECOND)
