"""A schedule by the clock on the wall: which entry counts, until when, across midnight, weeks and changes of clocks."""

from __future__ import annotations

import math
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sketchmigrate.flow.schedule import EVERY_DAY, Allowed, Entry, Schedule

BERLIN = ZoneInfo("Europe/Berlin")
NIGHTS = Entry(time(22), time(6))
WEEKEND = Entry(days=frozenset({5, 6}))
BY_DAY = Entry(rows_per_second=200)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_without_entries_all_is_allowed_for_ever() -> None:
    assert Schedule(()).at(at("2026-11-30T12:00")) == Allowed(math.inf, None)


@pytest.mark.parametrize(
    ("now", "rows_per_second", "until"),
    [
        ("2026-11-30T21:59", 200, "2026-11-30T22:00"),  # a Monday
        ("2026-11-30T22:00", math.inf, "2026-12-01T06:00"),
        ("2026-12-01T05:59", math.inf, "2026-12-01T06:00"),
        ("2026-12-01T06:00", 200, "2026-12-01T22:00"),
        ("2026-12-04T23:00", math.inf, "2026-12-07T06:00"),  # Friday's night goes over into the weekend, and that on
    ],
)
def test_the_first_entry_that_matches_counts(now: str, rows_per_second: float, until: str) -> None:
    schedule = Schedule((NIGHTS, WEEKEND, BY_DAY))
    assert schedule.at(at(now)) == Allowed(rows_per_second, at(until))


def test_where_none_matches_it_is_a_pause_until_the_next_that_does() -> None:
    schedule = Schedule((Entry(time(22), time(6), frozenset({4})),))  # the night that begins on Friday
    assert schedule.at(at("2026-11-30T00:00")) == Allowed(0, at("2026-12-04T22:00"))
    assert schedule.at(at("2026-12-05T05:59")) == Allowed(math.inf, at("2026-12-05T06:00"))
    assert schedule.at(at("2026-12-05T06:00")) == Allowed(0, at("2026-12-11T22:00"))


def test_hours_that_end_where_they_begin_are_a_day() -> None:
    schedule = Schedule((Entry(time(12), time(12), frozenset({0})),))
    assert schedule.at(at("2026-11-30T12:00")) == Allowed(math.inf, at("2026-12-01T12:00"))
    assert schedule.at(at("2026-11-30T11:59")) == Allowed(0, at("2026-11-30T12:00"))


def test_the_hours_are_those_of_its_zone_also_when_its_clocks_change() -> None:
    schedule = Schedule((NIGHTS,), BERLIN)
    assert schedule.at(at("2026-07-01T20:00")) == Allowed(math.inf, at("2026-07-02T04:00"))
    assert schedule.at(at("2026-10-24T20:00")) == Allowed(math.inf, at("2026-10-25T05:00"))  # an hour longer
    assert schedule.at(at("2026-03-28T21:00")) == Allowed(math.inf, at("2026-03-29T04:00"))  # and shorter
    left_out = Schedule((Entry(time(2, 30), time(4)),), BERLIN)  # on this night there is no 2:30
    assert left_out.at(at("2026-03-29T00:59")).rows_per_second == 0
    assert left_out.at(at("2026-03-29T01:30")).rows_per_second == math.inf


_times = st.times().map(lambda each: each.replace(second=0, microsecond=0))
_entries = st.builds(
    Entry,
    begins=_times,
    ends=_times,
    days=st.one_of(st.just(EVERY_DAY), st.frozensets(st.integers(0, 6), min_size=1)),
    rows_per_second=st.sampled_from([100.0, 200.0, math.inf]),
)


@given(
    st.lists(_entries, max_size=3),
    st.sampled_from([UTC, BERLIN, ZoneInfo("Australia/Lord_Howe")]),
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)),  # noqa: DTZ001 - it gets its zone below
)
def test_what_is_allowed_stays_so_until_it_says_so(entries: list[Entry], zone: ZoneInfo, naive: datetime) -> None:
    """Walked minute by minute, it changes at that time, and at no other before; where it says never, not in a week."""
    schedule, now = Schedule(tuple(entries), zone), naive.replace(tzinfo=UTC, second=0, microsecond=0)
    allowed = schedule.at(now)
    last = now + timedelta(days=8) if allowed.until is None else allowed.until
    assert last > now
    step = timedelta(minutes=max(1, int((last - now).total_seconds() // 60 // 50)))
    moment = now
    while moment < last:
        assert schedule.at(moment).rows_per_second == allowed.rows_per_second
        moment += step
    assert schedule.at(last - timedelta(minutes=1)).rows_per_second == allowed.rows_per_second
    if allowed.until is not None:
        assert schedule.at(allowed.until).rows_per_second != allowed.rows_per_second


@pytest.mark.parametrize(
    ("rows", "rate", "ends"),
    [
        (1_000, 100.0, "2026-11-30T22:00:10"),  # it is noon: first the night has to come
        (8 * 3_600 * 100, 100.0, "2026-12-01T06:00:00"),  # all of one night
        (8 * 3_600 * 100 + 50, 100.0, "2026-12-01T22:00:00.500000"),  # and a little of the next
    ],
)
def test_work_in_the_hours_of_nights_ends_in_one(rows: int, rate: float, ends: str) -> None:
    assert Schedule((NIGHTS,)).end_of(at("2026-11-30T12:00"), rows, rate) == at(ends)


def test_the_end_knows_the_rates_of_the_entries() -> None:
    by_both = Schedule((NIGHTS, BY_DAY))
    rows = 200 * 10 * 3_600 + 1_000 * 60  # the ten hours of the day that are left at 200, then a minute of the night
    assert by_both.end_of(at("2026-11-30T12:00"), rows, 1_000.0) == at("2026-11-30T22:01")
    assert Schedule(()).end_of(at("2026-11-30T12:00"), 600, 10.0) == at("2026-11-30T12:01")


def test_what_never_ends_is_said() -> None:
    never = Schedule((Entry(time(1), time(2), rows_per_second=0.001),))
    assert never.end_of(at("2026-11-30T12:00"), 10**9, 1_000.0) is None
    assert Schedule((Entry(days=frozenset()),)).end_of(at("2026-11-30T12:00"), 1, 1.0) is None
