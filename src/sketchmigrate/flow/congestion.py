"""Finds the pressure that a store bears: one for the process, which notes every attempt. Pure: the clock is passed in.

Time is cut into spans: after each decision one latency of time passes, so that replies to requests from before it are
not taken for its effect, then as much is measured, then the next decision is made. On the way of a request there are
two additions and a comparison (0.1 µs); no object belongs to a request.
"""

from __future__ import annotations

import math
from collections import deque
from copy import copy

from sketchmigrate.flow.request_rate import STORM_SHARE, RequestRate
from sketchmigrate.flow.window import PROBE_SPAN_SECONDS, Span, Window

SHORTEST_SPAN_SECONDS = 0.05
LONGEST_SETTLING_SECONDS = 1.0
PACED_SPAN_SECONDS = 1.0
"""Where the store has refused: many count by the second, and a part of one may have no refusal or nothing else."""

FEWEST_REPLIES = 10
"""Fewer do not make a mean: the span goes on."""

FIRST_ACCEPTED = 32
LONGEST_FIRST_SECONDS = 3.0
"""So long the first refusals are waited with until so many replies have come that are none. A refusal comes at once,
and what is accepted takes its time: of 32 requests to a store far away, the first ten replies are refusals."""

SUDDEN_REFUSALS = 8
SUDDEN_SECONDS = 0.25
"""With so many, and a tenth of all, a span ends early, but not before this time."""


class Congestion:
    """``window`` requests may be in flight and ``requests_per_second`` be sent. Both change at a span's end."""

    def __init__(self, ceiling: int, now: float) -> None:
        self._window = Window(ceiling)
        self._request_rate = RequestRate()
        self.window = self._window.size
        self.requests_per_second = math.inf
        self._replies = self._refused = self._faults = 0
        self._latency_seconds = 0.0
        self._began_at = now
        self._sudden_from = now + SUDDEN_SECONDS
        self._turns_at = now + SHORTEST_SPAN_SECONDS
        self._settling = self._storm = False
        self._accepted = 0
        self._lately = deque([(now, 0)])  # at the beginning of spans: how many had been accepted by then

    def part_off(self, part: float, now: float) -> Congestion:
        """Return one for a part of the requests, which the store refuses more than the rest; go on with the rest.

        ``part`` is its share of the requests. Both keep the window; rates are shared out, where one is known.
        """
        other = Congestion(self._window.ceiling, now)
        other._window = copy(self._window)
        other._window.refused()
        other._request_rate = self._request_rate.of_part(part, now)
        self._request_rate = self._request_rate.without_part(part, now)
        self._restart(now)
        other._restart(now)
        other._storm = other._settling = other.requests_per_second < math.inf  # it has just been cut
        return other

    def _restart(self, now: float) -> None:
        """Measure anew, for long enough: what was noted before was of others, too."""
        self.window, self.requests_per_second = self._window.size, self._request_rate.rate
        self._storm = False
        self._replies = self._refused = self._faults = self._accepted = 0
        self._lately = deque([(now, 0)])
        self._begin(now, PACED_SPAN_SECONDS)
        self._sudden_from = self._turns_at

    def limit(self, ceiling: int) -> None:
        """Take another ceiling for the window."""
        self._window.limit(ceiling)
        self.window = self._window.size

    @property
    def frozen(self) -> bool:
        """Whether more in flight would only wait longer."""
        return self._window.frozen

    @property
    def refuses_by_habit(self) -> bool:
        """Whether the store refuses a share of whatever it gets, and no rate is known to be too much."""
        return self.requests_per_second == math.inf and self._request_rate.habit > 0

    @property
    def paces(self) -> bool:
        """Whether what is refused need not wait long before it queues again: a rate is kept to, or none would help."""
        has_rate = self.requests_per_second < math.inf and not self._request_rate.knocking
        return has_rate or self.refuses_by_habit

    def replied(self, now: float, latency_seconds: float) -> bool:
        """Note a reply, whatever it says. Returns whether ``window`` or ``requests_per_second`` may have changed."""
        self._replies += 1
        self._latency_seconds += latency_seconds
        return now >= self._turns_at and self._turn(now)

    def refused(self, now: float) -> bool:
        """Note that the reply noted before said "slow down". Returns what ``replied`` does."""
        if not self._replies:
            return False  # its reply was counted in the span before
        self._refused += 1
        if self._settling:
            return False  # it was sent before the last decision
        sudden = self._refused >= SUDDEN_REFUSALS and self._refused >= STORM_SHARE * self._replies
        # what comes after a cut is its answer, and that is heard to its end
        sudden = sudden and not self._storm and now >= self._sudden_from
        return sudden and not self._is_too_early(now) and self._decide(now)

    def _is_too_early(self, now: float) -> bool:
        """Whether the first refusals have outrun what was accepted."""
        few = self.requests_per_second == math.inf and self._replies - self._refused < FIRST_ACCEPTED
        return self._refused > 0 and few and now < self._began_at + LONGEST_FIRST_SECONDS

    def faulted(self, now: float) -> bool:
        """Note a request that brought no reply, or an error of the server. Returns what ``replied`` does."""
        self._faults += 1
        return now >= self._turns_at and self._turn(now)

    def _turn(self, now: float) -> bool:
        if self._settling:
            if self._storm and 2 * self._refused < self._replies:
                self._request_rate.resume(now)
                self.requests_per_second = self._request_rate.rate
            length_seconds = PROBE_SPAN_SECONDS if self._window.probing else SHORTEST_SPAN_SECONDS
            if self.requests_per_second < math.inf:
                length_seconds = PACED_SPAN_SECONDS
            self._begin(now, max(length_seconds, min(self._window.latency_seconds, LONGEST_SETTLING_SECONDS)))
            return self._storm
        if self._replies + self._faults < FEWEST_REPLIES or now <= self._began_at or self._is_too_early(now):
            return False
        return self._decide(now)

    def _decide(self, now: float) -> bool:
        replies = self._replies
        latency_seconds = self._latency_seconds / replies if replies else 0.0
        accepted = self._accepted + replies - self._refused
        then, accepted_then = self._lately[0]
        span = Span(
            now,
            now - self._began_at,
            replies,
            self._refused,
            self._faults,
            latency_seconds,
            (accepted - accepted_then) / (now - then),
        )
        self._storm = self._learn(span)
        self.window, self.requests_per_second = self._window.size, self._request_rate.rate
        # a store that counts by the second refuses to the end of it whatever we do: that is still the same storm
        settling_seconds = min(self._window.latency_seconds, LONGEST_SETTLING_SECONDS)
        self._begin(now, PACED_SPAN_SECONDS if self._storm else settling_seconds)
        self._settling = True
        return True

    def _learn(self, span: Span) -> bool:
        """Hand a span to request rate and window; return whether it was a storm of refusals."""
        storm = False
        if span.refused:
            storm = self._request_rate.refused(span)
        else:
            self._request_rate.clean(span)
        if storm:
            self._window.refused()
        elif not self._window.faulted(span) and span.replies:
            self._window.measured(span)
        return storm

    def _begin(self, now: float, length_seconds: float) -> None:
        self._settling = False
        self._accepted += self._replies - self._refused
        lately = self._lately
        lately.append((now, self._accepted))
        while len(lately) > 1 and lately[1][0] <= now - PACED_SPAN_SECONDS:
            lately.popleft()
        self._replies = self._refused = self._faults = 0
        self._latency_seconds = 0.0
        self._began_at = now
        self._sudden_from = now + SUDDEN_SECONDS
        self._turns_at = now + length_seconds
