"""The pace that the tool finds where a store changes, and where it limits prefixes each for itself."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import objects
from benchmarks.contestants import tool
from benchmarks.contestants.contest import Site
from benchmarks.measurements.pace import SETTLING_SECONDS
from benchmarks.servers.responding import responding_store
from benchmarks.servers.table import Writing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.servers.responding import Counted, RespondingStore
    from benchmarks.servers.table import Table

NEAR_MS, FAR_MS = 10, 200
TURN_SECONDS = 20
TURNS = 3

WATCHED_SECONDS = 20
_STARTING_SECONDS = 3


@dataclass(frozen=True, slots=True)
class Changing:
    """Requests a second in each turn of the store, from its change on. ``concurrency`` 0 is the own choice."""

    concurrency: int
    per_second: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Split:
    """How the rows are below prefixes, as SQL that makes a letter of the number ``n``, and the limits of these.

    ``bound`` is the most requests a second that the limits allow with rows in this order.
    """

    name: str
    letter: str
    limits: tuple[tuple[str, int], ...]
    bound: int


SPLITS = (
    Split(
        "four limited",
        "substr('abbccccd', 1 + (hashint8(n) & 7), 1)",
        (("a", 500), ("b", 1000), ("c", 2000), ("d", 500)),
        4000,
    ),
    Split("one row of twenty limited", "CASE WHEN mod(hashint8(n), 20) = 0 THEN 'a' ELSE 'b' END", (("a", 200),), 4000),
)


@dataclass(frozen=True, slots=True)
class PrefixPace:
    """Requests a second after the first ten: answered and refused."""

    split: str
    bound: int
    per_second: float
    refused_per_second: float

    @property
    def refused_share(self) -> float:
        """The part of all requests that was refused."""
        asked = self.per_second + self.refused_per_second
        return self.refused_per_second / asked if asked else 0.0


def measure_changing(table: Table, concurrency: int = 0) -> Changing:
    """Watch the tool at work while the store's latency changes, and then kill it. The table has to be large enough."""
    more = {"SKETCH_MAX_CONCURRENCY": str(concurrency)} if concurrency else {}
    with responding_store(latency_ms=NEAR_MS, later_latency_ms=FAR_MS, turn_seconds=TURN_SECONDS) as store:
        counted = _watched(store, table, TURNS * TURN_SECONDS, more)
    turns = (range(turn * TURN_SECONDS, (turn + 1) * TURN_SECONDS) for turn in range(TURNS))
    return Changing(concurrency, tuple(_mean(counted.accepted, seconds) for seconds in turns))


def measure_prefixes(table: Table, split: Split, rows: int) -> PrefixPace:
    """Fill the table, watch the tool at work on a store that limits prefixes, and then kill it."""
    below = len(objects.LEGACY_PREFIX)
    table.fill(rows, Writing("text", f"substr(k, 1, {below}) || {split.letter} || '/' || substr(k, {below + 1})"))
    limits = tuple((f"/{letter}/".encode(), float(per_second)) for letter, per_second in split.limits)
    with responding_store(latency_ms=NEAR_MS, prefix_limits=limits) as store:
        counted = _watched(store, table, SETTLING_SECONDS + WATCHED_SECONDS, {})
    seconds = range(SETTLING_SECONDS, SETTLING_SECONDS + WATCHED_SECONDS)
    return PrefixPace(split.name, split.bound, _mean(counted.accepted, seconds), _mean(counted.refused, seconds))


def _watched(store: RespondingStore, table: Table, seconds: int, more: Mapping[str, str]) -> Counted:
    with tempfile.TemporaryDirectory(prefix="sketch-bench-") as home:
        site = Site(store, table, 0, Path(home))
        tool.run(site, "-yw", more=more, timeout_seconds=seconds + _STARTING_SECONDS)
        return store.counted()


def _mean(by_second: Mapping[int, int], seconds: Sequence[int]) -> float:
    return sum(by_second.get(second, 0) for second in seconds) / len(seconds)
