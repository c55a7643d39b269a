"""A database as arithmetic: told how many rows are flipped, it says what its vitals are."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sketchmigrate.postgres.vitals import Slot, Standby, Vacuum, Vitals

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

MEGABYTE = 1_000_000


def constant(value: float) -> Callable[[float], float]:
    """Return what is always the same."""
    return lambda _now: value


def during(begin: float, end: float, value: float, otherwise: float) -> Callable[[float], float]:
    """Return what is another from one time to another."""
    return lambda now: value if begin <= now < end else otherwise


@dataclass(slots=True)
class SimulatedDatabase:
    """What a database does in time; rates are functions of the time in seconds.

    ``replays`` is how many bytes of WAL a second its standby replays at most, ``reads`` how many the reader of its
    slot; None is no standby, and no slot. ``application`` writes so many itself. ``waits_a_row`` sessions wait for each
    row that we flip in a second, as chance has it. ``vacuums`` says when one to prevent wraparound is at work.
    """

    row_bytes: int = 500
    application: Callable[[float], float] = field(default_factory=lambda: constant(0.2 * MEGABYTE))
    replays: Callable[[float], float] | None = None
    reads: Callable[[float], float] | None = None
    slot_keep_bytes: int = -1
    waits_a_row: float = 0.0
    vacuums: Callable[[float], bool] = lambda _now: False
    chance: Random | None = None
    lsn: float = 10.0 * MEGABYTE
    replayed: float = 10.0 * MEGABYTE
    read: float = 10.0 * MEGABYTE
    rows_per_second: float = 0.0

    def pass_by(self, now: float, seconds: float, rows: float) -> None:
        """Let some time pass, in which so many rows are flipped."""
        self.lsn += rows * self.row_bytes + self.application(now) * seconds
        self.rows_per_second = rows / seconds
        if self.replays is not None:
            self.replayed = min(self.lsn, self.replayed + self.replays(now) * seconds)
        if self.reads is not None:
            self.read = min(self.lsn, self.read + self.reads(now) * seconds)

    def vitals(self, now: float) -> Vitals:
        """Look at it."""
        return Vitals(
            wal_lsn=round(self.lsn),
            slot_keep_bytes=self.slot_keep_bytes,
            standbys=() if self.replays is None else (Standby("standby-2", round(self.replayed)),),
            slots=() if self.reads is None else (Slot("reader", round(self.read)),),
            vacuums=(Vacuum("avatars", prevents_wraparound=True),) if self.vacuums(now) else (),
            lock_waiters=self._waiters(),
        )

    def _waiters(self) -> int:
        """Return how many wait in one moment: a number of Poisson's (Knuth's way), as flips come by themselves."""
        if self.chance is None:
            return 0
        least, product, waiting = math.exp(-self.waits_a_row * self.rows_per_second), self.chance.random(), 0
        while product > least:
            product *= self.chance.random()
            waiting += 1
        return waiting
