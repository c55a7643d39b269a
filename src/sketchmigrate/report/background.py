"""Work on a thread of its own, one thing after the other, so that a slow disk or program holds no run up."""

from __future__ import annotations

import queue
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Background:
    """Does what it is given, in order. What comes while ``most`` things wait is passed over."""

    def __init__(self, name: str, *, most: int) -> None:
        self._waiting: queue.Queue[Callable[[], None] | None] = queue.Queue(most)
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def do(self, work: Callable[[], None], *, wait_seconds: float = 0.0) -> bool:
        """Have something done, which must raise nothing; return False where too much waits, perhaps after a time."""
        try:
            self._waiting.put(work, block=wait_seconds > 0, timeout=wait_seconds or None)
        except queue.Full:
            return False
        return True

    def close(self, seconds: float) -> bool:
        """Wait so long for all to be done; return False where something is not."""
        with suppress(queue.Full):
            self._waiting.put(None, timeout=seconds)
            self._thread.join(seconds)
        return not self._thread.is_alive()

    def _work(self) -> None:
        while (work := self._waiting.get()) is not None:
            work()
