"""What a person allows: a pause before a schedule, and of schedule and cap what is less."""

from __future__ import annotations

import math
from datetime import UTC, datetime, time

from sketchmigrate.flow.governor import Decision, Strain
from sketchmigrate.flow.schedule import Entry, Schedule
from sketchmigrate.migration.holds import CAP, PAUSE, SCHEDULE, Hold, present_hold
from sketchmigrate.migration.vitals_news import words

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
ALWAYS = Schedule(())
NIGHTS = Schedule((Entry(time(22), time(6)),))
SLOW_DAYS = Schedule((Entry(time(22), time(6)), Entry(rows_per_second=200)))


def test_nothing_holds_where_nothing_is_set() -> None:
    assert present_hold("", ALWAYS, 0, NOON) == Hold()
    assert words(Decision(), Hold()) == ""


def test_a_pause_comes_before_all_else() -> None:
    hold = present_hold("ann (process 7)", NIGHTS, 500, NOON)
    assert (hold.rows_per_second, hold.setting, hold.text) == (0, PAUSE, "paused by ann (process 7)")


def test_a_schedule_pauses_and_says_until_when() -> None:
    hold = present_hold("", NIGHTS, 500, NOON)
    assert (hold.rows_per_second, hold.setting) == (0, SCHEDULE)
    assert hold.text == "SCHEDULE pauses the run until Mon 22:00 UTC"


def test_of_schedule_and_cap_the_lower_counts() -> None:
    assert present_hold("", SLOW_DAYS, 500, NOON).text == "SCHEDULE, 200 rows/s until Mon 22:00 UTC"
    assert present_hold("", SLOW_DAYS, 100, NOON) == Hold(100, CAP, "MAX_ROWS_PER_SECOND, 100 rows/s")
    assert present_hold("", SLOW_DAYS, 500, NOON.replace(hour=23)).setting == CAP
    assert present_hold("", SLOW_DAYS, 0, NOON.replace(hour=23)) == Hold()


def test_a_pause_is_said_though_nothing_would_bind() -> None:
    paused = present_hold("ann", ALWAYS, 0, NOON)
    assert words(Decision(0.0, is_binding=False), paused) == "paused by ann"
    capped = present_hold("", ALWAYS, 500, NOON)
    assert words(Decision(500, is_binding=False), capped) == ""
    strain = Strain("MAX_LOCK_WAITERS", 0.9, "1.8 sessions wait for rows of ours (limit 2)")
    assert words(Decision(30, strain), capped).startswith("database: 1.8 sessions wait")
    assert words(Decision(math.inf), capped) == ""
