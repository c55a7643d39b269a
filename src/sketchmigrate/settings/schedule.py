"""SCHEDULE: each entry, and all of them in their time zone. Imported only where a settings file has one."""

from __future__ import annotations

import math
import re
from datetime import UTC, time
from typing import TYPE_CHECKING, Annotated, Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from sketchmigrate.core.errors import SettingsError
from sketchmigrate.flow.schedule import EVERY_DAY, MIDNIGHT, Entry, Schedule
from sketchmigrate.settings.files import ValueOrigin

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sketchmigrate.settings.schema import Settings

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_hour = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)|24:00").fullmatch
EXAMPLE = 'SCHEDULE = [{ from = "22:00", until = "06:00" }, { days = "sat,sun" }, { rows_per_second = 200 }]'


def _time(value: object) -> time:
    if isinstance(value, time) and not (value.second or value.microsecond):  # TOML has such values
        return value
    found = _hour(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f"{value!r} must be a time of the day, such as 22:00")
    return time(int(found[1]), int(found[2])) if found[1] else MIDNIGHT


def _days(value: object) -> frozenset[int]:
    words = [word.strip().lower() for word in value.split(",")] if isinstance(value, str) else []
    if not words or any(word not in _DAYS for word in words):
        raise ValueError(f"{value!r} must be days of the week, with commas between them: {', '.join(_DAYS)}")
    return frozenset(_DAYS.index(word) for word in words)


def _rate(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise ValueError(f"{value!r} must be a number of rows a second, and 0 is no cap")
    return value or math.inf


class ScheduleEntry(BaseModel):
    """One entry. Without ``from`` and ``until`` it is for whole days, without ``days`` for every day."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    from_: Annotated[time | None, BeforeValidator(_time)] = Field(default=None, alias="from")
    until: Annotated[time | None, BeforeValidator(_time)] = None
    days: Annotated[frozenset[int], BeforeValidator(_days)] = EVERY_DAY
    rows_per_second: Annotated[float, BeforeValidator(_rate)] = math.inf

    @model_validator(mode="after")
    def _both(self) -> Self:
        if (self.from_ is None) != (self.until is None):
            raise ValueError("from and until go together")
        return self

    @property
    def entry(self) -> Entry:
        """It, without pydantic."""
        return Entry(self.from_ or MIDNIGHT, self.until or MIDNIGHT, self.days, self.rows_per_second)


def schedule_of(settings: Settings) -> Schedule:
    """Return the schedule of settings that were read and found right."""
    return read_schedule(settings, {"schedule": ValueOrigin("SCHEDULE", "the settings")})


def read_schedule(settings: Settings, origins: Mapping[str, ValueOrigin]) -> Schedule:
    """Return the schedule; ``origins`` says where it was written. Raises ``SettingsError`` naming file and entry."""
    entries = []
    for number, given in enumerate(settings.schedule, start=1):
        try:
            entries.append(ScheduleEntry.model_validate(given).entry)
        except ValidationError as error:
            fault = error.errors(include_url=False)[0]
            field = f"{fault['loc'][0]}: " if fault["loc"] else ""
            known = ", ".join(each.alias or name for name, each in ScheduleEntry.model_fields.items())
            reason = f"there is none; there are {known}" if fault["type"] == "extra_forbidden" else fault["msg"]
            text = f"{origins['schedule']}, entry {number}: {field}{reason.removeprefix('Value error, ')}"
            raise SettingsError(text, hint=f"For example: {EXAMPLE}") from error
    zone = settings.schedule_time_zone
    return Schedule(tuple(entries), UTC if zone == "UTC" else ZoneInfo(zone))
