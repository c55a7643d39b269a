"""The order of a pass: wherever it begins, each key of each source is in exactly one stretch of it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sketchmigrate.core.reference import KeyRange
from sketchmigrate.migration.resuming import Position, Stretch, stretches_from

KEYS = range(-1, 6)


def holds(key_range: KeyRange, key: int) -> bool:
    after, until = key_range.after, key_range.until
    assert not isinstance(after, str)
    assert not isinstance(until, str)
    return (after is None or key > after) and (until is None or key <= until)  # type: ignore[operator]


@given(st.integers(1, 4), st.integers(0, 3), st.sampled_from(KEYS))
def test_each_key_is_in_one_stretch_and_those_behind_the_position_come_first(sources: int, at: int, key: int) -> None:
    at %= sources
    stretches = stretches_from(Position(at, key), sources)
    rows = [(source, each) for source, key_range in stretches for each in KEYS if holds(key_range, each)]
    in_order = [(source, each) for source in range(sources) for each in KEYS]
    first = in_order.index((at, key)) + 1
    assert rows == in_order[first:] + in_order[:first]


def test_without_a_position_all_sources_are_whole_and_in_order() -> None:
    assert stretches_from(None, 2) == [Stretch(0, KeyRange()), Stretch(1, KeyRange())]
