"""How far is explored: usually for some seconds, in full for some minutes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.exploration.explorer import explore
from tests.exploration.model import Model

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.exploration.explorer import Explored

USUAL = {
    "a row, with a condition": Model(guarded=True, rows=1),
    "a row, without": Model(guarded=False, rows=1),
    "two rows, the application writes one, with a condition": Model(guarded=True, written_rows=1, database_faults=0),
    "two rows, the application writes one, without": Model(guarded=False, written_rows=1, database_faults=0),
}
FULL = {
    "a row, with a condition, in every order": Model(guarded=True, rows=1, every_order=True),
    "a row, without, in every order": Model(guarded=False, rows=1, every_order=True),
    "two rows, with a condition": Model(guarded=True, database_faults=0),
    "two rows, with a condition, no kill": Model(guarded=True, crashes=0),
    "two rows, without": Model(guarded=False, database_faults=0),
    "two rows, without, no kill": Model(guarded=False, crashes=0),
}
"""A database that fails and a process that is killed, both in one history, are explored for a row alone."""


def explore_all(models: dict[str, Model], tell: Callable[[str], None]) -> list[Explored]:
    """Explore within all these bounds, and tell what was found. Raises ``Violation``."""
    found: list[Explored] = []
    for name, model in models.items():
        began_at = time.monotonic()
        found.append(explore(model))
        states, steps, ends = found[-1]
        seconds = time.monotonic() - began_at
        tell(f"{name}: {states:,} states, {steps:,} steps, {ends:,} ends, 0 break a promise ({seconds:.1f} s)")
    tell(f"in all {sum(each.states for each in found):,} states")
    return found
