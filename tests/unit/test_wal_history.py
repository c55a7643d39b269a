"""How long a standby is behind, by looks at the WAL alone."""

from __future__ import annotations

import pickle

import pytest

from sketchmigrate.flow.sliding_rate import SlidingRate
from sketchmigrate.postgres.wal_history import KEPT_LOOKS, WalHistory


def history(*looks: tuple[float, int]) -> WalHistory:
    made = WalHistory()
    for now, lsn in looks:
        made.seen(now, lsn)
    return made


def test_a_standby_that_has_all_is_not_behind_however_long_nothing_was_written() -> None:
    wal = history((0, 100), (1, 100), (1000, 100))
    assert (wal.seconds_behind(100), wal.bytes_behind(100)) == (0.0, 0)
    assert wal.seconds_behind(150) == 0.0  # it was asked after the primary was


def test_time_counts_from_when_the_first_missing_byte_was_written() -> None:
    wal = history((0, 100), (10, 100), (11, 200), (12, 400), (20, 500))
    assert wal.seconds_behind(200) == 9.0
    assert wal.seconds_behind(300) == 8.5  # half of what was written between two looks
    assert wal.seconds_behind(100) == 10.0  # and not 20: nothing was written for the first ten
    assert wal.bytes_behind(300) == 200


def test_what_is_older_than_the_first_look_is_behind_at_least_since_then() -> None:
    assert history((5, 100), (9, 200)).seconds_behind(3) == 4.0


def test_another_server_after_a_failover_begins_anew() -> None:
    wal = history((0, 1000), (1, 2000), (2, 1500))
    assert wal.bytes_behind(1500) == 0
    assert wal.seconds_behind(1400) == 0.0


def test_memory_does_not_grow_with_the_length_of_the_run() -> None:
    wal = WalHistory()
    for second in range(5 * KEPT_LOOKS):
        wal.seen(second, 10 * second)
    assert len(pickle.dumps(wal)) < len(pickle.dumps(list(range(5 * KEPT_LOOKS)))) * 2
    assert wal.seconds_behind(10 * (5 * KEPT_LOOKS - 11)) == 10.0
    assert wal.seconds_behind(0) >= KEPT_LOOKS - 1


def test_the_rate_is_that_of_the_last_seconds() -> None:
    assert history().bytes_per_second() == history((0, 5)).bytes_per_second() == 0.0
    wal = history((0, 0), (10, 100_000), (12, 100_000), (14, 100_400), (16, 101_200))
    assert wal.bytes_per_second() == pytest.approx(200)


def test_what_grows_no_more_has_no_rate_after_some_seconds_nor_has_another_that_takes_its_place() -> None:
    rate = SlidingRate()
    assert rate.per_second == 0.0
    rates = []
    for second, amount in enumerate([0, 1000, *[1000] * 6, 500, 600]):
        rate.seen(second, amount)
        rates.append(rate.per_second)
    assert rates == pytest.approx([0, 1000, 500, 1000 / 3, 250, 200, 0, 0, 0, 100])
