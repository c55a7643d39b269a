"""How far a body may be at a time, where there is a cap on bytes a second. Pure.

The limiter lets a body begin when those before it have had their time; this spreads it over its own. Without it a part
of 16 MiB would pass as fast as the line is, and the line be idle for as long as the cap gives it.
"""

from __future__ import annotations

import math

LEAST_BYTES_PER_SECOND = 64 * 2**10
"""No body is held below this: a store takes a connection that stands still for dead. The limiter keeps lower caps."""

PIECE_SECONDS = 0.1
"""So much of a second's bytes may be ahead."""


class Pacing:
    """The pace of one body, which began at a time of a monotonic clock. ``held_seconds`` is how long it was held up."""

    def __init__(self, bytes_per_second: float = math.inf, began: float = 0.0) -> None:
        self._bytes_per_second = max(bytes_per_second, LEAST_BYTES_PER_SECOND)
        self._began = began
        self.held_seconds = 0.0

    def piece_bytes(self, most_bytes: int) -> int:
        """Return how many bytes may be sent in one piece."""
        return int(min(most_bytes, self._bytes_per_second * PIECE_SECONDS))

    def hold_seconds(self, passed_bytes: int, now: float) -> float:
        """Return for how long to let no more of it pass, where so much has passed; and count it as waited for."""
        ahead_seconds = passed_bytes / self._bytes_per_second - (now - self._began)
        if ahead_seconds <= PIECE_SECONDS:
            return 0.0
        self.held_seconds += ahead_seconds
        return ahead_seconds
