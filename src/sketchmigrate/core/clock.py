"""The clocks that the tool goes by, and the chance in its pauses: passed in, so that a simulation has its own."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Clock:
    """``monotonic`` and ``unix_time`` return seconds; ``jitter`` returns a pause somewhere between two bounds."""

    monotonic: Callable[[], float] = time.monotonic
    unix_time: Callable[[], float] = time.time
    jitter: Callable[[float, float], float] = random.uniform


SYSTEM = Clock()
"""That of this machine."""
