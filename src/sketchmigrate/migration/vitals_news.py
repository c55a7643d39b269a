"""Says what is new of a run's vitals, and not too often: to the log, and to a person where the run waits."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING

from rich.filesize import decimal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sketchmigrate.flow.governor import Decision, Strain
    from sketchmigrate.migration.gauges import Gauges
    from sketchmigrate.migration.holds import Hold
    from sketchmigrate.postgres.vitals import Activity, Vitals

logger = logging.getLogger(__name__)

SAID_EVERY_SECONDS = 30.0
"""So often it is said what a stopped run waits for."""

SHOWN_EVERY_SECONDS = 60.0
"""So often the log has the vitals."""

BLIND_AFTER_SECONDS = 5.0
"""What could not be read for so long is told: one look may fail."""


OF_THE_DATABASE = "database: "
"""How it begins what the database limits a run by."""


def words(decision: Decision, hold: Hold) -> str:
    """Say what limits the run, and by how much; empty where nothing does. ``hold`` is what a person allows."""
    if decision.strain is None:
        is_held = decision.rows_per_second < math.inf and (decision.is_binding or hold.is_pause)
        return hold.text if is_held else ""
    if decision.is_coming_back:
        what, rate = decision.strain.setting, decision.rows_per_second
        return f"{OF_THE_DATABASE}coming back from {what}, at most {rate:,.0f} rows/s"
    allowed = "stopped" if decision.is_stopped else f"at most {max(1.0, decision.rows_per_second):,.0f} rows/s"
    return f"{named(decision.strain)}, {allowed}"


def named(strain: Strain) -> str:
    """Say which strain it is."""
    return f"{OF_THE_DATABASE}{strain.text}"


def _begun(text: str) -> str:
    """Return it as the beginning of a sentence."""
    return text[:1].upper() + text[1:]


class VitalsNews:
    """Says what is new of the vitals, and not too often."""

    def __init__(self) -> None:
        self._stopped_at: float | None = None
        self._said_at = -math.inf
        self._was_said = False
        self._is_slowed = False
        self._looked_at: float | None = None
        self._unread: dict[str, tuple[float, float]] = {}  # since when, and when it was said
        self._standbys: set[str] = set()
        self._silent: set[str] = set()
        self._gone: set[str] = set()
        self._lost: set[str] | None = None
        self._refused: set[str] | None = None
        self._shown: tuple[float, Activity | None] | None = None

    def decided(self, now: float, decision: Decision, hold: Hold) -> None:
        """Say that the run waits, every half minute; that it is slowed, and that it goes on."""
        if decision.is_stopped:
            self._stopped_at = now if self._stopped_at is None else self._stopped_at
            if now - self._said_at >= SAID_EVERY_SECONDS:
                self._said_at, self._was_said = now, True
                since = f", for {now - self._stopped_at:.0f} s by now" if now > self._stopped_at else ""
                what, ends = hold.text, hold.ends
                if (strain := decision.strain) is not None:
                    what, ends = named(strain), f"It goes on by itself ({strain.setting})"
                logger.warning("The run waits%s: %s. %s.", since, what, ends)
            return
        if self._stopped_at is not None:
            if self._was_said:
                logger.warning("The run goes on, after %.0f s.", now - self._stopped_at)
            self._stopped_at, self._was_said = None, False
        is_slowed = decision.strain is not None
        if is_slowed != self._is_slowed:
            self._is_slowed = is_slowed
            slowed = f"The run is slowed: {words(decision, hold)}."
            logger.info("%s", slowed if is_slowed else "The run is slowed no more.")

    def refused(self, refused: Mapping[str, str]) -> None:
        """Say what the server does not show any more; what it did not at first was said before the run."""
        before, self._refused = self._refused, set(refused)
        for what, why in refused.items():
            if before is not None and what not in before:
                logger.warning("Not watched any more: %s (%s).", what, why)
        for what in sorted((before or set()) - self._refused):
            logger.warning("Watched from now on: %s.", what)

    def unread(self, now: float, unread: Mapping[str, str]) -> None:
        """Say every half minute what cannot be read, and what can be read again: by the time since it last was."""
        last, self._looked_at = now if self._looked_at is None else self._looked_at, now
        for what, why in unread.items():
            since, said_at = self._unread.get(what, (last, -math.inf))
            if now - since > BLIND_AFTER_SECONDS and now - said_at >= SAID_EVERY_SECONDS:
                said_at = now
                logger.warning("%s cannot be read, and what was seen last holds: %s", _begun(what), why)
            self._unread[what] = since, said_at
        for what in [each for each in self._unread if each not in unread]:
            _, said_at = self._unread.pop(what)
            if said_at > -math.inf:
                logger.warning("%s can be read again.", _begun(what))

    def standbys(self, vitals: Vitals, failures: Mapping[str, str]) -> None:
        """Say which standbys are silent, and which are gone and which slots lost: these limit nothing any more."""
        if vitals.standbys is not None:  # else nobody knows
            present = {each.name for each in vitals.standbys}
            for name in sorted((self._standbys | failures.keys()) - present - self._gone):
                self._gone.add(name)
                why = f" ({failures[name]})" if name in failures else ""
                logger.warning("Standby %s is not there any more%s: it limits nothing.", name, why)
            silent = present & failures.keys()
            for name in sorted(silent - self._silent):
                logger.warning("Standby %s is silent, and what it told last holds: %s", name, failures[name])
            for name in sorted((self._gone | self._silent) & present - silent):
                logger.warning("Standby %s is there again.", name)
            self._standbys, self._silent, self._gone = present, silent, self._gone - present
        if vitals.slots is not None:
            lost = {each.name for each in vitals.slots if each.is_lost}
            for name in sorted(lost - (lost if self._lost is None else self._lost)):
                logger.warning("The replication slot %s is lost: whoever reads it needs a new snapshot.", name)
            self._lost = lost

    def vitals(self, now: float, vitals: Vitals, gauges: Gauges) -> None:
        """Put the vitals into the log, once a minute: those that limit nothing too."""
        if self._shown is None:
            self._shown = now, vitals.activity
            return
        then, before = self._shown
        if now - then < SHOWN_EVERY_SECONDS:
            return
        self._shown = now, vitals.activity
        parts = [f"{decimal(round(gauges.wal.bytes_per_second()))} of WAL a second"] if vitals.wal_lsn else []
        parts += [
            f"{each.name} {gauges.wal.seconds_behind(each.replay_lsn):.0f} s behind"
            for each in vitals.standbys or ()
            if each.replay_lsn is not None
        ]
        parts += [
            f"slot {each.name} keeps {decimal(gauges.wal.bytes_behind(each.restart_lsn))}"
            for each in vitals.slots or ()
            if each.restart_lsn is not None
        ]
        if (activity := vitals.activity) is not None:
            if before is not None:
                rate = (activity.transactions - before.transactions) / (now - then)
                parts.append(f"{rate:,.0f} transactions a second")
            parts += [
                f"{activity.sessions} sessions",
                f"checkpoints so far {activity.checkpoints:,}, archiver failures so far {activity.archiver_failures:,}",
            ]
        logger.info("Vitals: %s.", ", ".join(parts))
