"""Who flips waits for its turn, and for no longer than until the run is to stop. On a clock that jumps."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, TypeVar

import pytest

from sketchmigrate.core.clock import Clock
from sketchmigrate.migration.pace import Pace
from sketchmigrate.migration.stop import Stop
from tests.simulation.clock import VirtualLoop

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")


def on_virtual_seconds(work: Callable[[Pace, Stop], Coroutine[None, None, T]]) -> T:
    loop = VirtualLoop()
    asyncio.set_event_loop(loop)

    async def begun() -> T:
        stop = Stop()
        return await work(Pace(stop, Clock(loop.time, loop.time)), stop)

    try:
        return loop.run_until_complete(begun())
    finally:
        asyncio.set_event_loop(None)
        loop.close()


async def flip(pace: Pace, rows: int) -> int:
    """Flip as many as are granted until all are done, or it is to stop; return how many were."""
    done = 0
    while done < rows and (some := await pace.granted(rows - done)):
        done += some
    return done


def test_nobody_waits_at_full_speed() -> None:
    async def work(pace: Pace, _: Stop) -> float:
        assert await pace.granted(1_000_000) == 1_000_000
        assert await pace.may_begin()
        return asyncio.get_running_loop().time()

    assert on_virtual_seconds(work) == 0


@pytest.mark.parametrize("flippers", [1, 4])
def test_a_rate_is_kept_to_by_all_together_in_pieces_of_a_second(flippers: int) -> None:
    async def work(pace: Pace, _: Stop) -> float:
        pace.limit(100)
        assert await pace.granted(500) == 100
        await asyncio.gather(*(flip(pace, 1000 // flippers) for _ in range(flippers)))
        return asyncio.get_running_loop().time()

    assert on_virtual_seconds(work) == pytest.approx(10, abs=0.1 + 1)


def test_a_stopped_run_waits_until_it_may_go_on_and_that_time_is_known() -> None:
    async def work(pace: Pace, _: Stop) -> tuple[float, float]:
        pace.limit(0)
        assert pace.is_stopped
        asyncio.get_running_loop().call_later(3600, pace.limit, math.inf)
        assert tuple(await asyncio.gather(pace.granted(500), pace.may_begin())) == (500, True)
        return asyncio.get_running_loop().time(), pace.stopped_seconds

    assert on_virtual_seconds(work) == (3600, 3600)


def test_a_stop_ends_the_wait_and_nothing_is_granted() -> None:
    async def work(pace: Pace, stop: Stop) -> list[object]:
        pace.limit(0)
        asyncio.get_running_loop().call_later(5, stop.by_signal, 2)
        return list(await asyncio.gather(pace.granted(500), pace.may_begin()))

    assert on_virtual_seconds(work) == [0, False]


def test_where_it_is_slowed_a_stop_is_obeyed_too() -> None:
    async def work(pace: Pace, stop: Stop) -> tuple[int, float]:
        pace.limit(1)
        asyncio.get_running_loop().call_later(5.5, stop.by_signal, 2)
        return await flip(pace, 500), asyncio.get_running_loop().time()

    done, seconds = on_virtual_seconds(work)
    assert done == 6
    assert seconds == 5.5


def test_what_was_to_be_waited_for_is_waited_for_at_the_new_rate() -> None:
    """A rate that was slow a moment ago holds nobody up once it is fast."""

    async def work(pace: Pace, _: Stop) -> float:
        pace.limit(1)
        await pace.granted(1)
        pace.limit(1000)
        await pace.granted(1)
        return asyncio.get_running_loop().time()

    assert on_virtual_seconds(work) < 0.01


def test_a_batch_has_no_more_rows_than_pass_in_a_second() -> None:
    async def work(pace: Pace, _: Stop) -> list[int]:
        rows = []
        for rate in (math.inf, 4000.0, 30.5, 0.1):
            pace.limit(rate)
            rows.append(pace.batch_rows(500))
        pace.limit(0)
        return [*rows, pace.batch_rows(500)]

    assert on_virtual_seconds(work) == [500, 500, 31, 1, 1]
