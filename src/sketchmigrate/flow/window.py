"""How many requests may be in flight: doubled, then added to, and left alone where more only wait. Pure.

More in flight help until the store (or the network, or this machine) is busy all the time; from then on each waits
longer, and the rate stays. That is seen without knowing the store: the latency stands above twice its floor, and the
rate does not grow with the window. TCP Vegas goes by the same sign (Brakmo and Peterson, 1995).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

FIRST = 32
"""Where the doubling begins: five steps from there to a thousand."""

CUT = 0.7
HIGH_LATENCY = 2.0
"""Times the floor."""

TOO_HIGH_LATENCY = 3.0
WANTED_LATENCY = 2.5
"""Between twice and three times the floor the window stays as it is: no see-saw."""

GAIN = 0.1
"""Part of a window's growth that must come back as growth of the rate, where the latency is high."""

CHANCE = 2.0
"""Standard deviations: n replies in a span may as well have been the square root of n more."""

BUSY = 0.75
"""A window of which less than this part is used is not what limits: it does not grow."""

UNUSED_SPANS = 4
"""After so many in a row, half of what is not needed is given up: nothing shows any more that the store bears it. TCP
does the same (RFC 2861). Else a window that was opened too far stays so, as nobody uses it and it is never tried."""

STEP_PART = 16
CALM_STEPS = 8
"""After so many steps in a row they are twice as long: the doubling may have ended too early."""

FROZEN_SPANS = 2
"""One bad span is chance, two end the doubling."""

PROBE_SECONDS = 10.0
"""So often a frozen window is halved for a moment, to see whether the floor is still true."""

PROBE_SPAN_SECONDS = 0.4
"""A probe is measured for longer than other spans: it decides for longer, too."""

PROVED = 0.85
"""Half a window that keeps this part of the rate has proved that the other half only waited."""

SLOWER = 0.7
"""A window that suddenly carries less than this part of its rate, at a latency that has risen by as much, is doubled
for a moment: the way to the store may have become longer, or the store slower. Only another window tells which."""

SLOWER_SPANS = 2
SLOWER_SECONDS = 0.5
"""The first span with the new latency has some of the old one in it, and a gap in between. A pause of the store, or of
this machine, is over sooner."""

MANY_FAULTS = 3
FAULTS_SHARE = 0.25
"""Faults that are fewer than these tell of a connection or an object, not of the load."""

CUTS_IN_VAIN = 3
"""After so many cuts, to a third, a share of faults that is as large as before does not come from the load."""

SAME_SHARE = 0.2
"""Shares that differ by less than this part, and what chance may add, are the same."""


@dataclass(frozen=True, slots=True)
class Span:
    """What the requests of one span of time were like, which ended at ``now``.

    ``refused`` are those of the replies that said "slow down".
    ``accepted_lately_per_second`` is the rate of useful replies over a second or more, however short the span was.
    ``faults`` are requests without a reply (time-outs, broken connections) and server errors.
    """

    now: float
    seconds: float
    replies: int
    refused: int
    faults: int
    latency_seconds: float
    accepted_lately_per_second: float

    @property
    def accepted_per_second(self) -> float:
        """The rate of useful replies."""
        return (self.replies - self.refused) / self.seconds

    @property
    def refused_share(self) -> float:
        """Refusals among the replies."""
        return self.refused / self.replies if self.replies else 0.0

    @property
    def in_flight(self) -> float:
        """Requests that were under way on average (Little's law)."""
        return self.replies * self.latency_seconds / self.seconds


