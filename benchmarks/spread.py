"""The middle and the spread of a few measured values."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class Spread:
    """The median, the least and the most of ``count`` values."""

    median: float
    least: float
    most: float
    count: int

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """Sum the values up. Raises ``ValueError`` where there are none."""
        found = sorted(values)
        if not found:
            message = "there is nothing to take the median of"
            raise ValueError(message)
        return cls(median(found), found[0], found[-1], len(found))
