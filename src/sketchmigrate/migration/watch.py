"""Looks at a run a few times a second, and so knows what limits it, and what holds it up in database or store.

Whoever opens a store watches whether it answers (``SilenceWatch``, by ``Silence``, which is pure).
"""

from __future__ import annotations

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, Self

from sketchmigrate.report.limits import Sample, limited_by

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import TracebackType

    from sketchmigrate.migration.copier import Copier
    from sketchmigrate.migration.site import Site
    from sketchmigrate.s3 import S3Client

SAMPLE_SECONDS = 0.25
SAMPLES_KEPT = 20
"""The word is that of the last five seconds."""

logger = logging.getLogger(__name__)

SAID_AFTER_SECONDS = 10.0

LOOK_SECONDS = 0.5

BLIND_SECONDS = 5.0
"""After so long without a look the event loop stood still: a person was asked, or the process was stopped."""


class Listener(Protocol):
    """Who is told what is seen."""

    def limited_by(self, word: str) -> None:
        """Take over what limits the run, in a word; empty for nothing known."""

    def waits_for(self, text: str) -> None:
        """Take over what holds it up in the database or the store; empty for nothing."""


class RegularLook(ABC):
    """Looks every so many seconds, by a timer of the event loop, as long as the context lasts."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        self._begin()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _begin(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._look_again)

    def _look_again(self) -> None:
        self._look()
        self._begin()

    @abstractmethod
    def _look(self) -> None:
        """Look once."""


class Watch(RegularLook):
    """Tells what limits the run, in a word, as long as the context lasts. An async context manager."""

    def __init__(self, site: Site, copier: Copier, *, iterations: int, audience: Listener) -> None:
        super().__init__(SAMPLE_SECONDS)
        self._site, self._copier = site, copier
        self._iterations = iterations
        self._audience = audience
        self._samples: deque[Sample] = deque(maxlen=SAMPLES_KEPT)
        self._at = self._cpu_seconds = 0.0

    def _begin(self) -> None:
        self._at = time.monotonic()
        self._cpu_seconds = time.thread_time()
        super()._begin()

    def _look(self) -> None:
        now = time.monotonic()
        busy_share = (time.thread_time() - self._cpu_seconds) / (now - self._at)
        all_copying = self._copier.batches >= self._iterations
        stores = self._site.sides.stores
        late_seconds = now - (self._at + SAMPLE_SECONDS)
        sample = Sample(
            max((store.pressure for store in stores), key=lambda each: each.value),
            self._copier.has_work,
            all_copying,
            any(store.awaits_retries for store in stores),
            self._site.memory.is_short,
            busy_share,
            late_seconds,
        )
        self._samples.append(sample)
        self._audience.limited_by(limited_by(self._samples))
        self._audience.waits_for(self._site.database.waits.present(now) or self._site.silence.note)


class Silence:
    """How long a store that was asked has not answered. Pure: the clock (monotonic, seconds) is passed in.

    ``note`` is what to show now, and empty while the store answers. ``news`` is what to say once: that it does not, and
    that it does again.
    """

    def __init__(self, name: str = "the store") -> None:
        self.note = self.news = ""
        self._name = name
        self._asked_since: float | None = None
        self._silent_since = 0.0
        self._looked_at = 0.0

    def look(self, now: float, *, asked: int, answered_at: float) -> None:
        """Learn that so many requests wait for an answer (``S3Client.asked``), and when the last answer came."""
        self.news = ""
        if now - self._looked_at > BLIND_SECONDS:  # what was asked before has nobody waiting for it since
            self._asked_since, self.note = None, ""
        self._looked_at = now
        if asked and self._asked_since is None:
            self._asked_since = now
        silent_since = now if self._asked_since is None or not asked else max(self._asked_since, answered_at)
        if not asked:
            self._asked_since = None
        if now - silent_since >= SAID_AFTER_SECONDS:
            if not self.note:
                seconds = f"{now - silent_since:.0f} s"
                self.news = f"{self._begin} has not answered for {seconds}; requests under way: {asked}."
            self.note = f"{self._name} has not answered for {now - silent_since:.0f} s"
            self._silent_since = silent_since
        elif self.note:
            self.note = ""
            if asked or answered_at > self._silent_since:
                self.news = f"{self._begin} answers again, after {now - self._silent_since:.0f} s."

    @property
    def _begin(self) -> str:
        return self._name[0].upper() + self._name[1:]


class SilenceWatch(RegularLook):
    """Looks at stores as long as the context lasts, and logs what is new of their silence. An async context manager.

    ``note`` is what to show now; it is also told, after each look, to who is the audience at that time.
    """

    def __init__(self, stores: Sequence[tuple[str, S3Client]]) -> None:
        super().__init__(LOOK_SECONDS)
        self._watched = [(Silence(name), store) for name, store in stores]
        self._tell: Callable[[str], None] | None = None

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await super().__aexit__(kind, error, trace)
        self._look()  # it may just have come back

    @property
    def note(self) -> str:
        """What to show now; empty while the stores answer."""
        return next((silence.note for silence, _ in self._watched if silence.note), "")

    @contextmanager
    def told_to(self, tell: Callable[[str], None]) -> Iterator[None]:
        """Have an audience while the context lasts."""
        self._tell = tell
        try:
            yield
        finally:
            self._tell = None

    def _look(self) -> None:
        for silence, store in self._watched:
            silence.look(time.monotonic(), asked=store.asked, answered_at=store.answered_at)
            if silence.news:
                logger.warning("%s", silence.news)
        if self._tell is not None:
            self._tell(self.note)
