"""How many rows a flip has, by the time that flips take."""

from __future__ import annotations

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sketchmigrate.migration.flip_size import FIRST_ROWS, ONE_ROW_SECONDS, SMALL_ROWS, FlipSize

TARGET = 0.02


def settled(
    of_any: float, of_a_row: float, *, flips: int = 300, size: FlipSize | None = None, answered_after: float = 0.0
) -> FlipSize:
    """Flip so often, where a flip locks its rows for so many seconds, and each of them some more, and is answered."""
    size, now = size or FlipSize(TARGET), 0.0
    for _ in range(flips):
        rows = size.next_rows(500, now)
        seconds = of_any + rows * of_a_row
        now += seconds + answered_after
        size.took(rows, seconds, now, seconds + answered_after)
    return size


def test_it_begins_small_after_a_flip_of_one_row() -> None:
    size = FlipSize(TARGET)
    assert [size.next_rows(500, at) for at in (0.0, 0.1, 0.2)] == [1, FIRST_ROWS, FIRST_ROWS]
    assert size.next_rows(500, 0.2 + ONE_ROW_SECONDS) == 1
    assert size.next_rows(FIRST_ROWS, 9.0) == FIRST_ROWS


@pytest.mark.parametrize("of_any", [0.0005, 0.01, 0.05])
@pytest.mark.parametrize("of_a_row", [20e-6, 200e-6, 0.005])
def test_the_time_is_kept_wherever_the_database_is(of_any: float, of_a_row: float) -> None:
    """A flip lasts between a quarter of the target and the target, whatever the way there takes."""
    size = settled(of_any, of_a_row)
    assert TARGET / 4 <= size.rows * of_a_row <= TARGET + of_a_row


def test_it_follows_a_database_that_becomes_slow_and_fast_again() -> None:
    fast = settled(0.001, 20e-6)
    slow = settled(0.001, 0.01, flips=30, size=fast)
    assert slow.rows <= 4
    after_a_minute = settled(0.001, 20e-6, flips=10_000, size=slow)
    assert TARGET / 4 <= after_a_minute.rows * 20e-6 <= TARGET


@pytest.mark.parametrize(("rate", "fewest", "most"), [(500, 64, 64), (2_800, 190, 256), (13_000, 500, 2_000)])
def test_a_flip_has_no_more_rows_than_come_in_a_moment(rate: int, fewest: int, most: int) -> None:
    """A store that is the bound leaves the database time for more flips, and the application feels each one less."""
    size, now, rows = FlipSize(TARGET), 0.0, 1
    for _ in range(round(20 * rate / SMALL_ROWS)):
        rows = size.next_rows(500, now)
        now += rows / rate
        size.took(rows, 0.001 + rows * 10e-6, now)
    assert fewest <= size.next_rows(500, now) <= most


@pytest.mark.parametrize(("locked", "answered_after"), [(0.1, 0.0), (0.001, 0.1)])
def test_a_far_database_is_not_the_bound_for_that(locked: float, answered_after: float) -> None:
    """Ten flips after another in a second, with a store that is never waited for: they grow to whole batches."""
    size = settled(locked, 20e-6, answered_after=answered_after)
    assert max(size.next_rows(500, 32.0) for _ in range(2)) >= 500, "one of the two may be a single row"


def test_small_flips_that_are_fast_say_nothing_of_large_ones() -> None:
    size = FlipSize(TARGET)
    for now in range(5):
        size.took(FIRST_ROWS - 1, 0.001, now)
    assert size.rows == FIRST_ROWS
    size.took(FIRST_ROWS, 0.001, 6)
    assert size.rows == 2 * FIRST_ROWS


def test_a_flip_that_failed_makes_the_next_smaller() -> None:
    size = FlipSize(TARGET)
    for expected in (8, 4, 2, 1, 1):
        size.refused(size.rows)
        assert size.rows == expected


@given(st.lists(st.tuples(st.integers(1, 10_000), st.floats(0, 100)), max_size=60))
def test_it_never_asks_for_less_than_a_row(flips: list[tuple[int, float]]) -> None:
    size = FlipSize(TARGET)
    for now, (rows, seconds) in zip(count(), flips, strict=False):
        size.took(rows, seconds, float(now))
        assert size.rows >= 1
        assert size.next_rows(rows, float(now)) >= 1
