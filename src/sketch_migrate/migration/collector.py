"""How often Python looks for garbage cycles while it migrates."""

from __future__ import annotations

import gc

GARBAGE_OBJECTS = 20_000
"""So many new objects are let pile up before the collector looks for cycles among them. Hardly any are in one, and at
Python's own 700 it looked in vain for a tenth of the run's CPU time."""


def collect_garbage_seldom() -> None:
    """Leave what was imported alone, and look at the rest less often."""
    gc.freeze()
    gc.set_threshold(GARBAGE_OBJECTS, 10, 10)
