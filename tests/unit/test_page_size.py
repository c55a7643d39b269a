"""How many rows a page has, from how long the pages before it took."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sketchmigrate.postgres.paging import FEWEST_ROWS, LONGEST, MOST_ROWS, MOST_ROWS_PASSED, TARGET_SECONDS, PageSize


def test_it_is_at_its_largest_after_four_fast_pages() -> None:
    size, seen = PageSize(), list[int]()
    for _ in range(5):
        seen.append(size.rows)
        size.took(size.rows, size.rows * 1e-6)
    assert seen == [100, 400, 1_600, 6_400, 10_000]


@pytest.mark.parametrize(
    ("rows", "taken", "seconds", "then"),
    [
        (1_000, 1_000, 0.5, 500),  # twice as long as it is to take
        (1_000, 1_000, 0.2, 1_250),
        (1_000, 1_000, 0.01, 4_000),  # no more than four times as many at once
        (1_000, 1_000, 60.0, 100),
        (1_000, 200, 0.1, 500),  # the last page of a range says what its own rows took
        (1_000, 0, 0.1, 1_000),  # an empty one says nothing
        (1_000, 1_000, 0.0, 4_000),
        (100, 100, 10.0, 100),
        (10_000, 10_000, 0.01, 10_000),
    ],
)
def test_it_follows_what_a_page_took(rows: int, taken: int, seconds: float, then: int) -> None:
    size = PageSize(rows)
    size.took(taken, seconds)
    assert size.rows == then


def test_a_page_that_was_broken_off_is_asked_again_smaller() -> None:
    size, seen = PageSize(10_000), list[int]()
    while not size.is_least:
        size.was_broken_off()
        seen.append(size.rows)
    assert seen == [2_500, 625, 156, 100]


SECONDS = st.floats(0, 1e4)


@given(st.lists(st.one_of(st.none(), st.tuples(st.integers(0, MOST_ROWS), SECONDS))))
def test_it_stays_within_its_bounds(pages: list[tuple[int, float] | None]) -> None:
    size = PageSize()
    for page in pages:
        before = size.rows
        if page is None:
            size.was_broken_off()
        else:
            size.took(*page)
        assert FEWEST_ROWS <= size.rows <= MOST_ROWS
        assert size.rows <= 4 * before


def seconds_of(size: PageSize, rows_per_second: float) -> float:
    """Read one page at this rate, as long as it may take, and return how long it took."""
    seconds = size.rows / rows_per_second
    if not size.is_least and seconds > LONGEST * TARGET_SECONDS:
        size.was_broken_off()
        return LONGEST * TARGET_SECONDS
    size.took(size.rows, seconds)
    return seconds


@given(st.lists(st.floats(1, 1e7), min_size=1, max_size=5))
def test_it_settles_at_any_rate_and_at_the_next_one(rates: list[float]) -> None:
    size = PageSize()
    for rate in rates:
        for _ in range(6):
            seconds_of(size, rate)
        settled = min(max(rate * TARGET_SECONDS, FEWEST_ROWS), MOST_ROWS)
        assert size.rows == pytest.approx(settled, abs=1)
        if FEWEST_ROWS < settled < MOST_ROWS:
            assert seconds_of(size, rate) == pytest.approx(TARGET_SECONDS, rel=0.01)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_behind_a_page_with_few_legacy_rows_it_is_larger_and_has_no_more_of_them(shares: list[float]) -> None:
    size = PageSize()
    for share in shares:
        for _ in range(6):
            rows = size.rows
            references = int(share * rows)
            size.took(rows, rows * 1e-6)
            size.found(references, rows)
        assert size.rows == (MOST_ROWS_PASSED if 4 * references <= rows else MOST_ROWS)
        assert references <= MOST_ROWS


@given(st.floats(1, 1e7), st.integers(FEWEST_ROWS, MOST_ROWS))
def test_no_page_but_the_smallest_takes_longer_than_a_second(rate: float, rows: int) -> None:
    size = PageSize(rows)
    for _ in range(10):
        least = size.is_least
        assert seconds_of(size, rate) <= 1.0 or least
