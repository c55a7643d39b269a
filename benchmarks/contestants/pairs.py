"""The ceiling of what is streamed as a contestant: bare pairs of a GET and a PUT, and no row is set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.contestants.contest import Turn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.contestants.contest import Site


@dataclass(frozen=True, slots=True)
class BarePairs:
    """Reads and writes by the tool's own client. See ``benchmarks.pairs``."""

    name: str = "bare GETs and PUTs (ceiling)"
    choices: Sequence[int] = (16, 32, 64, 128)
    sets_rows: bool = False

    def migrate(self, site: Site, parallelism: int) -> Turn:
        """Bring every object."""
        done = site.store.bring_all(site.rows, parallelism)
        return Turn(self.name, site.store.name, site.rows, done.seconds, done.cpu_seconds, peak_kib=0, lost=0)
