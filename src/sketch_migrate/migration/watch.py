"""Looks at a run a few times a second, and so knows what limits it."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING, Self

from sketch_migrate.report.limits import Sample, limited_by

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from sketch_migrate.migration.copier import Copier
    from sketch_migrate.s3 import S3Client

SAMPLE_SECONDS = 0.25
SAMPLES_KEPT = 20
"""The word is that of the last five seconds."""


class Watch:
    """Tells what limits the run, in a word, as long as the context lasts. An async context manager."""

    def __init__(self, store: S3Client, copier: Copier, *, iterations: int, tell: Callable[[str], None]) -> None:
        self._store, self._copier = store, copier
        self._iterations = iterations
        self._tell = tell
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
        sample = Sample(self._store.pressure, self._copier.has_work, all_copying, busy_share, now - self._due)
        self._samples.append(sample)
        self._tell(limited_by(self._samples))
        self._begin_sample()
