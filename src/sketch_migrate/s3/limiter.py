"""How many requests may be in flight, and who waits. Pure bookkeeping: what a waiter is, is the caller's business."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from typing import Generic, TypeVar

Waiter = TypeVar("Waiter")


class Limiter(Generic[Waiter]):
    """Hands out a number of slots; who finds none queues, first come first served."""

    def __init__(self, slots: int) -> None:
        self.free = slots
        self.waiting: deque[Waiter] = deque()

    def enter(self) -> bool:
        """Take a slot if one is free. Nobody overtakes: where one waits, none is free."""
        if self.free:
            self.free -= 1
            return True
        return False

    def queue(self, waiter: Waiter) -> None:
        """Wait for the slot that ``leave`` will hand over."""
        self.waiting.append(waiter)

    def leave(self) -> Waiter | None:
        """Give a slot back. It belongs to the returned waiter, who is to be told."""
        if self.waiting:
            return self.waiting.popleft()
        self.free += 1
        return None

    def forget(self, waiter: Waiter) -> None:
        """Stop waiting, if it still does."""
        with suppress(ValueError):
            self.waiting.remove(waiter)
