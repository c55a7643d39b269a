"""Lets no flip begin while a COMMIT of ours waits for a synchronous standby: it would only lock more rows."""

from __future__ import annotations

import asyncio

from sketchmigrate.core.errors import DatabaseUnreachable


class Gate:
    """Shut as long as somebody keeps it shut. ``is_open`` is cheap to ask before each flip."""

    def __init__(self) -> None:
        self.is_open = True
        self.reason = ""
        self._keepers: set[object] = set()
        self._opened = asyncio.Event()
        self._is_over = False

    def shut(self, keeper: object, reason: str) -> None:
        """Let no flip begin until this keeper, and all others, open it."""
        self._keepers.add(keeper)
        self.reason, self.is_open = reason, False
        self._opened.clear()

    def open(self, keeper: object) -> None:
        """Let flips begin, as far as this keeper is concerned."""
        self._keepers.discard(keeper)
        if not self._keepers:
            self.is_open = True
            self._opened.set()

    def give_up(self) -> None:
        """Take note that a keeper waits no longer, in vain: those who wait to begin shall not begin."""
        self._is_over = True

    async def passed(self, doing: str) -> None:
        """Wait until a flip may begin. Raises ``DatabaseUnreachable`` where the wait was in vain."""
        while not self.is_open:
            await self._opened.wait()
        if self._is_over:
            raise standby_missing(doing, self.reason)


def standby_missing(doing: str, reason: str) -> DatabaseUnreachable:
    """Return the error of a run that waited for a synchronous standby in vain."""
    hint = (
        "Bring the standby back, or take it out of synchronous_standby_names, and run again. What was sent is on the"
        " server's own disk, keeps its rows locked until then, and counts from then on."
    )
    return DatabaseUnreachable(f"{doing}: {reason}", hint=hint)
