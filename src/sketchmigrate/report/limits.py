"""What limits a run now, in a word, judged from samples of the last seconds. Pure."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from sketchmigrate.flow.limiter import Pressure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sketchmigrate.flow.governor import Limited

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
GOVERNOR = "the limits on what the database feels"
"""Of a run as a whole; while it is slowed or stopped, it says by which."""

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

    ``objects_wait`` for a worker; ``all_copying`` says that every iteration that has not ended waits for its objects,
    ``some_ended`` that there are ended ones, as no batch is left for them, ``retrying`` that most of these objects have
    failed and wait for their next attempt, ``memory_is_short`` that objects which are streamed wait for room.
    ``busy_share`` is the part of one core that the event loop used since the last sample, and ``late_seconds`` how late
    this one came. ``prefix`` is the one for whose own rate most requests wait, where a store refuses one of several.
    """

    pressure: Pressure
    objects_wait: bool
    all_copying: bool
    some_ended: bool
    retrying: bool
    memory_is_short: bool
    busy_share: float
    late_seconds: float
    prefix: str = ""


def limited_line(limited: Limited) -> str:
    """Say what a limit did to a run."""
    stopped = f", {limited.stopped_seconds:.0f} s of them stopped" if limited.stopped_seconds else ""
    return f"{limited.setting} slowed the run for {limited.seconds:.0f} s{stopped}; at its worst: {limited.what}."


def governor_json(limits: Sequence[Limited], not_watched: Sequence[str]) -> dict[str, object]:
    """Return for ``--json`` what limits did to a run, and what could not be watched."""
    said = [
        {
            "setting": each.setting,
            "what": each.what,
            "seconds": round(each.seconds, 1),
            "stopped_seconds": round(each.stopped_seconds, 1),
        }
        for each in limits
    ]
    return {"limited_by": said, "not_watched": list(not_watched)}


_NAMES = {
    "paused by ": "pause",
    "SCHEDULE": "SCHEDULE",
    "MAX_ROWS_PER_SECOND": "MAX_ROWS_PER_SECOND",
    "no progress": "no progress",
    "the database is away": "database (away)",
    "waits for a lock ": "database (lock)",
    "COMMIT waits": "database (commit)",
}
_STRAINS = {
    "coming back from ": "database (coming back)",
    " behind": "database (standby)",
    "slot ": "database (slot)",
    " of WAL a second": "database (WAL)",
    " wait for rows of ours": "database (lock waiters)",
    "a vacuum": "database (vacuum)",
}
WORDS = (*_WORDS.values(), DATABASE, MACHINE, ERRORS, BATCHES, MEMORY)


def limit_name(text: str) -> str:
    """Return what limits a run without the figures: one of few names, so that it can be counted and compared."""
    if not text or text in WORDS:
        return text
    if text.startswith(f"{REFUSALS}: "):
        return REFUSALS
    if text.startswith(f"{DATABASE}: "):
        return next((name for part, name in _STRAINS.items() if part in text), DATABASE)
    if "has not answered" in text:
        return "s3 (no answer)"
    if "has refused all requests" in text:
        return REFUSALS
    return next((name for begin, name in _NAMES.items() if text.startswith(begin)), "other")


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
        of_which = f": {sample.prefix}" if sample.prefix and sample.pressure is Pressure.REFUSALS else ""
        return (slots_only and machine) or _WORDS[sample.pressure] + of_which
    if sample.memory_is_short:
        return MEMORY
    if machine or sample.objects_wait:
        return MACHINE
    if not sample.all_copying:
        return DATABASE
    if sample.retrying:
        return ERRORS
    return LATENCY if sample.some_ended else BATCHES  # no more objects than -p times -b are held
