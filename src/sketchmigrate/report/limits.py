"""What limits a run now, in a word, judged from samples of the last seconds. Pure."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from sketchmigrate.flow.limiter import Pressure

if TYPE_CHECKING:
    from collections.abc import Sequence

REFUSALS = "s3 (503)"
LATENCY = "s3 (latency)"
DATABASE = "database"
MACHINE = "this machine"
ERRORS = "s3 (errors)"
CONCURRENCY = "MAX_CONCURRENCY"
RATE = "MAX_REQUESTS_PER_SECOND"
BANDWIDTH = "MAX_BANDWIDTH"
BATCHES = "-p and -b"
MEMORY = "STREAM_MEMORY"

_WORDS = {
    Pressure.REFUSALS: REFUSALS,
    Pressure.RATE_CAP: RATE,
    Pressure.BANDWIDTH_CAP: BANDWIDTH,
    Pressure.CEILING: CONCURRENCY,
    Pressure.WINDOW: LATENCY,
}

BUSY_SHARE = 0.85
"""An event loop that computes for this part of the time is full: what is left goes by in waiting for the system."""

LATE_SECONDS = 0.05
"""A timer that is so late on average waited for a processor, which others may have."""

FEWEST_SAMPLES = 4


class Sample(NamedTuple):
    """One moment: what holds requests back, and how the work stands.

    ``objects_wait`` for a worker; ``all_copying`` says that every iteration waits for its objects, ``retrying`` that
    most of these have failed and wait for their next attempt, ``memory_is_short`` that objects which are streamed wait
    for room. ``busy_share`` is the part of one core that the event loop used since the last sample, and
    ``late_seconds`` how late this one came.
    """

    pressure: Pressure
    objects_wait: bool
    all_copying: bool
    retrying: bool
    memory_is_short: bool
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
    if sample.pressure is not Pressure.NOTHING:
        slots_only = sample.pressure in (Pressure.CEILING, Pressure.WINDOW)
        return (slots_only and machine) or _WORDS[sample.pressure]
    if sample.memory_is_short:
        return MEMORY
    if machine or sample.objects_wait:
        return MACHINE
    if not sample.all_copying:
        return DATABASE
    return ERRORS if sample.retrying else BATCHES  # no more objects than -p times -b are held
