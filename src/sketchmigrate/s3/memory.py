"""A budget of bytes that may be in memory at once, first come first served."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Held:
    """A part of the budget that somebody holds."""

    def __init__(self, budget: MemoryBudget, held_bytes: int) -> None:
        self._budget = budget
        self.held_bytes = held_bytes

    def shrink(self, to_bytes: int) -> None:
        """Give back all but so many bytes."""
        if to_bytes < self.held_bytes:
            self._budget.give_back(self.held_bytes - to_bytes)
            self.held_bytes = to_bytes

    def try_to_grow(self, to_bytes: int) -> bool:
        """Hold so many bytes, if they are there now. Who holds some must not wait for more: two would for ever."""
        if not self._budget.try_to_take(to_bytes - self.held_bytes):
            return False
        self.held_bytes = to_bytes
        return True


class MemoryBudget:
    """Hands out bytes up to ``limit_bytes``. Who finds too few waits, in order: a large part is not passed for ever."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self._free_bytes = limit_bytes
        self._waiting: deque[tuple[asyncio.Future[None], int]] = deque()

    @property
    def is_short(self) -> bool:
        """Whether somebody waits for more than is free."""
        return bool(self._waiting)

    async def take(self, wanted_bytes: int) -> None:
        """Wait until so many bytes are free, and take them. More than all there are is all of them."""
        wanted_bytes = min(wanted_bytes, self.limit_bytes)
        if self.try_to_take(wanted_bytes):
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((waiter, wanted_bytes))
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.cancelled():
                self._waiting.remove((waiter, wanted_bytes))
                self._hand_over()
            else:  # they had been handed over just before
                self.give_back(wanted_bytes)
            raise

    @contextmanager
    def held(self, held_bytes: int) -> Iterator[Held]:
        """Give back what was taken, in any case, at the end of the context."""
        held = Held(self, min(held_bytes, self.limit_bytes))
        try:
            yield held
        finally:
            held.shrink(0)

    def try_to_take(self, wanted_bytes: int) -> bool:
        """Take so many bytes, if they are free and nobody waits."""
        if self._waiting or wanted_bytes > self._free_bytes:
            return False
        self._free_bytes -= wanted_bytes
        return True

    def give_back(self, given_bytes: int) -> None:
        """Give bytes back."""
        self._free_bytes += given_bytes
        self._hand_over()

    def _hand_over(self) -> None:
        while self._waiting and self._waiting[0][1] <= self._free_bytes:
            waiter, wanted_bytes = self._waiting.popleft()
            if not waiter.done():
                self._free_bytes -= wanted_bytes
                waiter.set_result(None)
