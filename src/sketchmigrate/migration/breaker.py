"""Whether so many flips failed that the run had better end. Pure: it is told of each batch, and answers.

What fails flip after flip is no matter of single rows: a CHECK that is the old prefix, a trigger that puts every path
in capitals. Each object would be copied first, and each row refused by itself.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from sketchmigrate.core.errors import TooManyFailed
from sketchmigrate.core.plural import counted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sketchmigrate.core.errors import DatabaseError

FIRST_FLIPS = 1_000
"""So many are waited for before anything is judged: if all of them failed for one cause, so will the rest."""

RECENT_FLIPS = 10_000
"""The share is that of the last so many."""

NEVER = 100
"""The percentage that cannot be passed."""

_LOCKED = frozenset({"55P03", "40P01", "40001"})


def cause_of(error: DatabaseError) -> str | None:
    """Return what an error counts as, by its SQLSTATE; None for a row that was locked, which does not count."""
    return None if error.sqlstate in _LOCKED else error.sqlstate or type(error).__name__


@dataclass(frozen=True, slots=True)
class FlipCounts:
    """Flips that were made, and those that the database did not take, by cause. Picklable."""

    flipped: int = 0
    failed: Mapping[str, int] = field(default_factory=dict)

    @property
    def flips(self) -> int:
        """How many were tried."""
        return self.flipped + sum(self.failed.values())

    def since(self, earlier: FlipCounts) -> FlipCounts:
        """Return what came since then."""
        return FlipCounts(max(0, self.flipped - earlier.flipped), dict(Counter(self.failed) - Counter(earlier.failed)))


class Breaker:
    """Adds up the flips of a run, and says when it had better end.

    That is once the first ``FIRST_FLIPS`` all failed for one cause, or more than ``max_failed_percent`` of the last
    ``RECENT_FLIPS`` did, for whatever causes; where there were fewer yet, of those, from ``FIRST_FLIPS`` on. With
    ``NEVER`` it only counts. What S3 failed and what is locked is not told to it.
    """

    def __init__(self, max_failed_percent: float) -> None:
        self._max_failed_percent = max_failed_percent
        self._flips = self._flipped = 0
        self._failed: Counter[str] = Counter()
        self._recent: deque[FlipCounts] = deque()
        self._recent_flips = 0
        self._recent_failed: Counter[str] = Counter()

    def limit(self, max_failed_percent: float) -> None:
        """Go by another limit from now on."""
        self._max_failed_percent = max_failed_percent

    @property
    def counts(self) -> FlipCounts:
        """All that it was told."""
        return FlipCounts(self._flipped, dict(self._failed))

    def note(self, flipped: int, failed: Mapping[str, int] = MappingProxyType({})) -> TooManyFailed | None:
        """Take note of a batch: how many were flipped, and how many failed, by cause. Return why to end, or None.

        It is for several iterations in turn: their batches count in the order in which they are told.
        """
        batch = FlipCounts(flipped, dict(failed))
        were_first = self._flips < FIRST_FLIPS
        self._flips += batch.flips
        self._flipped += flipped
        self._failed.update(failed)
        self._slide(batch)
        if self._max_failed_percent >= NEVER or self._flips < FIRST_FLIPS:
            return None
        if were_first and not self._flipped and len(self._failed) == 1:
            return self._why(f"all of the first {self._flips:,} flips failed", self._failed)
        failures = self._recent_failed.total()
        if failures * 100 > self._max_failed_percent * self._recent_flips:
            return self._why(f"{failures:,} of the last {self._recent_flips:,} flips failed", self._recent_failed)
        return None

    def _slide(self, batch: FlipCounts) -> None:
        """Let the oldest batches go, each as a whole, as long as enough flips are left without it."""
        self._recent.append(batch)
        self._recent_flips += batch.flips
        self._recent_failed.update(batch.failed)
        while (left := self._recent_flips - self._recent[0].flips) >= RECENT_FLIPS:
            self._recent_failed.subtract(self._recent.popleft().failed)
            self._recent_flips = left

    def _why(self, what: str, failed: Counter[str]) -> TooManyFailed:
        told = ", ".join(f"{_named(cause)}: {counted(rows, 'row')}" for cause, rows in failed.most_common() if rows)
        hint = (
            "Nothing more was begun, and these rows are unchanged. Look at their reasons, mend the table or the rows,"
            f" and run again. MAX_FAILED_PERCENT ({self._max_failed_percent:g}) ends a run so; {NEVER} never does."
        )
        return TooManyFailed(f"{what} ({told})", hint=hint)


def _named(cause: str) -> str:
    return f"SQLSTATE {cause}" if len(cause) == 5 and cause.isalnum() and cause.upper() == cause else cause  # noqa: PLR2004 - the code's length
