"""The ceiling as a contestant: the bare generator copies, and sets no row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.contestants.contest import Turn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.contestants.contest import Site


@dataclass(frozen=True, slots=True)
class BareCopies:
    """Prepared copies over kept-alive connections: what the server does at most. See ``benchmarks.generator``."""

    name: str = "bare copies (ceiling)"
    choices: Sequence[int] = (16, 32, 64, 128)
    sets_rows: bool = False

    def migrate(self, site: Site, parallelism: int) -> Turn:
        """Copy every object; the time is that of the requests alone."""
        done = site.store.copy_all(site.rows, parallelism)
        return Turn(self.name, site.store.name, site.rows, done.seconds, done.cpu_seconds, peak_kib=0, lost=0)


FAR_AWAY = BareCopies(choices=(256, 512, 1_024))
