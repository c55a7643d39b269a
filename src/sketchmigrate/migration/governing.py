"""Looks every second at what the database feels, and has the run go on as fast as that allows.

One for the whole run, cluster included: it tells who flips a rate, and whoever watches what limits. A look that fails
changes nothing, and of a part of one that fails what was seen last holds, until it can be read again.
"""

from __future__ import annotations

import asyncio
import math
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple, Protocol, Self

from sketchmigrate.core.errors import DatabaseError
from sketchmigrate.core.sample import Felt
from sketchmigrate.flow.governor import Decision, Governor, Limited
from sketchmigrate.flow.schedule import Schedule
from sketchmigrate.migration.gauges import Gauges
from sketchmigrate.migration.holds import Hold, present_hold
from sketchmigrate.migration.vitals_news import VitalsNews, words
from sketchmigrate.postgres.replicas import Replicas
from sketchmigrate.postgres.vitals import LIMITS, SHOW_ALL, STANDBYS, Unanswered, Vitals, read_vitals
from sketchmigrate.task_group import task_group

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from sketchmigrate.migration.breaker import Breaker
    from sketchmigrate.migration.site import Site
    from sketchmigrate.postgres.database import Database
    from sketchmigrate.postgres.session import Session
    from sketchmigrate.settings import Settings

LOOK_SECONDS = 1.0

REFUSED_AGAIN_SECONDS = 60.0
"""What the server refuses is asked again after this time: a right may have been given."""

LATE_AGAIN_SECONDS = 5.0
"""And what it did not answer in time: until then it holds no look up."""

_ALL = "the database's vitals"
_DOING = f"looking at {_ALL}"


class Audience(Protocol):
    """Who is told what limits the run."""

    def governed(self, text: str, *, is_stopped: bool) -> None:
        """Take over what the database limits the run by, or has stopped it by, with its figures; empty for nothing."""

    def felt(self, vitals: Felt) -> None:
        """Take over what the database feels, as far as the newest look shows it."""


def has_limits(settings: Settings) -> bool:
    """Whether any limit is set for which the database has to be looked at."""
    return bool(
        settings.max_replica_lag_seconds
        or settings.max_replica_lag_bytes
        or settings.max_slot_wal_percent
        or settings.max_slot_wal_bytes
        or settings.max_wal_bytes_per_second
        or settings.max_lock_waiters
        or settings.pause_for_autovacuum != "never"
    )


class _LeftOut(NamedTuple):
    """A part of a look that is not asked until a time."""

    unanswered: Unanswered
    until: float


