"""How near the application is to writing no legacy reference any more. Pure: the clock (monotonic) is passed in."""

from __future__ import annotations

from collections import deque

from sketchmigrate.core.plural import counted
from sketchmigrate.report.progress import duration

MINUTE_SECONDS = 60.0
HOUR_SECONDS = 3600.0


class CutoverGauge:
    """Counts the legacy rows that come after the first pass, and for how long full passes have found none."""

    def __init__(self, now: float) -> None:
        self.new_rows = 0
        self._began_at = self._quiet_since = now
        self._found: deque[tuple[float, int]] = deque()
        self._last_at: float | None = None

    def found(self, now: float, rows: int) -> None:
        """Take note of new legacy rows that a look has found."""
        if rows:
            self.new_rows += rows
            self._found.append((now, rows))
            self._last_at = self._quiet_since = now

    def within(self, now: float, seconds: float) -> int:
        """Return how many were found within the last so many seconds, of at most an hour."""
        while self._found and now - self._found[0][0] > HOUR_SECONDS:
            self._found.popleft()
        return sum(rows for at, rows in self._found if now - at <= seconds)

    def quiet_seconds(self, now: float) -> float:
        """Return for how long nothing was found."""
        return now - self._quiet_since

    def words(self, now: float, rows_left: int, pass_in_seconds: float) -> str:
        """Say how it stands: ``rows_left`` are those that the run could not migrate."""
        last = "none yet" if self._last_at is None else f"the last {duration(now - self._last_at)} ago"
        return (
            f"following: {counted(rows_left, 'row')} left; new legacy rows: {self.within(now, MINUTE_SECONDS):,}"
            f" in the last minute, {self.within(now, HOUR_SECONDS):,} in the last hour, {last}; next full pass in"
            f" {duration(max(0.0, pass_in_seconds))}"
        )

    def as_json(self, now: float) -> dict[str, object]:
        """Return what a document says of it."""
        return {
            "seconds": round(now - self._began_at, 1),
            "new_rows": self.new_rows,
            "new_rows_last_minute": self.within(now, MINUTE_SECONDS),
            "new_rows_last_hour": self.within(now, HOUR_SECONDS),
            "seconds_since_last": None if self._last_at is None else round(now - self._last_at, 1),
        }
