"""How many rows one flip has: as many as the database takes in TARGET_FLIP_MS. Pure.

The application waits for a row of ours as long as a flip lasts, whatever number of rows makes it last so long: a slow
disk, triggers and indexes all count. So the time is kept, and the number follows.
"""

from __future__ import annotations

from collections import deque

FIRST_ROWS = 16

FLOOR_SECONDS = 60.0
"""The fastest flip of one row within this time is what each flip takes: the way there and back, and the fsync."""


class FlipSize:
    """Judges flips by their time in seconds. ``rows`` is how many the next one may have, at least 1.

    It grows only where flips had as many: so it ends near the size of a batch, which no flip exceeds.
    """

    def __init__(self, target_seconds: float) -> None:
        self.rows = FIRST_ROWS
        self._target_seconds = target_seconds
        self._of_one_row: deque[tuple[float, float]] = deque()  # when and how long, in the order of both

    def took(self, rows: int, seconds: float, now: float) -> None:
        """Take note of a flip of so many rows that lasted so long, from its UPDATE to the answer to its COMMIT."""
        if rows == 1:
            self._note_one_row(seconds, now)
        own_seconds = seconds - self._floor(now)
        if own_seconds > self._target_seconds:
            self._halve(rows)
        elif own_seconds < self._target_seconds / 2 and rows >= self.rows:
            self.rows *= 2

    def refused(self, rows: int) -> None:
        """Take note of a flip that failed as a whole, for the sake of one row or of time."""
        self._halve(rows)

    def _halve(self, rows: int) -> None:
        self.rows = max(1, min(self.rows, rows) // 2)

    def _note_one_row(self, seconds: float, now: float) -> None:
        while self._of_one_row and self._of_one_row[-1][1] >= seconds:
            self._of_one_row.pop()
        self._of_one_row.append((now, seconds))

    def _floor(self, now: float) -> float:
        while self._of_one_row and now - self._of_one_row[0][0] > FLOOR_SECONDS:
            self._of_one_row.popleft()
        return self._of_one_row[0][1] if self._of_one_row else 0.0
