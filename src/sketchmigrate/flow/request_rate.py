"""How many requests a second a store takes that refuses some: x0.7 where it does, and back along a curve. Pure.

A refusal (503, SlowDown, 429) tells of a rate and not of a number in flight: a store near by that allows 500 requests a
second answers in a millisecond, and half a request in flight is the right number. So it is the rate that is cut.

The way back is like that of TCP CUBIC (RFC 9438, section 4.2) and of the AWS SDKs' adaptive mode: soon near the rate
at which the store refused, slowly past it, then faster and faster, because stores grow under load (S3 parts a prefix).
Straight lines with the same cut would use 85 % of a fixed limit on average, CUBIC 93 %, the fifth power 95 %; and it
passes the limit so slowly that it is mostly held at its edge, without a further cut.

A cut is also a question: does the store refuse what is too much, or a share of whatever it gets? At half the rate the
first refuses nothing, and the second as large a share as before. That share is its habit: it tells of no rate, and to
cut for it again and again ends at one request a second.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sketchmigrate.flow.window import Span

CUT = 0.7
PLATEAU_SECONDS = 5.0
"""After a cut, the rate is back at that of the refusal in this time; in twice the time it is 30 % above."""

POWER = 5

EDGE_SHARE = 0.01
"""Fewer refusals than this are the edge of what the store takes: the rate is held there. S3 also refuses a few for
reasons of its own; cut for each of them, a rate would never be what the store allows."""

CLEAN_SHARE = 0.0025
"""So few are no sign of the edge: the rate grows."""

FEWEST_REFUSALS = 2
"""One is no storm, in however short a span."""

STORM_SHARE = 0.1
"""So many refusals are never a store's habit."""

NEAR = 0.85
"""What the last clean span accepted tells the limit if it is this near to what the span with refusals accepted."""

LEAST_PART = 0.05
"""A store that accepts less than this part of what is sent is out of order and not telling its limit: that stays what
it was, and the same part of it keeps knocking."""

BINDING = 0.8
"""A rate of which less than this part is used is not what limits: it does not grow."""

SEARCH = 1.25
"""The first refusals come within the doubling, where no rate has been kept for long enough to be known: until the next
ones the rate grows by so much with each span."""

MOST_BY_ONE_STEP = 2.0
SLOWEST = 1.0
"""Requests a second, whatever is refused."""

FORGETTING = 0.1
"""How much of a store's habit is forgotten with each span that shows another one."""

MOST_HABIT = 0.8
"""Who refuses more is out of order, whatever that depends on, and is knocked at softly."""

SAME_SHARE = 0.1
"""A share that differs by less than this part, and what chance may add, is the same."""

CREEP = 1.25
"""A habit is believed up to this multiple of what it was at the low rate. Else it would grow with the rate, until all
that is too much is called a habit."""

DEVIATIONS = 2.0
"""So far a share may be from the habit by chance: that of ten replies is a rough one."""


