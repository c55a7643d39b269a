"""Lets rows be flipped at the rate that the governor allows: one for a process, asked before each batch and each flip.

Whoever waits here holds no lock, no transaction and no place in the store: what it has is a batch of rows, whose
objects may be copied already.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

from sketchmigrate.core.clock import SYSTEM, Clock
from sketchmigrate.flow.token_bucket import TokenBucket

if TYPE_CHECKING:
    from sketchmigrate.migration.stop import Stop

PIECE_SECONDS = 1.0
"""Below full speed a flip has no more rows than are allowed in this time: then the next one is decided anew. Nor has a
batch, which is told of as a whole: progress is seen to move, and little is copied ahead."""


class Pace:
    """The rate of this process, which is infinite until it is told another."""

    def __init__(self, stop: Stop, clock: Clock = SYSTEM) -> None:
        self._stop, self._monotonic = stop, clock.monotonic
        self._bucket = TokenBucket()
        self._changed = asyncio.Event()
        self._stopped_at: float | None = None
        self._stopped_seconds = 0.0

    @property
    def is_open(self) -> bool:
        """Whether nothing is to be waited for."""
        return self._stopped_at is None and self._bucket.rate == math.inf

    @property
    def is_stopped(self) -> bool:
        """Whether nothing may be flipped now."""
        return self._stopped_at is not None

    @property
    def stopped_seconds(self) -> float:
        """How long that has been so, in all."""
        now = self._monotonic()
        return self._stopped_seconds + (0.0 if self._stopped_at is None else now - self._stopped_at)

    def batch_rows(self, most_rows: int) -> int:
        """Return how many rows a batch has: no more than may pass in ``PIECE_SECONDS``."""
        rate = self._bucket.rate
        return most_rows if rate == math.inf else min(most_rows, math.ceil(rate * PIECE_SECONDS))

    def limit(self, rows_per_second: float) -> None:
        """Take another rate: infinite is as fast as one can, 0 is not at all."""
        now = self._monotonic()
        if rows_per_second > 0:
            self._bucket.change(now, rows_per_second)
            self._stopped_seconds, self._stopped_at = self.stopped_seconds, None
        elif self._stopped_at is None:
            self._stopped_at = now
        self._changed.set()
        self._changed = asyncio.Event()

    async def may_begin(self) -> bool:
        """Wait while nothing may be flipped; return False where the run is to stop."""
        while self.is_stopped and not self._stop.requested:
            await self._wait(None)
        return not self._stop.requested

    async def granted(self, rows: int) -> int:
        """Wait until rows may be flipped; return how many of so many: 0 where the run is to stop meanwhile."""
        while not self.is_open:
            if self._stop.requested:
                return 0
            now = self._monotonic()
            seconds = None if self.is_stopped else self._bucket.ready_at() - now
            if seconds is not None and seconds <= 0:
                some = min(rows, max(1, int(self._bucket.rate * PIECE_SECONDS)))
                self._bucket.take(now, some)
                return some
            await self._wait(seconds)
        return rows

    async def _wait(self, seconds: float | None) -> None:
        """Wait until the rate changes or the run is to stop, and no longer than so many seconds."""
        waits = [asyncio.ensure_future(event.wait()) for event in (self._changed, self._stop.event)]
        try:
            await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
