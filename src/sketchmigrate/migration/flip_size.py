"""How many rows one flip has: as many as the database takes in TARGET_FLIP_MS. Pure.

The application waits for a row of ours as long as a flip locks it, whatever number of rows makes that long: a slow
disk, triggers and indexes all count. So the time is kept, and the number follows. A flip that is sent at once has it
from the server's clock; of one in steps it is the time until the COMMIT is answered.

What a flip of a single row takes is no matter of the number: the fsync and, in steps, the way there and back and the
work that this process has besides. So one is made now and then, and its usual time is taken off. It is the median of a
minute, not the least of it: in steps, with a busy event loop, a flip of any number takes 10 ms, which the least, from
an idle moment, would not tell; then flips of 100 rows were made where 500 take hardly longer, at a fifth more CPU a
row.

The rows' locks are not all that the application feels: a flip has a core, and a length of log to write, for itself.
Where rows come slower than they can be flipped, larger flips save nothing that is short. So a flip has no more rows
than come in a moment: at 2 800 rows a second, the p99 of an application on one core with its database is 2.2 times the
one alone beside flips of 500 rows, and 1.6 times beside 250; at 20 000, flips of 250 rows cost 7 % of the rate.
"""

from __future__ import annotations

from collections import deque
from statistics import median

from sketchmigrate.flow.sliding_rate import SlidingRate

FIRST_ROWS = 16

MOMENT_SECONDS = 0.08
"""A flip of more than ``SMALL_ROWS`` has no more rows than come in this time."""

MOMENT_FLIPS = 4
"""Nor than come while so many flips of one row are made, if that is longer: else a far database would be the bound."""

SMALL_ROWS = 64

KEPT_SECONDS = 60.0
"""Flips of one row count for so long."""

ONE_ROW_SECONDS = 1.0
"""After this time without one, a flip of one row is made."""


class FlipSize:
    """Judges flips by their time in seconds. ``rows`` is how many a flip may have, at least 1.

    It grows only where flips had as many: so it ends near the size of a batch, which no flip exceeds. ``most`` is
    never exceeded either, where it is given.
    """

    def __init__(self, target_seconds: float, most: int | None = None) -> None:
        self.rows = FIRST_ROWS
        self._most = most
        self._target_seconds = target_seconds
        self._of_one_row: deque[tuple[float, float, float]] = deque(maxlen=round(KEPT_SECONDS / ONE_ROW_SECONDS))
        self._asked_at: float | None = None
        self._flipped_rows = 0
        self._rate = SlidingRate()

    def next_rows(self, wanted: int, now: float) -> int:
        """Return how many of so many rows the flip may have that is begun now: one, where it is time for that.

        A batch so small that it may be a single flip from the start is not cut for that.
        """
        is_due = self._asked_at is None or now - self._asked_at >= ONE_ROW_SECONDS
        if is_due and wanted > FIRST_ROWS:
            self._asked_at = now
            return 1
        return min(self.rows, self._of_a_moment(now))

    def pieces(self, wanted: int, now: float) -> int:
        """Return into how many flips of about ``next_rows`` so many rows are best cut; 0 is as good as 1."""
        pieces = round(wanted / self.next_rows(wanted, now))
        return pieces if self._most is None else max(pieces, -(-wanted // self._most))

    def took(self, rows: int, seconds: float, now: float, whole_seconds: float | None = None) -> None:
        """Take note of a flip that kept so many rows locked for so long, from its UPDATE to its COMMIT.

        ``whole_seconds``, or the same, passed until it was answered.
        """
        self._flipped_rows += rows
        self._rate.seen(now, self._flipped_rows)
        if rows == 1:
            self._of_one_row.append((now, seconds, seconds if whole_seconds is None else whole_seconds))
        own_seconds = seconds - self._of_any(now)[0]
        if own_seconds > self._target_seconds:
            self._halve(rows)
        elif own_seconds < self._target_seconds / 2 and rows >= self.rows:
            self.rows *= 2

    def refused(self, rows: int) -> None:
        """Take note of a flip that failed as a whole, for the sake of one row or of time."""
        self._halve(rows)

    def _halve(self, rows: int) -> None:
        self.rows = max(1, min(self.rows, rows) // 2)

    def _of_a_moment(self, now: float) -> int:
        """Return how many rows come in a moment, or ``SMALL_ROWS``."""
        seconds = max(MOMENT_SECONDS, MOMENT_FLIPS * self._of_any(now)[1])
        return max(SMALL_ROWS, int(self._rate.per_second * seconds))

    def _of_any(self, now: float) -> tuple[float, float]:
        """Return for how long a flip of any number keeps its rows locked and takes as a whole, as far as is known."""
        while self._of_one_row and now - self._of_one_row[0][0] > KEPT_SECONDS:
            self._of_one_row.popleft()
        if not self._of_one_row:
            return 0.0, 0.0
        _, seconds, whole_seconds = zip(*self._of_one_row, strict=True)
        return median(seconds), median(whole_seconds)