class RequestRate:
    """Requests a second that may be sent; infinite until the store first refuses."""

    def __init__(self) -> None:
        self.rate = math.inf
        self._known = 0.0  # what the store accepted when it refused
        self._since = 0.0  # where the cubic begins
        self._habit = self._most_habit = 0.0  # share of refusals that a cut did not help against
        self._share_before_cut = 0.0
        self._searching = False
        self._knocking = False  # at a store that is out of order
        self._accepted = 0.0  # in the last span without a storm

    @property
    def habit(self) -> float:
        """The share that the store refuses whatever is sent, as far as it is known; 0 for none."""
        return self._habit

    @property
    def knocking(self) -> bool:
        """Whether the store is out of order, and only asked whether it still is."""
        return self._knocking

    def of_part(self, part: float, now: float) -> RequestRate:
        """Return that of a part of what is accepted, which is refused more than the rest: it was too much for it."""
        rate = RequestRate()
        if self.rate < math.inf:
            rate._known = max(SLOWEST, part * max(self._known, self.rate))
            rate.rate = max(SLOWEST, CUT * rate._known)
            rate._since = now
            rate._searching = True
        return rate

    def without_part(self, part: float, now: float) -> RequestRate:
        """Return that of the rest, for which it was not too much: how much is has to be found anew."""
        rate = RequestRate()
        if self.rate < math.inf:
            rate._known = rate.rate = max(SLOWEST, (1 - part) * max(self._known, self.rate))
            rate._since = now - PLATEAU_SECONDS
            rate._searching = True
        return rate

    def refused(self, span: Span) -> bool:
        """Learn from a span with refusals. However many they were, they are one storm and one cut.

        Returns whether it was one, or only what the store does at its edge or by habit.
        """
        share = span.refused_share
        cut_before = self._share_before_cut
        if cut_before:
            self._share_before_cut = 0.0
            self._habit = min(self._habit, share)
            if self._is_as_before(span, cut_before):
                self._learn_habit(share)
                return False
        if share <= max(self._habit, CLEAN_SHARE):
            self.clean(span)
            return False
        if share <= self._tolerated(span) or span.refused < FEWEST_REFUSALS:
            self._since += span.seconds
            self._accepted = span.accepted_per_second
            self._follow_habit(share)
            return False
        if self._knocking and 1 - share > LEAST_PART:
            self._knocking = False  # the store came back within this span: the next one tells what it takes
            return True
        self._cut(span, again=cut_before > 0)
        return True

    def _is_as_before(self, span: Span, before: float) -> bool:
        """Whether the store refuses the same share, though the rate was cut in between."""
        share = span.refused_share
        chance = DEVIATIONS * math.sqrt(before * (1 - before) / span.replies)
        is_storm = max(share, before) >= STORM_SHARE
        least = before - SAME_SHARE * before - chance if is_storm else before / 2
        most = before + SAME_SHARE * before + chance if is_storm else STORM_SHARE
        return least < share < min(most, MOST_HABIT)

    def _learn_habit(self, share: float) -> None:
        """Believe that the store refuses this share of whatever is sent: so no rate is known to be too much."""
        self._habit = share
        self._most_habit = CREEP * share
        self.rate = math.inf
        self._known = 0.0

    def _tolerated(self, span: Span) -> float:
        """Return the share of refusals up to which a span says nothing of the rate."""
        habit = self._habit
        chance = DEVIATIONS * math.sqrt(habit * (1 - habit) / span.replies)
        return EDGE_SHARE + min(1.5 * habit, habit + (1 - habit) / 4) + chance

    def _follow_habit(self, share: float) -> None:
        self._habit = min(self._habit + (share - self._habit) * FORGETTING, self._most_habit)

    def _cut(self, span: Span, *, again: bool) -> None:
        self._share_before_cut = span.refused_share
        accepted = span.accepted_lately_per_second
        self._searching = self.rate == math.inf or (again and self._searching)
        if not again:
            # Too high an estimate leads to another storm and a better one; too low a one is only left behind slowly.
            accepted = max(accepted, span.accepted_per_second)
            # What came shortly before the refusals holds no burst that the store allows once in a while.
            if self.rate < math.inf and NEAR * accepted < self._accepted < accepted:
                accepted = self._accepted
        attempted = span.replies / span.seconds
        if not again and not self._knocking and self.rate < math.inf and attempted < BINDING * self.rate:
            # It was not sent at all times: what was accepted tells less than the part that was refused at this pace.
            accepted = max(accepted, self.rate * (1 - span.refused_share))
        if accepted > LEAST_PART * attempted:
            self._known = accepted / (1 - self._habit)
            self.rate = CUT * self._known
        else:
            self._known = self._known or accepted
            self.rate = max(CUT * min(self.rate, attempted), LEAST_PART * self._known)
            self._knocking = True
        self.rate = max(self.rate, SLOWEST)
        self._known = max(self._known, self.rate)
        depth = (1 - self.rate / self._known) / (1 - CUT)
        self._since = span.now - PLATEAU_SECONDS * (1 - depth ** (1 / POWER))

    def clean(self, span: Span) -> None:
        """Grow, where it was used and nothing was refused beyond the habit."""
        self._accepted = span.accepted_per_second
        self._knocking = False
        if self._share_before_cut:
            self._share_before_cut = 0.0
            self._habit = min(self._habit, span.refused_share)
        self._follow_habit(span.refused_share)
        if self.rate == math.inf:
            return
        if span.replies < BINDING * self.rate * span.seconds:
            self._since += span.seconds
            return
        if self._searching:
            self.rate *= SEARCH
            self._known = max(self._known, self.rate)
            self._since = span.now - PLATEAU_SECONDS
        self.resume(span.now)

    def resume(self, now: float) -> None:
        """Go on along the curve: the storm is over."""
        if self.rate < math.inf:
            depth = 1 - (now - self._since) / PLATEAU_SECONDS
            aim = self._known * (1 - (1 - CUT) * depth**POWER)
            self.rate = max(self.rate, min(aim, MOST_BY_ONE_STEP * self.rate))
