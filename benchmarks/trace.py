"""What a simulated run has done, sample by sample."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar


class Sample(Protocol):
    """A short span of a run, which ended ``at`` a time."""

    @property
    def at(self) -> float:
        """Its end, in seconds from the run's beginning."""


S = TypeVar("S", bound=Sample)


@dataclass(slots=True)
class Trace(Generic[S]):
    """A run, sample by sample."""

    samples: list[S] = field(default_factory=list)

    def between(self, begin: float, end: float = math.inf) -> list[S]:
        """Return the samples of a span of time."""
        return [sample for sample in self.samples if begin < sample.at <= end]

    def mean(self, name: str, begin: float, end: float = math.inf) -> float:
        """Return the mean of a rate over a span of time."""
        values: list[float] = [getattr(sample, name) for sample in self.between(begin, end)]
        return sum(values) / len(values)
