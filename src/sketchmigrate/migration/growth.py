"""When one process is not enough: its core has been full for a while, and another core has nothing to do.

A full core means that the store would take more than one event loop can send. Where the cores are busy with something
else, or are not there, a further process would only take time from the first.
"""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sketchmigrate.migration.stop import Stop

LOOK_SECONDS = 5.0

FULL_SECONDS = 30.0
"""A run that is shorter than this is over before others have begun."""

FULL_SHARE = 0.85
"""An event loop that computes for this part of the time is full: what is left goes by in waiting for the system."""

IDLE_CORE = 0.7
"""A core counts as idle if the load leaves so much of it."""


@dataclass(frozen=True, slots=True)
class Look:
    """One look: the time, the CPU time of the event loop until then, the load of the machine, its cores for us."""

    at: float
    cpu_seconds: float
    load: float
    cores: int


class Growth:
    """Judges a process that works alone, look by look. Pure."""

    def __init__(self, first: Look) -> None:
        self._last = first
        self._full_since = first.at

    def processes(self, look: Look) -> int:
        """Return how many processes there should be."""
        last, self._last = self._last, look
        if look.cpu_seconds - last.cpu_seconds < FULL_SHARE * (look.at - last.at):
            self._full_since = look.at
        if look.at - self._full_since < FULL_SECONDS:
            return 1
        return max(1, min(look.cores, 1 + int(look.cores - look.load + 1 - IDLE_CORE)))


async def outgrown(stop: Stop) -> int:
    """Pause the run once more processes would be faster, and return how many."""
    growth = Growth(_look())
    processes = 1
    while processes == 1:
        await asyncio.sleep(LOOK_SECONDS)
        processes = growth.processes(_look())
    stop.pause()
    return processes


def _look() -> Look:
    on_linux = hasattr(os, "sched_getaffinity")
    cores = len(os.sched_getaffinity(0)) if on_linux else os.cpu_count() or 1
    return Look(time.monotonic(), time.thread_time(), os.getloadavg()[0], cores)
