"""How many requests a second a store takes that refuses some: x0.7 where it does, and back along a cubic. Pure.

A refusal (503, SlowDown, 429) tells of a rate and not of a number in flight: a store near by that allows 500 requests a
second answers in a millisecond, and half a request in flight is the right number. So it is the rate that is cut.

The way back is that of TCP CUBIC (RFC 9438, section 4.2) and of the AWS SDKs' adaptive mode: soon near the rate at
which the store refused, slowly past it, then faster and faster, because stores grow under load (S3 parts a prefix).
Straight lines with the same cut would use 85 % of a fixed limit on average.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sketch_migrate.s3.measured import Measured

CUT = 0.7
PLATEAU_SECONDS = 5.0
"""After a cut, the rate is back at that of the refusal in this time; in twice the time it is 30 % above."""

EDGE_SHARE = 0.01
"""Fewer refusals than this are the edge of what the store takes: the rate is held there. S3 also refuses a few for
reasons of its own; cut for each of them, a rate would never be what the store allows."""

STORM_SHARE = 0.1
"""So many refusals are never a store's habit."""

OUTAGE_SHARE = 0.8
"""A store that refuses so many is not telling its limit: that stays what it was."""

LEAST_PART = 0.05
"""Of the rate known before, so much keeps knocking during an outage."""

BINDING = 0.8
"""A rate of which less than this part is used is not what limits: it does not grow."""

MOST_BY_ONE_STEP = 2.0
SLOWEST = 1.0
"""Requests a second, whatever is refused."""

FORGETTING = 0.1
"""How much of a store's habit is forgotten with each span that shows less of it."""


class Pace:
    """Requests a second that may be sent; infinite until the store first refuses."""

    def __init__(self) -> None:
        self.rate = math.inf
        self._known = 0.0  # what the store accepted when it refused
        self._since = 0.0  # where the cubic begins
        self._habit = 0.0  # share of refusals that a cut did not help against
        self._share_before_cut = 0.0

    def refused(self, span: Measured) -> bool:
        """Learn from a span with refusals. However many they were, they are one storm and one cut.

        Returns whether it was one, or only what the store does at its edge or by habit.
        """
        share = span.refused_share
        cut_before, self._share_before_cut = self._share_before_cut, 0.0
        if share < STORM_SHARE and cut_before < STORM_SHARE and share > cut_before / 2 > 0:
            self._habit = max(self._habit, share)
        if share <= self._habit:
            self.clean(span)
            return False
        if share <= EDGE_SHARE + 1.5 * self._habit:
            self._since += span.seconds
            return False
        self._cut(span)
        return True

    def _cut(self, span: Measured) -> None:
        self._share_before_cut = span.refused_share
        if span.refused_share < OUTAGE_SHARE:
            self._known = span.accepted_lately_per_second
            self.rate = CUT * self._known
        else:
            attempted = span.replies / span.seconds
            self._known = self._known or span.accepted_lately_per_second
            self.rate = max(CUT * min(self.rate, attempted), LEAST_PART * self._known)
        self.rate = max(self.rate, SLOWEST)
        self._known = max(self._known, self.rate)
        depth = (1 - self.rate / self._known) / (1 - CUT)
        self._since = span.now - PLATEAU_SECONDS * (1 - math.cbrt(depth))

    def clean(self, span: Measured) -> None:
        """Grow, where it was used and nothing was refused beyond the habit."""
        if self.rate == math.inf:
            return
        self._share_before_cut = 0.0
        self._habit += (span.refused_share - self._habit) * FORGETTING
        if span.replies < BINDING * self.rate * span.seconds:
            self._since += span.seconds
            return
        depth = 1 - (span.now - self._since) / PLATEAU_SECONDS
        aim = self._known * (1 - (1 - CUT) * depth**3)
        self.rate = max(self.rate, min(aim, MOST_BY_ONE_STEP * self.rate))
