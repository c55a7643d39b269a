"""What a person allows a run at a moment: by a cap, by a schedule, by a pause. Pure: the time is passed in."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from datetime import datetime

    from sketchmigrate.flow.schedule import Schedule

CAP = "MAX_ROWS_PER_SECOND"
SCHEDULE = "SCHEDULE"
PAUSE = "ctl pause"
LIFT = "sketch-migrate ctl set SCHEDULE=none"


class Hold(NamedTuple):
    """At most so many rows a second; 0 is a pause. ``ends`` says what ends that, in a sentence without its end."""

    rows_per_second: float = math.inf
    setting: str = CAP
    text: str = ""
    ends: str = ""

    @property
    def is_pause(self) -> bool:
        """Whether nothing may be flipped."""
        return self.rows_per_second <= 0


def present_hold(paused_by: str, schedule: Schedule, cap: float, now: datetime) -> Hold:
    """Return what holds most: ``cap`` in rows a second, 0 is none."""
    if paused_by:
        return Hold(0.0, PAUSE, f"paused by {paused_by}", "sketch-migrate ctl resume goes on")
    allowed = schedule.at(now)
    until = f" until {allowed.until.astimezone(schedule.zone):%a %H:%M %Z}" if allowed.until is not None else ""
    if allowed.rows_per_second <= 0:
        return Hold(0.0, SCHEDULE, f"{SCHEDULE} pauses the run{until}", f"It goes on by itself then; {LIFT} lifts it")
    if cap and cap <= allowed.rows_per_second:
        return Hold(cap, CAP, f"{CAP}, {cap:g} rows/s")
    if allowed.rows_per_second < math.inf:
        text = f"{SCHEDULE}, {allowed.rows_per_second:g} rows/s{until}"
        return Hold(allowed.rows_per_second, SCHEDULE, text)
    return Hold()
