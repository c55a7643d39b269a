"""Goes on where a migration is done: the application may write legacy references until it is switched over.

A full pass every so often finds all that are there; between two of them the rows behind the last key are looked at, in
tables whose key grows, so that most new rows are legacy for some seconds only.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from sketchmigrate.core.errors import MigrateError
from sketchmigrate.core.outcome import Tally
from sketchmigrate.core.reference import Key, KeyRange
from sketchmigrate.migration.cutover import CutoverGauge
from sketchmigrate.migration.passes import make_durable, migrate_range
from sketchmigrate.postgres.statistics import ends

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from sketchmigrate.core.outcome import Result
    from sketchmigrate.migration.runner import Finished, Migration

LOOK_SECONDS = 5.0
LOOKS_A_PASS = 4
"""Where full passes follow one another sooner, so do the looks between them."""

log = logging.getLogger(__name__)


class Audience(Protocol):
    """Who is shown how near the application is to its cutover."""

    def follows(self, text: str) -> None:
        """Show how it stands; empty where it does not follow any more."""


class Following:
    """Follows the application until ``until_quiet_seconds`` have passed without a new legacy row, or for ever.

    ``full_pass`` makes one over all tables, and is given what was done before.
    """

    def __init__(
        self,
        migrations: Sequence[Migration],
        full_pass: Callable[[Finished], Awaitable[Finished]],
        audience: Audience,
        *,
        every_seconds: float,
        until_quiet_seconds: float | None,
    ) -> None:
        # what it passes behind the last key it passes again and again: that is no progress through the tables
        self._migrations = [replace(each, observe=_without_rows(each.observe)) for each in migrations]
        self._full_pass, self._audience = full_pass, audience
        self._every_seconds, self._until_quiet_seconds = every_seconds, until_quiet_seconds
        self._look_seconds = min(LOOK_SECONDS, every_seconds / LOOKS_A_PASS)
        self._database, self._stop, self._ledger = migrations[0].database, migrations[0].stop, migrations[0].ledger
        self._monotonic = self._database.clock.monotonic
        self._last_keys: dict[int, Key | None] = {}
        self.gauge = CutoverGauge(self._monotonic())

    async def begin(self) -> None:
        """Take note of where each table ends whose key grows: before each full pass. Raises ``DatabaseError``.

        What comes behind that is looked at until the next one, whether the pass has met it or not.
        """
        async with self._database.session() as session:
            for number, migration in enumerate(self._migrations):
                table = migration.table
                if table.key.grows:
                    found = await session.run(ends, table, doing="looking for the last key")
                    self._last_keys[number] = None if found is None else found[1]

    async def follow(self, finished: Finished) -> Finished:
        """Go on behind a full pass, and return all that was done. An error is noted in the ``Stop``."""
        self.gauge = CutoverGauge(self._monotonic())
        while not self._stop.requested:
            finished = await self._look_between_passes(finished)
            if self._stop.requested:
                break
            try:
                await self.begin()
                await self._ledger.forget_unresolved()  # an object may have come that was missing
            except MigrateError as error:
                self._stop.by_error(error)
                break
            known = finished.tally.scanned
            finished = await self._full_pass(finished.without_unresolved())
            now = self._monotonic()
            self.gauge.found(now, max(0, finished.tally.scanned - known))
            wanted = self._until_quiet_seconds
            if wanted is not None and self.gauge.quiet_seconds(now) >= wanted:
                break
        self._audience.follows("")
        return finished

    async def _look_between_passes(self, finished: Finished) -> Finished:
        """Look behind the last keys until the next full pass is due."""
        due_at = self._monotonic() + self._every_seconds
        if self._until_quiet_seconds is not None:
            left_seconds = self._until_quiet_seconds - self.gauge.quiet_seconds(self._monotonic())
            due_at = min(due_at, self._monotonic() + max(0.0, left_seconds))
        while not self._stop.requested and (now := self._monotonic()) < due_at:
            tally = finished.tally
            rows_left = tally.missing + tally.conflict + tally.failed
            self._audience.follows(self.gauge.words(now, rows_left, due_at - now))
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.event.wait(), min(self._look_seconds, due_at - now))
            if not self._stop.requested:
                finished = finished.and_besides(await self._look_behind())
        return finished

    async def _look_behind(self) -> list[Tally]:
        """Migrate what has come behind the last keys; return the tallies, by source."""
        tallies = []
        for number, migration in enumerate(self._migrations):
            tally = Tally()
            if number in self._last_keys and not self._stop.requested:
                migration.begin()
                tally, _ = await migrate_range(migration, KeyRange(after=self._last_keys[number]), again=True)
                await make_durable(self._database, tally, migration.options, self._stop)
            tallies.append(tally)
        rows = sum(tally.scanned for tally in tallies)
        if rows:
            log.info("Behind the last key there were %d new legacy rows.", rows)
        self.gauge.found(self._monotonic(), rows)
        return tallies


def _without_rows(observe: Callable[[int, Tally, list[Result]], None]) -> Callable[[int, Tally, list[Result]], None]:
    return lambda _, tally, results: observe(0, tally, results)