class Look:
    """Reads the vitals, on a session of its own and from the standbys that are asked themselves."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self.replicas = Replicas(settings, database.clock)
        self._database = database
        self._watches_standbys = bool(settings.max_replica_lag_seconds or settings.max_replica_lag_bytes)
        self._unanswered: dict[str, _LeftOut] = {}

    @property
    def refused(self) -> dict[str, str]:
        """What the server does not show, and why."""
        return {what: each.why for what, (each, _) in self._unanswered.items() if each.is_refused}

    @property
    def late(self) -> dict[str, str]:
        """What could not be read, and will be: why."""
        return {what: each.why for what, (each, _) in self._unanswered.items() if not each.is_refused}

    async def read(self, session: Session) -> Vitals:
        """Look once, and at the standbys meanwhile. What was not answered is left out of the next looks.

        Raises ``DatabaseError``.
        """
        async with task_group() as group:
            standbys = group.create_task(self.replicas.standbys()) if self.replicas else None
            vitals = await self._read(session)
        return vitals if standbys is None else vitals.with_standbys(standbys.result())

    async def _read(self, session: Session) -> Vitals:
        now, tables = self._database.clock.monotonic(), self._database.watched
        left_out = {what: each for what, each in self._unanswered.items() if now < each.until}
        without = [*left_out, *([STANDBYS] if self.replicas else [])]
        vitals, unanswered = await session.run(read_vitals, tables, without, doing=_DOING, limits=LIMITS, attempts=0)
        now = self._database.clock.monotonic()
        for each in unanswered:
            seconds = REFUSED_AGAIN_SECONDS if each.is_refused else LATE_AGAIN_SECONDS
            left_out[each.what] = _LeftOut(each, now + seconds)
        self._unanswered = left_out
        return vitals

    def not_watched(self, vitals: Vitals) -> tuple[str, ...]:
        """Return what cannot be seen, each with what would show it."""
        hidden = vitals.hidden_standbys if self._watches_standbys else ()
        standby = [f"standby lag ({', '.join(hidden)}); GRANT {SHOW_ALL} shows it, and REPLICA_URLS does"]
        return (*(standby if hidden else ()), *(f"{what} ({why})" for what, why in self.refused.items()))


async def not_watched(site: Site) -> tuple[str, ...]:
    """Return what of the database's vitals cannot be seen: for a person to know before the run.

    Raises ``DatabaseError``, also where a standby of REPLICA_URLS cannot be asked: what was asked for is to be watched.
    """
    if not has_limits(site.settings):
        return ()
    look = Look(site.database, site.settings)
    try:
        await look.replicas.check()
        async with site.database.session() as session:
            return look.not_watched(await look.read(session))
    finally:
        await look.replicas.close()


def _schedule(settings: Settings) -> Schedule:
    if not settings.schedule:
        return Schedule(())
    from sketchmigrate.settings.schedule import schedule_of  # noqa: PLC0415 - few need it

    return schedule_of(settings)


@dataclass(slots=True)
class _Tally:
    what: str
    worst: float = 0.0
    seconds: float = 0.0
    stopped_seconds: float = 0.0


class Governing:
    """Governs a run as long as the context lasts. An async context manager.

    ``breaker`` knows how many rows the run has flipped, whoever does it, and ``audience`` hears what limits it. This
    process's pace is told the rate, or who ``directs`` names. ``limited`` is what has limited the run so far.
    """

    def __init__(self, site: Site, breaker: Breaker, audience: Audience) -> None:
        settings = site.settings
        self._site, self._breaker, self._audience = site, breaker, audience
        self._apply: Callable[[float], None] = site.pace.limit
        self._monotonic = site.database.clock.monotonic
        self._schedule = _schedule(settings)
        self._hold = self._present_hold()
        self._governor = Governor(self._hold.rows_per_second)
        self._gauges = Gauges(settings)
        self._look = Look(site.database, settings)
        self._decision = Decision(self._hold.rows_per_second)
        self._tallies: dict[str, _Tally] = {}
        self._news = VitalsNews()
        self._group = task_group()
        self._hearing = ExitStack()
        self._looking: asyncio.Task[None] | None = None
        self._told, self._told_hold = Decision(), Hold()
        self._told_at = self._monotonic()

    async def __aenter__(self) -> Self:
        self._tell(self._monotonic())
        group = await self._group.__aenter__()
        self._hearing.enter_context(self._site.tuning.heard_by(self._changed))
        self._looking = group.create_task(self._look_regularly())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hearing.close()
        if self._looking is not None:
            self._looking.cancel()
        try:
            await self._group.__aexit__(kind, error, trace)
        finally:
            await self._look.replicas.close()
            self._note_time(self._monotonic())
            self._apply(math.inf)
            self._audience.governed("", is_stopped=False)

    def directs(self, apply: Callable[[float], None]) -> None:
        """Tell somebody else the rate from now on: workers have taken the work over."""
        self._apply = apply
        apply(self._present.rows_per_second)

    @property
    def limited(self) -> list[Limited]:
        """By what the run was held back so far, the longest first."""
        found = [
            Limited(name, each.what, each.seconds, each.stopped_seconds)
            for name, each in self._tallies.items()
            if each.seconds
        ]
        return sorted(found, key=lambda each: -each.seconds)

    def _present_hold(self) -> Hold:
        tuning = self._site.tuning
        cap = tuning.settings.max_rows_per_second
        return present_hold(tuning.paused_by, self._schedule, cap, datetime.now(UTC))

    def _changed(self) -> None:
        """Go by settings that were changed, or by a pause that was ordered."""
        settings = self._site.tuning.settings
        self._schedule = _schedule(settings)
        self._gauges.limit(settings)
        self._breaker.limit(settings.max_failed_percent)
        if not has_limits(settings):
            self._decision = Decision()
            self._audience.felt(Felt())
        self._tell(self._monotonic())

    async def _look_regularly(self) -> None:
        async with self._site.database.session() as session:
            while True:  # also while the run is to stop: it may only change hands, and go on
                began = self._monotonic()
                if has_limits(self._site.tuning.settings):
                    await self._look_once(session)
                self._tell(self._monotonic())
                await asyncio.sleep(max(0.0, LOOK_SECONDS - (self._monotonic() - began)))

    async def _look_once(self, session: Session) -> None:
        try:
            vitals = await self._look.read(session)
        except DatabaseError as error:
            self._news.unread(self._monotonic(), self._look.late | {_ALL: str(error)})
            self._audience.felt(Felt())
            return
        now, late = self._monotonic(), self._look.late
        self._news.unread(now, late)
        self._news.refused(self._look.refused)
        self._news.standbys(vitals, self._look.replicas.failures)
        self._governor.limit(math.inf if self._hold.is_pause else self._hold.rows_per_second)
        self._decision = self._governor.look(now, self._gauges.read(vitals, now, late), self._breaker.counts.flips)
        self._news.vitals(now, vitals, self._gauges)
        self._audience.felt(self._gauges.shown(vitals))

    def _tell(self, now: float) -> None:
        """Tell who flips the rate, and who watches what limits."""
        self._hold = self._present_hold()
        self._note_time(now)
        decision, hold = self._present, self._hold
        self._apply(decision.rows_per_second)
        self._audience.governed(words(decision, hold), is_stopped=decision.is_stopped)
        self._news.decided(now, decision, hold)

    @property
    def _present(self) -> Decision:
        """What holds now: a pause comes before what the database feels, and a cap is also kept to between two looks."""
        if self._hold.is_pause:
            return Decision(0.0)
        if self._hold.rows_per_second < self._decision.rows_per_second:
            return Decision(self._hold.rows_per_second)
        return self._decision

    def _note_time(self, now: float) -> None:
        """Take note of how long it was as told last, and of what is told now."""
        seconds, self._told_at = now - self._told_at, now
        told, hold = self._told, self._told_hold
        self._told, self._told_hold = self._present, self._hold
        if limit := words(told, hold):
            tally = self._tallies.setdefault(told.strain.setting if told.strain else hold.setting, _Tally(limit))
            tally.seconds += seconds
            tally.stopped_seconds += seconds if told.is_stopped else 0.0
            if told.strain is not None and told.strain.share >= tally.worst and not told.is_coming_back:
                tally.worst, tally.what = told.strain.share, told.strain.text
