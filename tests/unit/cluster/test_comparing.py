"""How a comparison is cut into portions, and what becomes of a portion that nobody brings to its end."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Self, TypeVar, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sketchmigrate.cluster.comparing import FEWEST_PORTIONS, PORTION_BYTES, ComparerOnWorkers
from sketchmigrate.cluster.comparing_worker import ComparingAssignment, PortionDone, PortionTask
from sketchmigrate.core.errors import ClusterError, WorkerLost
from sketchmigrate.core.objects import Location
from sketchmigrate.inspect.comparing import PORTION_PAIRS, Answer, Pair, cut_portions
from sketchmigrate.migration.preflight import Specimens
from sketchmigrate.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from sketchmigrate.cluster.engine import Task
    from sketchmigrate.cluster.orders import Orders
    from sketchmigrate.inspect.comparing import Answers, Portion

Done = TypeVar("Done")

ASSIGNMENT = ComparingAssignment("run", Settings(), (Specimens(Location("l", "1"), Location("p", "1")),))


def pairs_of(sizes: list[int]) -> list[Pair]:
    return [
        Pair(str(number), Location("l", f"{number}"), Location("p", f"{number}"), size, "", "")
        for number, size in enumerate(sizes)
    ]


@given(sizes=st.lists(st.integers(0, 2 * PORTION_BYTES), max_size=300))
def test_each_pair_is_in_one_portion_which_is_small_or_the_pair_alone(sizes: list[int]) -> None:
    pairs = pairs_of(sizes)
    size = ComparerOnWorkers(ScriptedEngine, ASSIGNMENT, lambda *_: None).portion_size(len(pairs), sum(sizes))
    portions = list(cut_portions(pairs, size))
    assert [pair for portion in portions for pair in portion] == pairs
    assert len(portions) >= min(len(pairs), FEWEST_PORTIONS) // 2
    for portion in portions:
        assert 1 <= len(portion) <= PORTION_PAIRS
        assert len(portion) == 1 or sum(pair.size_bytes for pair in portion) <= PORTION_BYTES


class ScriptedEngine:
    """Two workers, who lose the portion of these numbers so often, and answer that all others are the same."""

    def __init__(self, losses: dict[int, int] | None = None) -> None:
        self.where = "here"
        self.workers = frozenset({"w1", "w2"})
        self.members = 2
        self._losses = losses or {}
        self._running = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        assert not self._running

    async def begin(self, *_: object) -> None:
        """Both are there already."""

    async def run(self, task: Task[Done]) -> Done:
        """Lose the portion, or answer."""
        assert isinstance(task, PortionTask)
        self._running += 1
        assert self._running <= len(self.workers)
        await asyncio.sleep(0)
        self._running -= 1
        if self._losses.get(task.number, 0):
            self._losses[task.number] -= 1
            raise WorkerLost("w1", "killed", is_certain=True)
        return cast("Done", PortionDone("w1", (Answer(same=True),) * len(task.portion), 0, 0))

    def publish(self, orders: Orders) -> None:
        """Nobody hears it."""


async def compared(engine: ScriptedEngine, portions: list[Portion]) -> list[Portion]:
    """Return the portions of which answers were taken."""
    taken: list[Portion] = []
    told: list[int] = []

    async def take(portion: Portion, answers: Answers) -> None:
        assert answers == (Answer(same=True),) * len(portion)
        taken.append(portion)

    async def read() -> AsyncGenerator[Portion, None]:
        for portion in portions:
            yield portion

    comparer = ComparerOnWorkers(lambda: engine, ASSIGNMENT, lambda *_: None)
    async with aclosing(read()) as source:
        await comparer.compare(source, take, lambda pairs, _: told.append(pairs))
    assert told[-1] == sum(len(portion) for portion in portions)
    return taken


PORTIONS: list[Portion] = [(pair,) for pair in pairs_of([1] * 10)]


async def test_a_lost_portion_is_compared_again_and_taken_once() -> None:
    assert sorted(await compared(ScriptedEngine({2: 1, 10: 4}), PORTIONS)) == PORTIONS


async def test_a_portion_that_kills_its_workers_ends_the_comparison() -> None:
    with pytest.raises(ClusterError, match=r"the comparison from s3://l/1 on was begun 5 times, and each time its"):
        await compared(ScriptedEngine({2: 5}), PORTIONS)
