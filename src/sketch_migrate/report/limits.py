"""What limits a run now, in a word, judged from samples of the last seconds. Pure."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from sketch_migrate.s3.limiter import Pressure

if TYPE_CHECKING:
    from collections.abc import Sequence

REFUSALS = "s3 (503)"
LATENCY = "s3 (latency)"
DATABASE = "database"
MACHINE = "this machine"
CAP = "your cap"

BUSY_SHARE = 0.85
"""An event loop that computes for this part of the time is full: what is left goes by in waiting for the system."""

LATE_SECONDS = 0.05
"""A timer that is so late on average waited for a processor, which others may have."""

FEWEST_SAMPLES = 4


class Sample(NamedTuple):
    """One moment: what holds requests back, and how the work stands.

    ``objects_wait`` for a worker; ``all_copying`` says that every iteration waits for its objects. ``busy_share`` is
    the part of one core that the event loop used since the last sample, and ``late_seconds`` how late this one came.
    """

    pressure: Pressure
    objects_wait: bool
    all_copying: bool
    busy_share: float
    late_seconds: float


def limited_by(samples: Sequence[Sample]) -> str:
    """Return the word for what held the run back most of the time; empty while there is too little to tell by."""
    if len(samples) < FEWEST_SAMPLES:
        return ""
    count = len(samples)
    busy = sum(sample.busy_share for sample in samples) / count
    late_seconds = sum(sample.late_seconds for sample in samples) / count
    machine = MACHINE if busy >= BUSY_SHARE or late_seconds >= LATE_SECONDS else ""
    return Counter(_held_by(sample, machine) for sample in samples).most_common(1)[0][0]


def _held_by(sample: Sample, machine: str) -> str:
    """Say what held back at one moment. Rates hold back a machine with time to spare, slots also a busy one."""
    match sample.pressure:
        case Pressure.REFUSALS:
            return REFUSALS
        case Pressure.CAP:
            return CAP
        case Pressure.CEILING:
            return machine or CAP
        case Pressure.WINDOW:
            return machine or LATENCY
        case Pressure.NOTHING:
            if machine or sample.objects_wait:
                return MACHINE
            return CAP if sample.all_copying else DATABASE  # -p and -b hold no more objects than these
