"""In which rounds locked rows are tried again, and how long is waited between them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from sketchmigrate.core.clock import SYSTEM
from sketchmigrate.core.outcome import Tally
from sketchmigrate.core.reference import Reference
from sketchmigrate.migration import locked
from sketchmigrate.migration.locked import ALONE_ROWS, FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, take_up_locked
from sketchmigrate.migration.tuning import Tuning
from sketchmigrate.postgres.row_key import RowKey
from sketchmigrate.settings import Options, Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pytest


class Ledger:
    """Has these keys as locked."""

    def __init__(self, keys: Sequence[int]) -> None:
        self.keys = list(keys)

    async def locked(self, after: int | None, count: int) -> list[Reference]:
        """Return some, by key."""
        return [Reference(key, "") for key in self.keys if after is None or key > after][:count]


async def rounds(
    monkeypatch: pytest.MonkeyPatch, ledger: Ledger, let_go: Callable[[int], int], *, most: int
) -> tuple[list[float], list[list[int]]]:
    """Play rounds until all rows are done; return the pauses, and which rows each round tried alone.

    ``let_go`` says how many of the rows of a round, from 1, are free when they are tried.
    """
    pauses: list[float] = []
    tried: list[list[int]] = [[]]
    stop = SimpleNamespace(requested=False)

    async def take_through(_: Any, parts: Any, *, again: bool, waits: bool = False) -> Tally:
        assert again
        if not waits:
            return Tally()
        keys = [reference.key async for part in parts(None) for reference in part]
        tried[-1] += keys
        done = keys[: let_go(len(tried))]
        ledger.keys = [key for key in ledger.keys if key not in done]
        return Tally(migrated=len(done))

    async def pause(_: Any, seconds: float) -> None:
        pauses.append(seconds)
        tried.append([])
        stop.requested = len(pauses) == most

    monkeypatch.setattr(locked, "take_through", take_through)
    monkeypatch.setattr(locked, "_pause", pause)
    migration: Any = SimpleNamespace(
        database=SimpleNamespace(settings=SimpleNamespace(db_retry_seconds=600), clock=SYSTEM),
        stop=stop,
        pace=SimpleNamespace(stopped_seconds=0.0),
        ledger=ledger,
        table=SimpleNamespace(key=RowKey.of("id", "bigint")),
        tuning=Tuning(Settings(), Options(parallelization_level=1)),
    )
    await take_up_locked(migration)
    return pauses, tried


async def test_the_pauses_grow_while_nothing_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses, tried = await rounds(monkeypatch, Ledger([1, 2]), lambda _: 0, most=8)
    assert pauses == [FIRST_PAUSE_SECONDS * 2**n for n in range(5)] + [LONGEST_PAUSE_SECONDS] * 3
    assert all(keys == [1, 2] for keys in tried[:8]), "every round tries them, and none but once"


async def test_they_begin_anew_where_rows_are_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses, _ = await rounds(monkeypatch, Ledger(range(4)), lambda number: int(number % 3 == 0), most=20)
    assert pauses == [1.0, 2.0, 1.0, 2.0, 4.0, 1.0, 2.0, 4.0, 1.0, 2.0, 4.0]


async def test_a_round_goes_on_where_the_last_one_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    _, tried = await rounds(monkeypatch, Ledger(range(ALONE_ROWS + 1)), lambda _: 0, most=4)
    first, last = list(range(ALONE_ROWS)), [ALONE_ROWS]
    assert tried[:4] == [first, last, first, last]
