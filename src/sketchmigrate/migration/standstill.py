"""A run without progress says so, whatever the reason, and for what it waits: by the clock, and not by updates."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from sketchmigrate.migration.holds import CAP, SCHEDULE
from sketchmigrate.migration.vitals_news import OF_THE_DATABASE
from sketchmigrate.migration.watch import RegularLook

if TYPE_CHECKING:
    from collections.abc import Callable

    from sketchmigrate.migration.site import Site
    from sketchmigrate.report.progress import Figures, Progress
    from sketchmigrate.s3.wire.pool import Pending

LOOK_SECONDS = 1.0

SAID_AFTER_SECONDS = 30.0
"""And again after as long."""

log = logging.getLogger(__name__)


def mark_of(figures: Figures) -> tuple[object, ...]:
    """Return what is another one whenever a run has moved."""
    return figures.rows_done, figures.tally, figures.again, figures.streamed_bytes, figures.follows


class Standstill:
    """How long nothing has moved. Pure: the clock (monotonic, seconds) is passed in.

    ``seconds`` is how long, 0 below ``SAID_AFTER_SECONDS``; ``is_due`` says that it is time to say so.
    """

    def __init__(self, now: float) -> None:
        self.seconds, self.is_due = 0.0, False
        self._mark: object = None
        self._moved_at = self._said_at = now

    def look(self, now: float, mark: object, *, is_explained: bool) -> None:
        """Learn how far the run is: another ``mark`` is progress, and what somebody else says the reason of is none."""
        if mark != self._mark or is_explained:
            self._mark, self._moved_at, self._said_at = mark, now, now
        elapsed = now - self._moved_at
        self.seconds = elapsed if elapsed >= SAID_AFTER_SECONDS else 0.0
        self.is_due = now - self._said_at >= SAID_AFTER_SECONDS
        if self.is_due:
            self._said_at = now


class StandstillWatch(RegularLook):
    """Looks at a run's progress as long as the context lasts. An async context manager.

    ``tell`` shows the text, which is empty while the run gets on.
    """

    def __init__(self, site: Site, progress: Progress, tell: Callable[[str], None]) -> None:
        super().__init__(LOOK_SECONDS)
        self._site, self._progress, self._tell = site, progress, tell
        self._standstill = Standstill(time.monotonic())

    def _look(self) -> None:
        figures, now = self._progress.figures, time.monotonic()
        self._standstill.look(now, mark_of(figures), is_explained=self._is_explained(figures, now))
        seconds = self._standstill.seconds
        if not seconds:
            self._tell("")
            return
        text = f"no progress for {seconds:.0f} s: {self._waits_for(now)}"
        self._tell(text)
        if self._standstill.is_due:
            log.warning("%s", text[0].upper() + text[1:])

    def _is_explained(self, figures: Figures, now: float) -> bool:
        """Whether it is said elsewhere, again and again, why nothing is done: a pause, a limit, a lock, a refusal."""
        is_limited = figures.limited_by.startswith((CAP, SCHEDULE, OF_THE_DATABASE))
        waits = self._site.database.waits.present(now)
        return figures.is_stopped or is_limited or bool(waits or self._site.silence.refused)

    def _waits_for(self, now: float) -> str:
        """Say what is under way for the longest time."""
        requests = [each for store in self._site.sides.stores if (each := store.oldest) is not None]
        found = [(each.seconds, _about(each)) for each in requests]
        if (oldest := self._site.database.oldest(now)) is not None:
            found.append((oldest[1], f"the database at {self._site.database.where}, {oldest[0]}"))
        if not found:
            return "nothing is asked of store or database: the ledger, this machine, or the workers of the run"
        seconds, what = max(found)
        return f"waiting for {what}, since {seconds:.0f} s"


def _about(pending: Pending) -> str:
    request = pending.request
    return f"{request.operation} of {request.location} at {pending.origin}, attempt {request.attempts}"
