"""How a run went, made of its samples: rates, percentiles, refusals, and what held it back. Pure.

Counts of samples are those of the whole run so far, so what came in between is the difference of two.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from sketchmigrate.core.sample import LATENCY_BOUNDS_MS, Sample
from sketchmigrate.core.traffic import NO_REPLY
from sketchmigrate.report import limits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

MOST_POINTS = 120
"""A line of more points is no calmer: rows come in batches, and each second has another number of them."""

_REFUSED_FROM = 500
_THROTTLED = 429

PLAIN = frozenset(
    {limits.LATENCY, limits.DATABASE, limits.MACHINE, limits.CONCURRENCY, limits.BATCHES, limits.MEMORY, ""}
)
"""What always holds a run back, as something must: it is no trouble, and is not shaded."""


class Interval(NamedTuple):
    """What came between two samples. Times are seconds since the beginning of the record."""

    begin: float
    end: float
    earlier: Sample
    later: Sample

    @property
    def seconds(self) -> float:
        """How long it is."""
        return max(self.end - self.begin, 1e-3)

    @property
    def middle(self) -> float:
        """Where its point is on a line."""
        return (self.begin + self.end) / 2


class Phase(NamedTuple):
    """A time in which one thing held the run back; empty for nothing known."""

    begin: float
    end: float
    limit: str
    is_stopped: bool

    @property
    def seconds(self) -> float:
        """How long it was."""
        return self.end - self.begin

    @property
    def is_trouble(self) -> bool:
        """Whether it is more than what always holds a run back."""
        return self.is_stopped or self.limit not in PLAIN


@dataclass(frozen=True)
class Course:
    """How a run went. There must be one sample at least; before the first, nothing was counted."""

    samples: tuple[Sample, ...]

    @cached_property
    def began_at(self) -> float:
        """The Unix time at which the record begins: as long before the first sample as samples are apart."""
        steps = [later.at - earlier.at for earlier, later in pairwise(self.samples)]
        return self.samples[0].at - (median(steps) if steps else 1.0)

    @property
    def seconds(self) -> float:
        """How long the record is."""
        return self.samples[-1].at - self.began_at

    @cached_property
    def _all(self) -> tuple[Interval, ...]:
        nothing = Sample(self.began_at, {})
        at = [each.at - self.began_at for each in (nothing, *self.samples)]
        pairs = zip(pairwise(at), pairwise((nothing, *self.samples)), strict=True)
        return tuple(Interval(begin, end, *both) for (begin, end), both in pairs if end > begin)

    @cached_property
    def intervals(self) -> tuple[Interval, ...]:
        """What came in between, in ``MOST_POINTS`` parts at most."""
        step = -(-len(self._all) // MOST_POINTS)
        parts = [self._all[first : first + step] for first in range(0, len(self._all), step)] if self._all else []
        return tuple(Interval(part[0].begin, part[-1].end, part[0].earlier, part[-1].later) for part in parts)

    @cached_property
    def phases(self) -> tuple[Phase, ...]:
        """What held the run back, one after the other."""
        found: list[Phase] = []
        for each in self._all:
            limit, is_stopped = limit_of(each.later.limit), each.later.is_stopped
            if found and found[-1][2:] == (limit, is_stopped):
                found[-1] = found[-1]._replace(end=each.end)
            else:
                found.append(Phase(each.begin, each.end, limit, is_stopped))
        return tuple(found)

    def limited(self) -> list[tuple[str, float, float]]:
        """Return each thing that held the run back, for how many seconds, and how many of them stopped: most first."""
        seconds: Counter[str] = Counter()
        stopped: Counter[str] = Counter()
        for phase in self.phases:
            seconds[phase.limit] += phase.seconds  # type: ignore[assignment]  # seconds have fractions
            stopped[phase.limit] += phase.seconds if phase.is_stopped else 0.0  # type: ignore[assignment]
        return [(limit, length, stopped[limit]) for limit, length in seconds.most_common()]

    def rate(self, count: Callable[[Sample], float]) -> list[tuple[float, float | None]]:
        """Return how many of something came a second."""
        return [(each.middle, _more(count(each.earlier), count(each.later)) / each.seconds) for each in self.intervals]

    def level(self, value: Callable[[Sample], float | None]) -> list[tuple[float, float | None]]:
        """Return how much of something there was; None where nobody knows."""
        return [(each.end, value(each.later)) for each in self.intervals]

    def percentile(self, part: float) -> list[tuple[float, float | None]]:
        """Return the time in ms within which this part of all replies came; None where none came."""
        return [
            (each.middle, percentile(_more_of(classes_of(each.earlier), classes_of(each.later)), part))
            for each in self.intervals
        ]

    def knows(self, value: Callable[[Sample], float | None]) -> bool:
        """Whether any sample tells it."""
        return any(value(sample) is not None for sample in self.samples)


def limit_of(text: str) -> str:
    """Return what held a run back, without what is particular of the moment; of a pause who has ordered it stays."""
    return text if text.startswith("paused by ") else limits.limit_name(text)


def is_refusal(status: str) -> bool:
    """Whether a reply of this status refused the request, or none came: the request is made again."""
    if status == NO_REPLY:
        return True
    return status.isdecimal() and (int(status) >= _REFUSED_FROM or int(status) == _THROTTLED)


def refusals(sample: Sample) -> int:
    """Count the requests that were refused, or got no reply."""
    return sum(count for counts in sample.replies.values() for status, count in counts.items() if is_refusal(status))


def requests(replies: Mapping[str, Mapping[str, int]]) -> int:
    """Count requests."""
    return sum(sum(counts.values()) for counts in replies.values())


def percentile(classes: Sequence[int], part: float) -> float | None:
    """Return the time in ms within which this part of replies came, counted in classes of ``LATENCY_BOUNDS_MS``.

    Within a class they count as evenly spread; of the last one, which has no end, its beginning is told. None is no
    reply.
    """
    total = sum(classes)
    if total <= 0:
        return None
    wanted, passed = part * total, 0
    for number, count in enumerate(classes):
        if count and passed + count >= wanted:
            low = LATENCY_BOUNDS_MS[number - 1] if number else 0
            if number >= len(LATENCY_BOUNDS_MS):
                return float(low)
            return low + (LATENCY_BOUNDS_MS[number] - low) * (wanted - passed) / count
        passed += count
    return float(LATENCY_BOUNDS_MS[-1])


def classes_of(sample: Sample) -> tuple[int, ...]:
    """Return the replies of all operations together, in the classes of their times."""
    return tuple(map(sum, zip(*sample.latency.values(), strict=False)))


def _more(earlier: float, later: float) -> float:
    """Return what was added. Counts that begin anew, as those of a second phase, begin at 0."""
    return later - earlier if later >= earlier else later


def _more_of(earlier: Sequence[int], later: Sequence[int]) -> list[int]:
    before = [*earlier, *[0] * (len(later) - len(earlier))]
    return [round(_more(old, new)) for old, new in zip(before, later, strict=False)]
