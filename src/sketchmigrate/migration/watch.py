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
    from sketchmigrate.s3.exchange import Refused

SAMPLE_SECONDS = 0.25
SAMPLES_KEPT = 20
"""The word is that of the last five seconds."""

logger = logging.getLogger(__name__)

SAID_AFTER_SECONDS = 10.0

REFUSED_SECONDS = 30.0
"""So long a store may refuse all requests until that is said, and again after as long."""

LOOK_SECONDS = 0.5

BLIND_SECONDS = 5.0
"""After so long without a look the event loop stood still: a person was asked, or the process was stopped."""


class Listener(Protocol):
    """Who is told what is seen."""

    def limited_by(self, word: str) -> None:
        """Take over what limits the run, in a word; empty for nothing known."""

    def waits_for(self, text: str) -> None:
        """Take over what holds it up in the database or the store; empty for nothing."""

    def streamed(self, more_bytes: int) -> None:
        """Take over that so many more bytes of objects have passed through this machine."""


def held_up_by(site: Site, now: float) -> str:
    """Say what holds a run up in the database or the store; empty for nothing."""
    away = site.database.outage.since
    outage = "" if away is None else f"the database is away, for {now - away:.0f} s by now"
    return site.database.waits.present(now) or outage or site.silence.note


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


class HeldUpWatch(RegularLook):
    """Tells what holds a run up, where nobody looks at its iterations. An async context manager."""

    def __init__(self, site: Site, audience: Listener) -> None:
        super().__init__(LOOK_SECONDS)
        self._site, self._audience = site, audience

    def _look(self) -> None:
        self._audience.waits_for(held_up_by(self._site, time.monotonic()))


class Watch(RegularLook):
    """Tells what limits the run, in a word, as long as the context lasts. An async context manager.

    Where objects are streamed (``is_streamed``), it also tells how many bytes.
    """

    def __init__(self, site: Site, copier: Copier, *, audience: Listener, is_streamed: bool = False) -> None:
        super().__init__(SAMPLE_SECONDS)
        self._site, self._copier = site, copier
        self._audience = audience
        self._samples: deque[Sample] = deque(maxlen=SAMPLES_KEPT)
        self._at = self._cpu_seconds = 0.0
        self._production = site.sides.production.store if is_streamed else None
        self._stored_bytes = self._production.stored_bytes if self._production else 0

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await super().__aexit__(kind, error, trace)
        self._tell_streamed()

    def _tell_streamed(self) -> None:
        if self._production is not None and (more_bytes := self._production.stored_bytes - self._stored_bytes):
            self._stored_bytes += more_bytes
            self._audience.streamed(more_bytes)

    def _begin(self) -> None:
        self._at = time.monotonic()
        self._cpu_seconds = time.thread_time()
        super()._begin()

    def _look(self) -> None:
        now = time.monotonic()
        busy_share = (time.thread_time() - self._cpu_seconds) / (now - self._at)
        copier = self._copier
        stores = self._site.sides.stores
        late_seconds = now - (self._at + SAMPLE_SECONDS)
        sample = Sample(
            max((store.pressure for store in stores), key=lambda each: each.value),
            copier.has_work,
            copier.batches >= copier.iterations > 0,
            copier.iterations < self._site.tuning.iterations,
            any(store.awaits_retries for store in stores),
            self._site.memory.is_short,
            busy_share,
            late_seconds,
            next(filter(None, (store.slowest_prefix for store in stores)), ""),
        )
        self._samples.append(sample)
        self._audience.limited_by(limited_by(self._samples))
        self._tell_streamed()
        self._audience.waits_for(held_up_by(self._site, now))


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
        """Learn that so many requests wait for an answer (``S3Client.asked``), and when it last let bytes pass."""
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


class Refusal:
    """How long a store has refused all requests for now. Pure: the clock (monotonic, seconds) is passed in.

    ``note`` is what to show now, and empty while requests succeed. ``news`` is what to say, as long as it lasts.
    """

    def __init__(self, name: str = "the store") -> None:
        self.note = self.news = ""
        self._name = name
        self._said_at = 0.0

    def look(self, now: float, refused: Refused | None) -> None:
        """Learn of the last refusal; None where a request has succeeded since, or none is waiting."""
        self.news = ""
        if refused is None or now - refused.since < REFUSED_SECONDS:
            self.note = ""
            return
        last = f"the last one, in attempt {refused.attempts}: {refused.error}"
        is_due = not self.note or now - self._said_at >= REFUSED_SECONDS
        self.note = f"{self._name} has refused all requests for {now - refused.since:.0f} s"
        if is_due:
            self.news, self._said_at = f"No progress: {self.note}; {last}", now


class SilenceWatch(RegularLook):
    """Looks at stores as long as the context lasts: whether they answer, and take requests. An async context manager.

    ``note`` is what to show now; it is also told, after each look, to who is the audience at that time.
    """

    def __init__(self, stores: Sequence[tuple[str, S3Client]]) -> None:
        super().__init__(LOOK_SECONDS)
        self._watched = [(Silence(name), Refusal(name), store) for name, store in stores]
        self._tell: Callable[[str], None] | None = None

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await super().__aexit__(kind, error, trace)
        self._look()  # it may just have come back

    @property
    def refused(self) -> str:
        """That a store refuses all requests, which is said every half minute; empty where none does."""
        return next((refusal.note for _, refusal, _ in self._watched if refusal.note), "")

    @property
    def note(self) -> str:
        """What to show now; empty while the stores answer, and take requests."""
        notes = (silence.note or refusal.note for silence, refusal, _ in self._watched)
        return next(filter(None, notes), "")

    @contextmanager
    def told_to(self, tell: Callable[[str], None]) -> Iterator[None]:
        """Have an audience while the context lasts."""
        self._tell = tell
        try:
            yield
        finally:
            self._tell = None

    def _look(self) -> None:
        now = time.monotonic()
        for silence, refusal, store in self._watched:
            silence.look(now, asked=store.asked, answered_at=store.answered_at)
            refusal.look(now, store.refused)
            for news in filter(None, (silence.news, refusal.news)):
                logger.warning("%s", news)
        if self._tell is not None:
            self._tell(self.note)
