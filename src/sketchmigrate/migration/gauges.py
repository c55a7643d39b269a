"""How near what the database feels is to the limits of the settings. Pure: the clock is passed in."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rich.filesize import decimal

from sketchmigrate.core.sample import Felt
from sketchmigrate.flow.governor import Strain
from sketchmigrate.flow.sliding_rate import SlidingRate
from sketchmigrate.postgres.vitals import SLOTS, STANDBYS, VACUUMS, WAITERS, WAL
from sketchmigrate.postgres.wal_history import WalHistory

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from sketchmigrate.postgres.vitals import Slot, Standby, Vitals
    from sketchmigrate.settings import Settings

WAITERS_SECONDS = 20.0
"""The number of waiting sessions is that of a moment, and jumps: it counts as its mean over about so long."""

EARLY = 0.2
"""From this part of the limit on it counts how long a standby needs for what it is behind."""

SHORT_OF_A_STOP = 0.95
"""That is a forecast, which only slows the run."""


class Gauges:
    """Reads vitals, look after look: lag in time and bytes a second take more than one."""

    def __init__(self, settings: Settings) -> None:
        self.wal = WalHistory()
        self._settings = settings
        self._replay: dict[str, SlidingRate] = {}
        self._waiters = 0.0
        self._looked_at: float | None = None
        self._transactions = SlidingRate()
        self._strains: dict[str, list[Strain]] = {}  # by the part of a look that tells of them

    def limit(self, settings: Settings) -> None:
        """Go by the limits of other settings from now on."""
        self._settings = settings

    def read(self, vitals: Vitals, now: float, late: Collection[str] = ()) -> list[Strain]:
        """Return how near the database is to each limit that is set, as far as it can be seen.

        Of a part of the look that came too ``late``, what was seen last holds: nobody knows that it is over.
        """
        if vitals.wal_lsn is not None:
            self.wal.seen(now, vitals.wal_lsn)
        strains = {
            STANDBYS: [strain for each in vitals.standbys or () for strain in self._of_standby(each, now)],
            SLOTS: [strain for each in vitals.slots or () for strain in self._of_slot(each, vitals)],
            WAL: [*self._of_wal(vitals)],
            WAITERS: [*self._of_waiters(vitals, now)],
            VACUUMS: [*self._of_vacuums(vitals)],
        }
        held = {*late, *((STANDBYS, SLOTS) if WAL in late else ())}  # without its length nobody is known to be behind
        self._strains |= {what: each for what, each in strains.items() if what not in held}
        self._looked_at = now
        if vitals.activity is not None:
            self._transactions.seen(now, vitals.activity.transactions)
        return [strain for each in self._strains.values() for strain in each]

    def shown(self, vitals: Vitals) -> Felt:
        """Return what a look that was read shows, of standbys and slots the worst; None is what nobody can see."""
        is_wal_known = vitals.wal_lsn is not None
        replayed = [lsn for _, lsn in vitals.standbys or () if lsn is not None and is_wal_known]
        kept = [each.restart_lsn for each in vitals.slots or () if each.restart_lsn is not None and not each.is_lost]
        activity = vitals.activity
        return Felt(
            lag_seconds=max(map(self.wal.seconds_behind, replayed), default=None),
            lag_bytes=max(map(self.wal.bytes_behind, replayed), default=None),
            slot_wal_bytes=max(map(self.wal.bytes_behind, kept if is_wal_known else ()), default=None),
            wal_bytes_per_second=self.wal.bytes_per_second() if is_wal_known else None,
            lock_waiters=vitals.lock_waiters,
            sessions=activity.sessions if activity is not None else None,
            transactions_per_second=self._transactions.per_second if activity is not None else None,
        )

    def _of_standby(self, standby: Standby, now: float) -> Iterator[Strain]:
        if standby.replay_lsn is None:
            return
        replay = self._replay.setdefault(standby.name, SlidingRate())
        replay.seen(now, standby.replay_lsn)
        rate = replay.per_second
        behind, seconds = self.wal.bytes_behind(standby.replay_lsn), self.wal.seconds_behind(standby.replay_lsn)
        if most := self._settings.max_replica_lag_seconds:
            text, share = f"{standby.name} is {seconds:.0f} s behind (limit {most:g} s)", seconds / most
            # How old its oldest byte is tells of what was written then, and what it needs for the rest tells of now:
            # slowed by the former, a run would swing.
            if EARLY < share < 1:
                needed = behind / rate if rate > 0 else math.inf
                share = min(needed / most, SHORT_OF_A_STOP)
                more = f"needs {needed:.0f} s for it" if rate > 0 else "replays nothing"
                text = f"{standby.name} is {seconds:.0f} s behind and {more} (limit {most:g} s)"
            yield Strain("MAX_REPLICA_LAG_SECONDS", share, text)
        if most := self._settings.max_replica_lag_bytes:
            text = f"{standby.name} is {decimal(behind)} behind (limit {decimal(most)})"
            yield Strain("MAX_REPLICA_LAG_BYTES", behind / most, text)

    def _of_slot(self, slot: Slot, vitals: Vitals) -> Iterator[Strain]:
        if slot.restart_lsn is None or slot.is_lost or vitals.wal_lsn is None:
            return
        kept = self.wal.bytes_behind(slot.restart_lsn)
        keep = vitals.slot_keep_bytes
        if keep is None or keep < 0:
            if most := self._settings.max_slot_wal_bytes:
                text = f"slot {slot.name} keeps {decimal(kept)} of WAL (limit {decimal(most)})"
                yield Strain("MAX_SLOT_WAL_BYTES", kept / most, text)
        elif most_percent := self._settings.max_slot_wal_percent:
            room = keep or kept + max(0, slot.safe_bytes or 0)
            percent = 100 * kept / room if room else 0.0
            text = (
                f"slot {slot.name} keeps {decimal(kept)} of WAL, {percent:.0f} % of what it may (limit"
                f" {most_percent:g} %)"
            )
            yield Strain("MAX_SLOT_WAL_PERCENT", percent / most_percent, text)

    def _of_wal(self, vitals: Vitals) -> Iterator[Strain]:
        if (most := self._settings.max_wal_bytes_per_second) and vitals.wal_lsn is not None:
            rate = self.wal.bytes_per_second()
            text = f"{decimal(round(rate))} of WAL a second (limit {decimal(most)})"
            yield Strain("MAX_WAL_BYTES_PER_SECOND", rate / most, text)

    def _of_waiters(self, vitals: Vitals, now: float) -> Iterator[Strain]:
        if not (most := self._settings.max_lock_waiters) or vitals.lock_waiters is None:
            return
        seconds = 1.0 if self._looked_at is None else now - self._looked_at
        self._waiters += (vitals.lock_waiters - self._waiters) * (1 - math.exp(-seconds / WAITERS_SECONDS))
        text = f"{self._waiters:.1f} sessions wait for rows of ours (limit {most})"
        yield Strain("MAX_LOCK_WAITERS", self._waiters / most, text)

    def _of_vacuums(self, vitals: Vitals) -> Iterator[Strain]:
        pauses = self._settings.pause_for_autovacuum
        for vacuum in vitals.vacuums or ():
            if pauses == "any" or (pauses == "wraparound" and vacuum.prevents_wraparound):
                why = " to prevent wraparound" if vacuum.prevents_wraparound else ""
                text = f"a vacuum{why} is at work on {vacuum.table}"
                yield Strain("PAUSE_FOR_AUTOVACUUM", math.inf, text)
