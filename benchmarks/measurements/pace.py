"""The pace that the tool finds by itself: behind a latency, and before a store that refuses what is too much."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.contestants import tool
from benchmarks.contestants.contest import Site
from benchmarks.servers.responding import responding_store

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.servers.responding import Counted
    from benchmarks.servers.table import Table

COMPARED_LATENCY_MS = 50
"""Here the tool's own choice takes turns with fixed numbers in flight."""

SETTLING_SECONDS = 10
"""So long the tool may look for its pace."""

WATCHED_SECONDS = 5
"""So long it is watched then."""

_STARTING_SECONDS = 2
"""Until the first request, and one for the last second, which is not whole."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Requests a second after the first ten seconds: answered and refused. ``concurrency`` 0 is the tool's own choice.

    ``allowed`` is what the store allows a second, 0 without a limit.
    """

    latency_ms: int
    tls: bool
    allowed: float
    concurrency: int
    per_second: float
    refused_per_second: float
    server_share: float

    @property
    def refused_share(self) -> float:
        """The part of all requests that was refused."""
        asked = self.per_second + self.refused_per_second
        return self.refused_per_second / asked if asked else 0.0


def measure_pace(
    table: Table, *, latency_ms: int = 0, tls: bool = False, allowed: float = 0, concurrency: int = 0
) -> Pace:
    """Watch the tool at work on a full table, which has to be large enough, and then kill it."""
    with (
        responding_store(latency_ms=latency_ms, requests_per_second=allowed, tls=tls) as store,
        tempfile.TemporaryDirectory(prefix="sketch-bench-") as home,
    ):
        seconds = SETTLING_SECONDS + WATCHED_SECONDS + _STARTING_SECONDS
        site = Site(store, table, 0, Path(home))
        tool.run(site, "-yw", more=_fixed(concurrency), timeout_seconds=seconds)
        counted = store.counted()
    return Pace(
        latency_ms=latency_ms,
        tls=tls,
        allowed=allowed,
        concurrency=concurrency,
        per_second=_watched(counted.accepted),
        refused_per_second=_watched(counted.refused),
        server_share=_share(counted, seconds),
    )


def _fixed(concurrency: int) -> Mapping[str, str]:
    return {"SKETCH_MAX_CONCURRENCY": str(concurrency)} if concurrency else {}


def _watched(by_second: Mapping[int, int]) -> float:
    """Return the mean of the seconds that count."""
    window = range(SETTLING_SECONDS, SETTLING_SECONDS + WATCHED_SECONDS)
    return sum(by_second.get(second, 0) for second in window) / WATCHED_SECONDS


def _share(counted: Counted, seconds: float) -> float:
    return counted.cpu_seconds / seconds
