"""Looks at a run a few times a second, and so knows what limits it, and what holds it up in database or store."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING, Protocol, Self

from sketchmigrate.report.limits import Sample, limited_by

if TYPE_CHECKING:
    from types import TracebackType

    from sketchmigrate.migration.copier import Copier
    from sketchmigrate.migration.site import Site

SAMPLE_SECONDS = 0.25
SAMPLES_KEPT = 20
"""The word is that of the last five seconds."""


class Listener(Protocol):
    """Who is told what is seen."""

    def limited_by(self, word: str) -> None:
        """Take over what limits the run, in a word; empty for nothing known."""

    def waits_for(self, text: str) -> None:
        """Take over what holds it up in the database or the store; empty for nothing."""


class Watch:
    """Tells what limits the run, in a word, as long as the context lasts. An async context manager."""

    def __init__(self, site: Site, copier: Copier, *, iterations: int, audience: Listener) -> None:
        self._site, self._copier = site, copier
        self._iterations = iterations
        self._audience = audience
        self._samples: deque[Sample] = deque(maxlen=SAMPLES_KEPT)
        self._loop = asyncio.get_running_loop()
        self._due = self._at = self._cpu_seconds = 0.0
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        self._begin_sample()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _begin_sample(self) -> None:
        self._at = time.monotonic()
        self._due = self._at + SAMPLE_SECONDS
        self._cpu_seconds = time.thread_time()
        self._timer = self._loop.call_later(SAMPLE_SECONDS, self._take_sample)

    def _take_sample(self) -> None:
        now = time.monotonic()
        busy_share = (time.thread_time() - self._cpu_seconds) / (now - self._at)
        all_copying = self._copier.batches >= self._iterations
        store = self._site.sides.production.store
        late_seconds = now - self._due
        sample = Sample(
            store.pressure, self._copier.has_work, all_copying, store.awaits_retries, busy_share, late_seconds
        )
        self._samples.append(sample)
        self._audience.limited_by(limited_by(self._samples))
        self._audience.waits_for(self._site.database.waits.present(now) or self._site.silence.note)
        self._begin_sample()
