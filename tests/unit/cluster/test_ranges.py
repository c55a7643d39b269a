"""Ranges: whatever the cuts, each key is in exactly one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sketchmigrate.cluster.ranges import FEWEST_ROWS, grown, merged, ranges_between, sizes, spread
from sketchmigrate.core.reference import Key, KeyRange

if TYPE_CHECKING:
    from collections.abc import Sequence

INTEGERS = st.integers(min_value=-(2**63), max_value=2**63 - 1)
KEYS = (INTEGERS, st.uuids(), st.text())


def holds(key_range: KeyRange, key: Key) -> bool:
    """Whether the database would find the key in the range, of a type that it orders as Python does."""
    after, until = key_range.after, key_range.until
    return (after is None or key > after) and (until is None or key <= until)  # type: ignore[operator]  # of one type


@pytest.mark.parametrize("keys", KEYS, ids=["integer", "uuid", "text"])
def test_each_key_is_in_exactly_one_range(keys: st.SearchStrategy[Key]) -> None:
    @given(st.lists(keys), st.lists(keys), st.integers(min_value=0, max_value=50))
    def check(bounds: Sequence[Key], rows: Sequence[Key], parts: int) -> None:
        in_order = sorted(bounds)
        ranges = ranges_between(spread(in_order, [7] * parts))
        assert len(ranges) <= max(1, parts)
        for key in [*rows, *bounds]:
            assert sum(holds(each, key) for each in ranges) == 1, (key, ranges)

    check()


def test_cuts_are_evenly_deep() -> None:
    assert ranges_between(spread([0, 10, 20, 1_000], [5, 5, 5])) == [
        KeyRange(None, 10),
        KeyRange(10, 20),
        KeyRange(20, None),
    ]
    assert spread([0, 100], [1] * 4) == [25, 50, 75]
    assert spread([0, 100], [50, 40, 10]) == [50, 90]
    assert spread([UUID(int=0), UUID(int=100)], [3, 3]) == [UUID(int=50)]
    assert spread(["a", "c", "m", "z"], [9, 9]) == ["m"]
    assert spread(["a"], [1] * 5) == spread([], [1] * 5) == []


@example([0, 1], 4_000)
@given(st.lists(INTEGERS, min_size=2, unique=True).map(sorted), INTEGERS)
def test_bounds_grow_to_the_last_key_and_stay_few(bounds: list[int], last: int) -> None:
    further = grown(bounds, last)
    assert further == sorted(set(further))
    assert further[: len(bounds)] == bounds
    assert further[-1] == max(bounds[-1], last)
    assert len(further) <= 1_003 * len(bounds)


def test_a_table_that_doubled_since_it_was_analysed_is_cut_where_it_grew() -> None:
    assert grown([0, 10, 20], 41) == [0, 10, 20, 30, 40, 41]


@given(st.integers(0, 10**6), st.integers(1, 10**5), st.integers(0, 64))
def test_sizes_add_up_and_none_is_larger_than_wanted(rows: int, range_rows: int, workers: int) -> None:
    found = sizes(rows, max(range_rows, rows // 1000 + 1), workers)
    assert sum(found) == rows
    assert max(found, default=1) <= max(range_rows, rows // 1000 + 1)
    assert found == sorted(found, reverse=True)


def test_few_rows_are_for_all_workers_and_the_last_ones_in_small_portions() -> None:
    assert sizes(20_000, 50_000, 4)[:5] == [2_500, 2_188, 1_914, 1_675, 1_466]
    assert FEWEST_ROWS * 0.9 <= sizes(20_000, 50_000, 4)[-1] <= FEWEST_ROWS
    assert sizes(10**6, 50_000, 2)[:17] == [50_000] * 17
    assert sizes(120, 30, 2) == [30] * 4
    assert sizes(129, 30, 2) == [26, 26, 26, 26, 25]


def test_neighbours_with_few_rows_are_one_again_in_whatever_order_they_were_done() -> None:
    parts = [KeyRange(None, "b"), KeyRange("b", "a"), KeyRange("a", "z"), KeyRange("z", None)]  # of its own collation
    rows = dict(zip(parts, (60, 40, 30, 80), strict=True))
    shuffled = {part: rows[part] for part in (parts[2], parts[0], parts[3], parts[1])}
    assert merged(shuffled, 100) == [KeyRange(None, "a"), KeyRange("a", "z"), KeyRange("z", None)]
    assert merged(shuffled, 1_000) == [KeyRange()]
    assert merged(shuffled, 10) == parts
    del shuffled[parts[1]]
    assert merged(shuffled, 1_000) == list(shuffled)
    assert merged({}, 10) == []


@given(st.sets(INTEGERS, max_size=20).map(sorted), st.integers(0, 10))
def test_all_that_is_merged_is_still_all_there_is(cuts: list[int], most_rows: int) -> None:
    ranges = ranges_between(cuts)
    found = merged(dict.fromkeys(ranges, 3), most_rows)
    assert ranges_between([each.until for each in found if each.until is not None]) == found
    assert {each.until for each in found} <= {each.until for each in ranges}