class Window:
    """``size`` is the number that may be in flight, at most ``ceiling``; ``frozen`` says that more would only wait."""

    def __init__(self, ceiling: int) -> None:
        self.ceiling = ceiling
        self.size = min(FIRST, ceiling)
        self.latency_seconds = 0.0
        self.frozen = False
        self._floor_seconds = math.inf
        self._doubling = True
        self._step = 1.0
        self._calm_steps = 0
        self._mark = (1, 0.0)  # window and rate when the latency was last not high, or the rate had last grown with it
        self._rate = 0.0
        self._frozen_spans = 0
        self._unused_spans = 0
        self._cuts = 0  # for faults, one after the other
        self._uncut_size, self._share_before_cuts = 0, 0.0
        self._share_by_habit = 0.0
        self._probed_at = -math.inf
        self._probed_size = 0  # the size that a running probe has halved
        self._slower_spans, self._slower_since = 0, 0.0
        self._usual = (0.0, 0.0)  # rate and latency before it became slower
        self._slower: Span | None = None  # before the window was doubled to see what that brings

    @property
    def probing(self) -> bool:
        """Whether half the window is being tried."""
        return self._probed_size > 0

    def limit(self, ceiling: int) -> None:
        """Take another ceiling."""
        self.ceiling = ceiling
        self.size = min(max(self.size, FIRST if self._doubling else 1), ceiling)

    def refused(self) -> None:
        """End the doubling: the store has refused some. The rate is cut, and with it what is in flight."""
        self._end_probe()
        self._end_doubling()

    def faulted(self, span: Span) -> bool:
        """Cut where faults are many; they are one storm and one cut. Return whether they are.

        Where cuts do not help, they are undone: the store fails a share of whatever is sent.
        """
        share = span.faults / (span.replies + span.faults)
        chance = CHANCE * math.sqrt(share * (1 - share) / (span.replies + span.faults))
        usual = self._share_by_habit + chance if self._share_by_habit else 0.0
        if span.faults < MANY_FAULTS or share < max(FAULTS_SHARE, usual):
            self._cuts = 0
            return False
        before = self._share_before_cuts
        if not self._cuts or abs(share - before) > SAME_SHARE * before + chance:
            self._cuts, self._uncut_size, self._share_before_cuts = 0, self.size, share
        if self._cuts == CUTS_IN_VAIN:
            self._cuts, self._share_by_habit = 0, share
            self.size = self._uncut_size
            return False
        self._cuts += 1
        self._end_probe()
        self._end_doubling()
        self.size = max(1, int(CUT * self.size))
        return True

    def measured(self, span: Span) -> None:
        """Learn from a span in which nothing was refused: grow, stay, or look for the floor."""
        used = span.in_flight >= BUSY * self.size
        if self.probing:
            self._judge_probe(span, used=used)
            return
        if self._slower is not None and used:
            self._judge_doubled(self._slower, span)
        became_slower = used and self._became_slower(span)
        smoothed = (self.latency_seconds + span.latency_seconds) / 2 if self.latency_seconds else span.latency_seconds
        self.latency_seconds = smoothed
        self._floor_seconds = min(self._floor_seconds, span.latency_seconds)
        self._rate = (self._rate + span.accepted_per_second) / 2 if self._rate else span.accepted_per_second
        if not used:
            self.frozen = False
            self._give_up_unused(span)
            return
        self._unused_spans = 0
        if became_slower:
            self._slower = span
            self.size = min(2 * self.size, self.ceiling)
            return
        if self._slower_spans:
            return  # the next span tells
        high = smoothed > HIGH_LATENCY * self._floor_seconds
        self.frozen = high and not self._gained(span)
        if self.frozen:
            self._stay(span.now)
        else:
            self._mark = (self.size, span.accepted_per_second)
            self._grow()

    def _give_up_unused(self, span: Span) -> None:
        self._unused_spans += 1
        if self._unused_spans == UNUSED_SPANS:
            self._unused_spans = 0
            enough = max(FIRST, math.ceil(span.in_flight / BUSY))
            self.size = min(self.size, (self.size + enough) // 2)

    def _gained(self, span: Span) -> bool:
        """Say whether the rate has grown with the window since it last did, or since the latency was last not high."""
        size_then, rate_then = self._mark
        growth = self.size / size_then - 1
        chance = CHANCE / math.sqrt(span.replies)
        return growth > 0 and span.accepted_per_second > rate_then * (1 + max(chance, GAIN * growth))

    def _grow(self) -> None:
        self._frozen_spans = 0
        if self._doubling:
            size = 2 * self.size
        else:
            self._calm_steps += 1
            if self._calm_steps % CALM_STEPS == 0:
                self._step *= 2
            size = self.size + math.ceil(self._step)
        self.size = min(size, self.ceiling)

    def _stay(self, now: float) -> None:
        self._frozen_spans += 1
        if self._doubling and self._frozen_spans < FROZEN_SPANS:
            return
        self._end_doubling()
        if now - self._probed_at >= PROBE_SECONDS and self.size > 1:
            self._probed_at = now
            self._probed_size = self.size
            self.size //= 2

    def _end_doubling(self) -> None:
        self._doubling = False
        self._step = max(1.0, self.size / STEP_PART)
        self._calm_steps = 0

    def _judge_probe(self, half: Span, *, used: bool) -> None:
        """Go back to the size before, and let the floor rise only where half of it carried less.

        Half the window has half the queue at least. So the floor that a queue of our own pretends is never believed.
        """
        whole = self._end_probe()
        if not used:
            return
        if half.accepted_per_second < PROVED * self._rate:
            self._floor_seconds = half.latency_seconds
            self.latency_seconds = half.latency_seconds
            return
        self._floor_seconds = min(self._floor_seconds, half.latency_seconds)
        ratio = self.latency_seconds / self._floor_seconds
        if ratio > TOO_HIGH_LATENCY:
            self.size = max(1, int(whole * max(0.5, WANTED_LATENCY / ratio)))

    def _became_slower(self, span: Span) -> bool:
        """Whether the same window has carried less for some spans, because each request takes longer."""
        rate, latency_seconds = self._usual if self._slower_spans else (self._rate, self.latency_seconds)
        is_slower = span.accepted_per_second < SLOWER * rate and SLOWER * span.latency_seconds > latency_seconds > 0
        if not is_slower or self.size == self.ceiling:
            self._slower_spans = 0
            return False
        if not self._slower_spans:
            self._usual, self._slower_since = (rate, latency_seconds), span.now
        self._slower_spans += 1
        if self._slower_spans < SLOWER_SPANS or span.now - self._slower_since < SLOWER_SECONDS:
            return False
        self._slower_spans = 0
        return True

    def _judge_doubled(self, half: Span, whole: Span) -> None:
        """Believe the latency, and look for the window anew, where twice as many in flight carried more.

        Else they only waited: go back. It is the same proof as that of a probe, from the other side.
        """
        self._slower = None
        has_passed = whole.latency_seconds < PROVED * half.latency_seconds  # it was a pause, and no longer way
        now = half.accepted_per_second, half.latency_seconds
        self._rate, self.latency_seconds = self._usual if has_passed else now
        if not has_passed and half.accepted_per_second < PROVED * whole.accepted_per_second:
            self._floor_seconds = half.latency_seconds
            self._doubling = True
            self._frozen_spans = 0
        else:
            self.size = max(1, self.size // 2)

    def _end_probe(self) -> int:
        """Restore the size that a probe has halved, and return it."""
        whole, self._probed_size = self._probed_size, 0
        self._slower = None
        if whole:
            self.size = min(whole, self.ceiling)
        return whole
