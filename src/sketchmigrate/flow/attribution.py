"""Which prefixes a store refuses, where it refuses some more than the others. Pure.

A store may count all requests together, or those below each prefix. Only where its refusals fall tells which: so they
are counted by name as long as there are some, and a name that is refused clearly more often than all others together
has a limit of its own.
"""

from __future__ import annotations

import math

MOST_NAMES = 256
"""Names that are counted one by one; the others are counted together."""

FEWEST_REFUSALS = 8
FEWEST_OTHERS = 32
"""Replies to the others. Fewer do not tell that they are refused less."""

TIMES = 2.0
"""So many times as often as the others, and what chance may add."""

DEVIATIONS = 3.0

OTHERS = ""


class Attribution:
    """Replies and refusals by name, from a refusal on."""

    def __init__(self) -> None:
        self.refusals = 0
        self._replies = 0
        self._counts: dict[str, list[int]] = {}

    def _of(self, name: str) -> list[int]:
        counts = self._counts.get(name)
        if counts is None:
            counts = self._counts.setdefault(name if len(self._counts) < MOST_NAMES else OTHERS, [0, 0])
        return counts

    def replied(self, name: str) -> None:
        """Count a reply, whatever it says."""
        self._replies += 1
        self._of(name)[0] += 1

    def refused(self, name: str) -> None:
        """Count that a reply said "slow down". That of the very first refusal was not counted."""
        counts = self._of(name)
        self.refusals += 1
        counts[1] += 1
        if counts[0] < counts[1]:
            self.replied(name)

    def outstanding(self) -> str:
        """Return the name that is refused most often, if it is clearly more often than all others together."""
        shares = {name: refusals / replies for name, (replies, refusals) in self._counts.items() if name != OTHERS}
        name = max(shares, key=shares.__getitem__, default="")
        return name if name and self._stands_out(name) else ""

    def _stands_out(self, name: str) -> bool:
        replies, refusals = self._counts[name]
        others = self._replies - replies
        if refusals < FEWEST_REFUSALS or others < FEWEST_OTHERS:
            return False
        share, share_of_others = refusals / replies, (self.refusals - refusals) / others
        # one more of each: that none of a few was refused is chance, too, and no certainty
        own = _variance(refusals, replies)
        theirs = _variance(self.refusals - refusals, others)
        return share > TIMES * share_of_others + DEVIATIONS * math.sqrt(own + theirs)

    def take_out(self, name: str) -> float:
        """Forget a name; return its share of what was not refused."""
        replies, refusals = self._counts.pop(name)
        accepted = self._replies - self.refusals
        share = (replies - refusals) / accepted if accepted else 0.0
        self._replies -= replies
        self.refusals -= refusals
        return share


def _variance(part: int, whole: int) -> float:
    share = (part + 1) / (whole + 2)
    return share * (1 - share) / whole
