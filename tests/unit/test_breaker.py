"""When so many flips failed that a run ends."""

from __future__ import annotations

import pytest

from sketchmigrate.core.errors import DatabaseBusy, ReferenceRefused
from sketchmigrate.core.outcome import ANOTHER_PATH
from sketchmigrate.migration.breaker import NEVER, Breaker, FlipCounts, cause_of

CHECK = "23514"


def test_it_trips_when_the_first_thousand_all_fail_for_one_cause() -> None:
    breaker = Breaker(99)
    assert [breaker.note(0, {CHECK: 1}) for _ in range(999)] == [None] * 999
    error = breaker.note(0, {CHECK: 1})
    assert error is not None
    assert error.exit_code == 1
    assert error.message == "all of the first 1,000 flips failed (SQLSTATE 23514: 1,000 rows)"
    assert "MAX_FAILED_PERCENT (99)" in error.hint


def test_a_large_batch_may_pass_the_thousand() -> None:
    breaker = Breaker(99)
    assert breaker.note(0, {ANOTHER_PATH: 990}) is None
    error = breaker.note(0, {ANOTHER_PATH: 500})
    assert error is not None
    assert error.message == "all of the first 1,490 flips failed (another path stored: 1,490 rows)"


@pytest.mark.parametrize("other", [(1, {}), (0, {"23503": 1})])
def test_one_that_passes_or_fails_otherwise_spares_the_first(other: tuple[int, dict[str, int]]) -> None:
    breaker = Breaker(99.95)
    assert breaker.note(*other) is None
    if other[0]:
        assert all(breaker.note(0, {CHECK: 1}) is None for _ in range(1_000))
    else:
        error = [breaker.note(0, {CHECK: 1}) for _ in range(999)][-1]
        assert error is not None
        told = "SQLSTATE 23514: 999 rows, SQLSTATE 23503: 1 row"
        assert error.message == f"1,000 of the last 1,000 flips failed ({told})"


def test_a_small_table_never_trips() -> None:
    breaker = Breaker(0)
    assert breaker.note(0, {CHECK: 999}) is None


def test_the_share_is_that_of_the_last_ten_thousand() -> None:
    breaker = Breaker(20)
    for _ in range(1_000):  # 100 000 flips without a failure do not make good for what comes
        assert breaker.note(100) is None
    failed = 0
    while (error := breaker.note(50, {CHECK: 50})) is None:
        failed += 50
    assert failed == 2_000
    assert error.message == "2,050 of the last 10,000 flips failed (SQLSTATE 23514: 2,050 rows)"


def test_old_failures_are_forgotten() -> None:
    breaker = Breaker(20)
    for _ in range(1_000):
        assert breaker.note(81, {CHECK: 19}) is None
    for _ in range(100):
        assert breaker.note(100) is None
    assert breaker.note(0, {CHECK: 2_000}) is None
    assert breaker.note(0, {CHECK: 1}) is not None


def test_fewer_than_ten_thousand_are_judged_from_a_thousand_on() -> None:
    breaker = Breaker(20)
    assert breaker.note(699, {CHECK: 300}) is None
    assert breaker.note(1) is not None


def test_a_hundred_percent_is_never() -> None:
    breaker = Breaker(NEVER)
    assert breaker.note(0, {CHECK: 50_000}) is None
    assert breaker.counts == FlipCounts(0, {CHECK: 50_000})


def test_locked_rows_do_not_count() -> None:
    assert cause_of(DatabaseBusy("locked", sqlstate="55P03")) is None
    assert cause_of(DatabaseBusy("a deadlock", sqlstate="40P01")) is None
    assert cause_of(DatabaseBusy("a slow trigger", sqlstate="57014")) == "57014"
    assert cause_of(ReferenceRefused("no", sqlstate=CHECK)) == CHECK


def test_counts_tell_what_is_new() -> None:
    earlier = FlipCounts(5, {CHECK: 2})
    now = FlipCounts(7, {CHECK: 2, ANOTHER_PATH: 1})
    assert now.since(earlier) == FlipCounts(2, {ANOTHER_PATH: 1})
    assert earlier.since(now) == FlipCounts(0, {})  # word of an attempt that was lost, heard late
