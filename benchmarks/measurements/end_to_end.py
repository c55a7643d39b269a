"""Objects and rows, from the start of the first process to the last row: this tool and its peers, turn by turn."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.contestants.contest import Site

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from benchmarks.contestants.contest import Contestant, Turn
    from benchmarks.servers.stores import BenchStore
    from benchmarks.servers.table import Table


@dataclass(frozen=True, slots=True)
class Tuned:
    """A contestant with the parallelism that it is best at here."""

    contestant: Contestant
    parallelism: int


def take_turn(tuned: Tuned, store: BenchStore, table: Table, rows: int) -> Turn:
    """Give a contestant an empty production bucket and a legacy table; have it migrate; see what it lost."""
    table.fill(rows)
    with tempfile.TemporaryDirectory(prefix="sketch-bench-") as home, store.fresh_production(rows) as fresh:
        turn = tuned.contestant.migrate(Site(fresh, table, rows, Path(home)), tuned.parallelism)
        lost = max(fresh.lost(rows), table.legacy_rows() if tuned.contestant.sets_rows else 0)
        return replace(turn, lost=lost, parallelism=tuned.parallelism)


def calibrate(contestants: Sequence[Contestant], store: BenchStore, table: Table, rows: int) -> list[Tuned]:
    """Find what each contestant is best at, on a store with so few rows that trying costs little."""
    tuned = []
    for contestant in contestants:
        choices = [Tuned(contestant, choice) for choice in contestant.choices]
        if len(choices) > 1:
            rates = {each: take_turn(each, store, table, rows).rows_per_second for each in choices}
            choices.sort(key=rates.__getitem__, reverse=True)
        tuned.append(choices[0])
    return tuned


def contest(
    rounds: Sequence[Sequence[Tuned]], store: BenchStore, table: Table, *, rows: int, tell: Callable[[Turn], None]
) -> Iterator[Turn]:
    """Yield the turns of every round: A B C, A B C, …, so that what changes on the machine meets all of them."""
    for field in rounds:
        for tuned in field:
            turn = take_turn(tuned, store, table, rows)
            tell(turn)
            yield turn
