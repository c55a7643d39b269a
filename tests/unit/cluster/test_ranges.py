"""Ranges: whatever the cuts, each key is in exactly one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sketch_migrate.cluster.ranges import grown, ranges_between, spread
from sketch_migrate.model import Key, KeyRange

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
        ranges = ranges_between(spread(in_order, parts))
        assert len(ranges) <= max(1, parts)
        for key in [*rows, *bounds]:
            assert sum(holds(each, key) for each in ranges) == 1, (key, ranges)

    check()


def test_cuts_are_evenly_deep() -> None:
    assert ranges_between(spread([0, 10, 20, 1_000], 3)) == [KeyRange(None, 10), KeyRange(10, 20), KeyRange(20, None)]
    assert spread([0, 100], 4) == [25, 50, 75]
    assert spread([UUID(int=0), UUID(int=100)], 2) == [UUID(int=50)]
    assert spread(["a", "c", "m", "z"], 2) == ["m"]
    assert spread(["a"], 5) == spread([], 5) == []


@given(st.lists(INTEGERS, min_size=2, unique=True).map(sorted), INTEGERS)
def test_bounds_grow_to_the_last_key_and_stay_few(bounds: list[int], last: int) -> None:
    further = grown(bounds, last)
    assert further == sorted(set(further))
    assert further[: len(bounds)] == bounds
    assert further[-1] == max(bounds[-1], last)
    assert len(further) <= 1_003 * len(bounds)


def test_a_table_that_doubled_since_it_was_analysed_is_cut_where_it_grew() -> None:
    assert grown([0, 10, 20], 41) == [0, 10, 20, 30, 40, 41]
