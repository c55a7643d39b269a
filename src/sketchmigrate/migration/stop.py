"""Why nothing new is begun any more: a signal asked for it, or an error that the run cannot get past."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sketchmigrate.core.errors import MigrateError


class Stop:
    """Shared by everything that takes up work. What is under way when it is requested is finished and flipped.

    ``working`` is the task that is cancelled where it is not to be finished either.
    """

    def __init__(self) -> None:
        self.event = asyncio.Event()
        self.signal_number: int | None = None
        self.working: asyncio.Task[object] | None = None
        self.error: MigrateError | None = None

    @property
    def requested(self) -> bool:
        """Whether to begin nothing new."""
        return self.event.is_set()

    def by_signal(self, number: int) -> None:
        """Stop because of a signal."""
        self.signal_number = number
        self.event.set()

    def at_once(self) -> None:
        """Finish nothing either."""
        if self.working is not None:
            self.working.cancel()

    def pause(self) -> None:
        """Stop for the rest to be done in another way: see ``resume``."""
        self.event.set()

    def resume(self) -> bool:
        """Go on after a pause, if there is no other reason to stop; return whether that is so."""
        if self.signal_number is None and self.error is None:
            self.event.clear()
        return not self.requested

    def by_error(self, error: MigrateError) -> None:
        """Stop because of an error; the first one is the one to report."""
        self.error = self.error or error
        self.event.set()
