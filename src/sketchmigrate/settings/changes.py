"""What of a run can be changed while it goes on: its caps, its limits, and a few of its options. Pure.

A change is what a person types, ``NAME=VALUE``. It travels as that, and everybody makes the same of it.
"""

from __future__ import annotations

import difflib
from dataclasses import replace
from functools import reduce
from typing import TYPE_CHECKING, Any, NamedTuple

from sketchmigrate.core.errors import SettingsError
from sketchmigrate.settings.files import ORDER
from sketchmigrate.settings.loading import with_value

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sketchmigrate.settings.schema import Options, Settings

CAPS = ("max_concurrency", "max_requests_per_second", "max_bandwidth")
LIMITS = (
    "max_rows_per_second",
    "max_replica_lag_seconds",
    "max_replica_lag_bytes",
    "max_slot_wal_percent",
    "max_slot_wal_bytes",
    "max_wal_bytes_per_second",
    "max_lock_waiters",
    "pause_for_autovacuum",
    "max_failed_percent",
)
_SETTINGS = {name.upper(): name for name in (*CAPS, *LIMITS)}
_OPTIONS = {"p": "parallelization_level", "b": "batch_size", "verbose": "verbose"}
"""By the names of their flags."""

MOST = {"p": 500, "b": 100_000}
"""Each iteration has a connection to the database, which may have a hundred; each holds its batch in memory."""

_TRUTHS = {"yes": True, "true": True, "on": True, "1": True, "no": False, "false": False, "off": False, "0": False}


class Tuned(NamedTuple):
    """Settings and options as they are after all changes."""

    settings: Settings
    options: Options

    @property
    def shown(self) -> dict[str, object]:
        """All that can be changed, by its name, with its value."""
        settings = {name: getattr(self.settings, field) for name, field in _SETTINGS.items()}
        return settings | {name: getattr(self.options, field) for name, field in _OPTIONS.items()}


def changed(tuned: Tuned, told: str) -> Tuned:
    """Return them with one more change, ``NAME=VALUE``. Raises ``SettingsError``, and changes nothing then."""
    written_as, equals, value = (part.strip() for part in told.partition("="))
    if not equals:
        raise SettingsError(f"{told!r} is not NAME=VALUE", hint="For example: MAX_ROWS_PER_SECOND=500")
    if written_as.upper() == "SCHEDULE" and value.lower() == "none":
        return tuned._replace(settings=replace(tuned.settings, schedule=()))
    if (setting := _SETTINGS.get(written_as.upper())) is not None:
        return tuned._replace(settings=with_value(tuned.settings, setting, value))
    if (option := _OPTIONS.get(written_as.lower())) is not None:
        read: Any = (_truth if option == "verbose" else _number)(written_as, value)
        return tuned._replace(options=replace(tuned.options, **{option: read}))
    known = [*_SETTINGS, *_OPTIONS, "SCHEDULE=none"]
    close = difflib.get_close_matches(written_as.upper(), known, n=1)
    meant = f"; did you mean {close[0]}?" if close else ""
    text = f"{written_as} cannot be changed while a run goes on{meant}"
    raise SettingsError(text, hint=f"These can: {', '.join(known)}.")


def after(tuned: Tuned, changes: Iterable[str]) -> Tuned:
    """Return them after changes, in their order, each of which was taken before."""
    return reduce(changed, changes, tuned)


def _number(written_as: str, value: str) -> int:
    most = MOST[written_as.lower()]
    if value.isascii() and value.isdecimal() and len(value) <= len(str(most)) and 0 < int(value) <= most:
        return int(value)
    text = f"{written_as} ({ORDER}): must be a whole number from 1 to {most}"
    raise SettingsError(text, hint=f"For example: {written_as}=8")


def _truth(written_as: str, value: str) -> bool:
    try:
        return _TRUTHS[value.lower()]
    except KeyError:
        text = f"{written_as} ({ORDER}): must be yes or no"
        raise SettingsError(text, hint=f"For example: {written_as}=yes") from None
