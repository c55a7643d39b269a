"""A store that does not answer: since when, and what to say of it."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from sketchmigrate.s3 import S3Client

logger = logging.getLogger(__name__)

SAID_AFTER_SECONDS = 10.0
LOOK_SECONDS = 0.5


class Silence:
    """How long a store that was asked has not answered. Pure: the clock (monotonic, seconds) is passed in.

    ``note`` is what to show now, and empty while the store answers. ``news`` is what to say once: that it does not, and
    that it does again.
    """

    def __init__(self) -> None:
        self.note = self.news = ""
        self._asked_since: float | None = None
        self._silent_since = 0.0

    def look(self, now: float, *, asked: int, answered_at: float) -> None:
        """Learn that so many requests are under way, or wait for their next attempt, and when the last answer came."""
        self.news = ""
        if asked and self._asked_since is None:
            self._asked_since = now
        silent_since = now if self._asked_since is None or not asked else max(self._asked_since, answered_at)
        if not asked:
            self._asked_since = None
        if now - silent_since >= SAID_AFTER_SECONDS:
            if not self.note:
                self.news = f"The store has not answered for {now - silent_since:.0f} s; requests under way: {asked}."
            self.note = f"the store has not answered for {now - silent_since:.0f} s"
            self._silent_since = silent_since
        elif self.note:
            self.note = ""
            if asked or answered_at > self._silent_since:
                self.news = f"The store answers again, after {now - self._silent_since:.0f} s."


def look(silence: Silence, store: S3Client, now: float) -> None:
    """Look at a store, and log what is new."""
    silence.look(now, asked=store.asked, answered_at=store.answered_at)
    if silence.news:
        logger.warning("%s", silence.news)


class SilenceWatch:
    """Looks at a store as long as the context lasts, and tells what to show of its silence. An async context manager.

    For commands that list and read. A run has ``Watch``, which looks at more.
    """

    def __init__(self, store: S3Client, tell: Callable[[str], None]) -> None:
        self._store, self._tell = store, tell
        self._silence = Silence()
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        self._look()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        look(self._silence, self._store, time.monotonic())  # it may just have come back

    def _look(self) -> None:
        look(self._silence, self._store, time.monotonic())
        self._tell(self._silence.note)
        self._timer = asyncio.get_running_loop().call_later(LOOK_SECONDS, self._look)
