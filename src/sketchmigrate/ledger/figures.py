"""What a migration measured of itself, as its ledger says it: the next plan reckons with that, and assumes nothing."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

FIGURES = "figures"
"""Noted by a migration at its end."""


@dataclass(frozen=True, slots=True)
class RunFigures:
    """Of ``flips`` rows in so many seconds. None is not known.

    ``wal_bytes`` is what the log grew by, less what others wrote before the run at the same rate. ``flip_ms`` is what a
    flip took, of ``flip_rows`` rows, both on average; of several processes it is not known.
    """

    flips: int
    seconds: float
    wal_bytes: float | None = None
    flip_ms: float | None = None
    flip_rows: float | None = None

    @property
    def rows_per_second(self) -> float:
        """Rows a second, without what it did before and waited for afterwards."""
        return self.flips / self.seconds

    @property
    def wal_bytes_a_row(self) -> float | None:
        """WAL a row."""
        return None if self.wal_bytes is None else self.wal_bytes / self.flips

    def noted(self) -> dict[str, str]:
        """Return what the ledger says of it."""
        return {FIGURES: json.dumps(asdict(self))}


def figures_in(description: Mapping[str, str]) -> RunFigures | None:
    """Return what a ledger says of its run; None where it says nothing, as those of earlier versions."""
    with suppress(KeyError, ValueError, TypeError):
        found = RunFigures(**json.loads(description[FIGURES]))
        return found if found.flips > 0 and found.seconds > 0 else None
    return None
