"""An event loop whose clock jumps to the next timer, so that hours of waiting take no time and repeat exactly."""

from __future__ import annotations

import asyncio
import selectors


class Standstill(AssertionError):
    """Every task waits for another one: nothing will ever happen."""


class _Timers(selectors.SelectSelector):
    """Waits for nothing but timers, and for those not at all."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise Standstill("every task waits for another one")
        self.now += timeout
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """Runs on virtual seconds."""

    def __init__(self) -> None:
        self._timers = _Timers()
        super().__init__(self._timers)

    def time(self) -> float:
        """Return the virtual time in seconds."""
        return self._timers.now
