"""When a run may go on, and how fast, by the clock on the wall. Pure: the time is passed in.

The first entry that matches counts; where none does, the run is paused.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date, tzinfo

MIDNIGHT = time(0)
EVERY_DAY = frozenset(range(7))
_DAYS_AHEAD = 8
"""A week, and the day on which it ends: after that everything comes again."""

MOST_SPANS = 3_000
"""So many spans of one rate are reckoned with: with two a day, those of four years."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Some hours of some days (Monday is 0), and how many rows a second may be set in them.

    ``days`` are those on which ``begins`` lies. Hours that end where they begin, or before, end on the next day.
    """

    begins: time = MIDNIGHT
    ends: time = MIDNIGHT
    days: frozenset[int] = EVERY_DAY
    rows_per_second: float = math.inf

    def matches(self, local: datetime) -> bool:
        """Whether a time of the schedule's zone is within it."""
        today, at = local.weekday(), local.time()
        if self.begins < self.ends:
            return today in self.days and self.begins <= at < self.ends
        yesterday = (today - 1) % 7
        return (today in self.days and at >= self.begins) or (yesterday in self.days and at < self.ends)


class Allowed(NamedTuple):
    """What a schedule allows at a moment, and ``until`` when: None where that does not change."""

    rows_per_second: float
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Schedule:
    """Entries in their order, and the time zone in which they are meant. Without entries all is allowed."""

    entries: tuple[Entry, ...]
    zone: tzinfo = UTC

    def at(self, now: datetime) -> Allowed:
        """Return what is allowed at a time, which has a zone of its own."""
        present = self._rows_per_second(now)
        ends = (moment for moment in self._moments(now) if self._rows_per_second(moment) != present)
        return Allowed(present, next(ends, None))

    def end_of(self, now: datetime, rows: int, rows_per_second: float) -> datetime | None:
        """Return when so many rows are set that begin now, at this rate at most; None where that is not in sight."""
        at, left = now, float(rows)
        for _ in range(MOST_SPANS):
            allowed, until = self.at(at)
            rate = min(allowed, rows_per_second)
            if until is None or (rate and left <= rate * (until - at).total_seconds()):
                return at + timedelta(seconds=left / rate) if rate else None
            left -= rate * (until - at).total_seconds()
            at = until
        return None

    def _rows_per_second(self, now: datetime) -> float:
        if not self.entries:
            return math.inf
        local = now.astimezone(self.zone)
        return next((each.rows_per_second for each in self.entries if each.matches(local)), 0.0)

    def _moments(self, now: datetime) -> Iterator[datetime]:
        """Yield the times after ``now``, in their order, at which another entry may match."""
        today = now.astimezone(self.zone).date()
        hours = {MIDNIGHT, *(each.begins for each in self.entries), *(each.ends for each in self.entries)}
        for days in range(-1, _DAYS_AHEAD + 1):
            moments = sorted(self._moment(today + timedelta(days=days), hour) for hour in hours)
            yield from (moment for moment in moments if moment > now)

    def _moment(self, day: date, hour: time) -> datetime:
        """Return a time of the zone as one of UTC: one that a change of the clocks leaves out is what it becomes."""
        return datetime.combine(day, hour, self.zone).astimezone(UTC)
