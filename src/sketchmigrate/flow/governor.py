"""How many rows a second may be flipped, by what the database feels. Pure: it is told, and decides.

One limit counts at a time, the one that is nearest. Up to half of it the run is as fast as it can be. From there on it
is slowed, in proportion to what is left of the limit, and at the limit it is stopped. So there is a rate at which the
database and the run are in balance, somewhere between half of the limit and the whole, and the run stays there: on and
off would be felt more than either.

What is slowed in proportion is a rate that moves slowly (``_base``): it was the run's own when the slowing began, falls
while the limit comes nearer than ``TARGET``, and grows while it moves away. It is moved only where the trend is wrong
as well, since both at once would swing. Whoever was stopped comes back from an eighth of it, and only slowly beyond the
rate that was too much.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from sketchmigrate.flow.sliding_rate import SlidingRate

if TYPE_CHECKING:
    from collections.abc import Sequence

SLOWED_FROM = 0.5
"""Of a limit."""

STOPPED_FROM = 0.99
"""A hair before it: what is under way still comes."""

TARGET = 0.75
"""The part of a limit around which a run that is too fast for the database is held."""

ADJUSTED_A_SECOND = 0.05
"""By this part the slow rate moves in a second: twice as much, or half, in 14 seconds."""

NEAR_TOO_MUCH_A_SECOND = 0.005
NEAR_TOO_MUCH = (0.85, 1.15)
"""And so slowly it grows around a rate with which the limit was reached before."""

CUT = 0.7
"""What is left of the slow rate when the limit was reached."""

COMES_BACK_FROM = 1 / 8
COMES_BACK_BY = 1.5
"""After a stop: this part of the slow rate at first, and so many times as much with each second."""

FREE_SECONDS = 10.0
"""A limit that has held nothing back for so long is over."""

BINDING = 0.6
"""A rate of which less than this part is used holds nothing back."""

BEYOND = 1.25
"""So many times the fastest that the run ever was hold nothing back either."""

FIRST_ROWS_PER_SECOND = 500.0
"""Where the run has no rate of its own yet."""

LEAST_PART = 1 / 100
"""Of the run's own rate: so much goes on below the limit, whatever holds it near there. Nobody waits for ever for
a standby that others keep busy."""

LONGEST_LOOK_SECONDS = 5.0
"""More time between two looks counts as this: the process was stopped, or the database did not answer."""


class Strain(NamedTuple):
    """How near the database is to one limit: a ``share`` of 1.0 is at it.

    ``setting`` is the name of the limit, and ``text`` says what is strained, with its figures. An infinite share is no
    matter of the run's rate: it stops the run as long as it is there, and tells of no rate that was too much.
    """

    setting: str
    share: float
    text: str


@dataclass(frozen=True, slots=True)
class Decision:
    """``rows_per_second``: infinite is as fast as it can, 0 not at all. ``strain`` is what limits it, if anything.

    ``is_coming_back``: the strain is over, and the run is not yet as fast as it was. ``is_binding``: a person's own cap
    is about as fast as the run is.
    """

    rows_per_second: float = math.inf
    strain: Strain | None = None
    is_coming_back: bool = False
    is_binding: bool = True

    @property
    def is_stopped(self) -> bool:
        """Whether nothing may be flipped."""
        return self.rows_per_second <= 0


class Limited(NamedTuple):
    """What a limit did to a run: how it was said at its worst, for how many seconds, and how many of them stopped."""

    setting: str
    what: str
    seconds: float
    stopped_seconds: float


class Governor:
    """Looks at the strains of a moment, and decides. ``look`` about once a second; the clock (monotonic) is passed in.

    ``most_rows_per_second`` is a person's own cap, infinite without one.
    """

    def __init__(self, most_rows_per_second: float = math.inf) -> None:
        self._most = most_rows_per_second
        self._base = self._own = math.inf  # infinite while nothing is slowed
        self._too_much = math.inf
        self._allowed = math.inf
        self._share = 0.0
        self._looked_at: float | None = None
        self._unbound_since: float | None = None
        self._was_stopped = False
        self._measured = SlidingRate()
        self._strain: Strain | None = None

    def limit(self, most_rows_per_second: float) -> None:
        """Take another cap from now on."""
        self._most = most_rows_per_second

    def look(self, now: float, strains: Sequence[Strain], rows: int) -> Decision:
        """Decide by the strains of now, and by how many rows the run has flipped in all."""
        worst = max(strains, key=lambda each: each.share, default=None)
        share = worst.share if worst is not None else 0.0
        seconds = 0.0 if self._looked_at is None else min(LONGEST_LOOK_SECONDS, now - self._looked_at)
        trend, self._share, self._looked_at = share - self._share, share, now
        self._measured.seen(now, rows)
        if share >= STOPPED_FROM:
            self._stop(share)
        elif self._base < math.inf or share > SLOWED_FROM:
            self._slow(share, trend, seconds)
            self._perhaps_free(now, share)
        if self._allowed >= self._most:
            return Decision(self._most, is_binding=self._actual > BINDING * self._most)
        if worst is not None and share > SLOWED_FROM:
            self._strain = worst
            return Decision(self._allowed, worst)
        return Decision(self._allowed, self._strain, is_coming_back=True)

    @property
    def _actual(self) -> float:
        """The run's own rate, lately."""
        return self._measured.per_second

    def _begin(self) -> None:
        """Take the run's own rate for what is slowed."""
        if self._base == math.inf:
            self._base = self._own = max(self._actual, FIRST_ROWS_PER_SECOND)
            self._allowed = self._base

    def _stop(self, share: float) -> None:
        self._begin()
        if not self._was_stopped and share < math.inf:
            self._too_much = max(min(self._base, self._actual), self._base * COMES_BACK_FROM)
            self._base = max(self._base * CUT, self._own * LEAST_PART)
        self._was_stopped = True
        self._allowed = 0.0
        self._unbound_since = None

    def _slow(self, share: float, trend: float, seconds: float) -> None:
        self._begin()
        self._was_stopped = False
        self._own = max(self._own, self._actual)
        if share > TARGET and trend >= 0:
            self._base *= math.exp(-ADJUSTED_A_SECOND * seconds)
        elif share < TARGET and trend <= 0:
            low, high = NEAR_TOO_MUCH
            is_near = low < self._base / self._too_much < high
            self._base *= math.exp((NEAR_TOO_MUCH_A_SECOND if is_near else ADJUSTED_A_SECOND) * seconds)
        least = self._own * LEAST_PART
        self._base = max(least, min(self._base, max(2 * self._actual, BEYOND * self._own)))
        wanted = self._base * min(1.0, (1 - share) / (1 - SLOWED_FROM))
        comes_back = max(self._allowed * COMES_BACK_BY**seconds, self._base * COMES_BACK_FROM)
        self._allowed = max(least, min(wanted, comes_back))

    def _perhaps_free(self, now: float, share: float) -> None:
        """Let the run be as fast as it can where the limit is far, and the rate holds nothing back any more."""
        if share > SLOWED_FROM or self._actual > BINDING * self._allowed:
            self._unbound_since = None
        elif self._unbound_since is None:
            self._unbound_since = now
        is_over = self._unbound_since is not None and now - self._unbound_since >= FREE_SECONDS
        if share <= SLOWED_FROM and (is_over or self._allowed >= BEYOND * self._own):
            self._base = self._own = self._allowed = self._too_much = math.inf
            self._unbound_since = self._strain = None
