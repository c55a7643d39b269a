"""A rate that is kept to: the generic cell rate algorithm (ITU-T I.371), a token bucket of one number. Pure."""

from __future__ import annotations

import math

BURST_SECONDS = 0.02
"""What may be made up for at once. Timers wake a few milliseconds late; without this, each delay would be lost."""


class TokenBucket:
    """Lets ``rate`` units a second pass. One large amount passes at once, and those after it wait for its time."""

    def __init__(self, rate: float = math.inf) -> None:
        self.rate = rate
        self._paid_until = -math.inf

    def ready_at(self) -> float:
        """Return the time from which the next amount may pass."""
        return self._paid_until - BURST_SECONDS

    def take(self, now: float, amount: float) -> None:
        """Let an amount pass; a negative one gives back what was taken too much."""
        if self.rate < math.inf:
            self._paid_until = max(self._paid_until, now) + amount / self.rate

    def change(self, now: float, rate: float) -> None:
        """Keep to another rate from now on. What is still to be waited for is the same amount, at the new rate."""
        amount = max(0.0, self._paid_until - now) * self.rate if self.rate < math.inf else 0.0
        self.rate = rate
        self._paid_until = now + amount / rate if amount else -math.inf
