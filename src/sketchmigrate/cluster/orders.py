"""What the coordinator tells running workers, and how caps and a limit are divided among them. Pure.

Each process adapts to the store below its share of the caps. A newcomer makes every share smaller, so it is given work
only when those at work have taken note of that: together they never exceed what a person allows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum

ORDER_SECONDS = 1.0
"""Within this time an order reaches a worker; so often a running range reports."""

NOTED_SECONDS = 2 * ORDER_SECONDS
"""After this time it is taken for noted."""


class StopLevel(IntEnum):
    """Whether to go on."""

    GO_ON = 0
    FINISH = 1  # begin nothing new, finish what is under way
    AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class Orders:
    """The orders of a moment. ``sharing`` is how many processes share the caps; a higher ``number`` is newer.

    ``rows_per_second`` is what the governor allows to all of them together, ``changes`` are those of settings and
    options since the run began, as they were typed.
    """

    number: int = 0
    stop: StopLevel = StopLevel.GO_ON
    sharing: int = 1
    rows_per_second: float = math.inf
    changes: tuple[str, ...] = ()

    @property
    def share_of_rows(self) -> float:
        """How many rows a second each may flip."""
        return self.rows_per_second / self.sharing


class Sharing:
    """How many processes share the caps, and how many of them may be at work."""

    def __init__(self) -> None:
        self.told = 1
        self._noted = 0
        self._noted_at = -math.inf

    def expect(self, members: int, at_work: int, now: float) -> bool:
        """Reckon with so many members from now on; return whether that is to be published.

        Who is not at work yet learns of the share with its work.
        """
        members = max(1, members)
        changed = members != self.told
        if at_work == 0 or members <= self._noted:
            self._noted, self._noted_at = members, -math.inf
        elif changed:
            self._noted_at = now + NOTED_SECONDS
        self.told = members
        return changed

    def places(self, now: float) -> int:
        """Return how many may be at work: no more than those at work know of."""
        if now >= self._noted_at:
            self._noted = self.told
        return self._noted


class Lease:
    """A limit of references, lent in parts. What is not lent, and not used up, is ``left``; None is no limit."""

    def __init__(self, limit: int | None) -> None:
        self.left = limit

    @property
    def is_used_up(self) -> bool:
        """Whether nothing can be lent."""
        return self.left == 0

    def lend(self, borrowers: int) -> int | None:
        """Return a part for one of so many borrowers, at least one reference; None is no limit."""
        if self.left is None:
            return None
        part = math.ceil(self.left / max(1, borrowers))
        self.left -= part
        return part

    def give_back(self, unused: int) -> None:
        """Take back what was lent and not used."""
        if self.left is not None:
            self.left += unused
