"""How often Python looks for garbage cycles. Imports nothing of the program: it is called before the other imports."""

from __future__ import annotations

import gc

GARBAGE_OBJECTS = 20_000
"""So many new objects are let pile up before the collector looks for cycles among them. Hardly any are in one. At
Python's own 700 it looked in vain for a tenth of a migration's CPU time, and for 17 ms of the imports."""


def collect_garbage_seldom() -> None:
    """Leave what was imported until now alone, and look at the rest less often."""
    gc.freeze()
    gc.set_threshold(GARBAGE_OBJECTS, 10, 10)
