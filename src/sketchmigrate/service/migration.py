"""A migration from the checks to the last flip: by this process, by several, or by a cluster.

It asks nobody and prints nothing: who uses it hears what is worth saying, and decides what to ask in between.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack, ExitStack
from functools import partial
from typing import TYPE_CHECKING

from sketchmigrate.core.errors import MigrateError
from sketchmigrate.core.plural import counted
from sketchmigrate.core.rule import SideName
from sketchmigrate.inspect.amount import reckon_amount
from sketchmigrate.inspect.estimate import caps_noted, measured_rate
from sketchmigrate.ledger import past_runs, place_of
from sketchmigrate.migration.at_work import place_noted
from sketchmigrate.migration.breaker import Breaker
from sketchmigrate.migration.fence import fence_ahead
from sketchmigrate.migration.figures import moment, reckon
from sketchmigrate.migration.governing import Governing
from sketchmigrate.migration.growth import outgrown
from sketchmigrate.migration.look_ahead import LookAhead, look_ahead
from sketchmigrate.migration.overwritten import settle
from sketchmigrate.migration.passes import migrate
from sketchmigrate.migration.reading_order import usable_orders
from sketchmigrate.migration.recognition import about_empty_legacy, check_recognised
from sketchmigrate.migration.record import description, is_of, runs_of
from sketchmigrate.migration.resuming import newest_position
from sketchmigrate.migration.room import check_room, estimated_legacy_rows
from sketchmigrate.migration.settling import OnceSettled, Settling
from sketchmigrate.migration.trial import try_flips
from sketchmigrate.migration.uploads import LeftUploads
from sketchmigrate.migration.watch import HeldUpWatch, Watch
from sketchmigrate.postgres.references import References
from sketchmigrate.s3.wire.redirect import is_aws
from sketchmigrate.service.engines import engine_for
from sketchmigrate.service.following import Following
from sketchmigrate.settings.stores import store_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path
    from typing import Protocol

    from sketchmigrate.cluster.overseer import Audience
    from sketchmigrate.core.outcome import Result, Tally
    from sketchmigrate.core.sample import Felt
    from sketchmigrate.inspect.amount import Amount
    from sketchmigrate.inspect.estimate import Rate
    from sketchmigrate.ledger import WholeLedger
    from sketchmigrate.ledger.figures import RunFigures
    from sketchmigrate.migration.figures import Moment
    from sketchmigrate.migration.flipping import FlipControl
    from sketchmigrate.migration.reading_order import ReadingOrder
    from sketchmigrate.migration.resuming import Position
    from sketchmigrate.migration.runner import Finished, Migration
    from sketchmigrate.migration.settling import Tell
    from sketchmigrate.migration.site import Site
    from sketchmigrate.migration.stop import Stop
    from sketchmigrate.migration.trial import Trial
    from sketchmigrate.settings import Options

    class Listener(Audience, Protocol):
        """Hears how far the migration is, whichever way it goes."""

        def governed(self, text: str, *, is_stopped: bool) -> None:
            """Show what the database limits the run by, or has stopped it by, with its figures; empty for nothing."""

        def felt(self, vitals: Felt) -> None:
            """Take over what the database feels."""

        def follows(self, text: str) -> None:
            """Show how near the application is to its cutover; empty where it is not followed."""

        def observe(self, source: int, rows: int, tally: Tally, results: list[Result]) -> None:
            """Take note of rows of a source that were passed, and of what became of those that were legacy."""

        def resumes(self, rows_before: int) -> None:
            """Take note that about so many rows come last in this pass, and are likely finished."""

        def begin_again(self) -> None:
            """Take note that the pass was left, and says nothing of the next one's length."""


log = logging.getLogger(__name__)


class MigrationService:
    """One migration, or a dry run of one. ``run`` is its directory; ``tell`` hears what a person should know.

    ``ahead`` is what can be told before anything is stored, ``trials`` how the flip of each source was tried, if so.
    ``governing`` keeps a run to what the database bears, once it has begun.
    """

    def __init__(self, site: Site, options: Options, stop: Stop, run: Path, tell: Tell) -> None:
        self.ahead = LookAhead()
        self.trials: dict[int, Trial] = {}
        self.governing: Governing | None = None
        self.settling = Settling(site, options, tell)
        self._site, self._options, self._stop, self._run, self._tell = site, options, stop, run, tell
        self._breaker = Breaker(site.settings.max_failed_percent)
        self._is_legacy_empty = False
        self.following: Following | None = None
        self.figures: RunFigures | None = None
        self._idle: tuple[Moment | None, Moment | None] = (None, None)

    async def check(self) -> None:
        """Check that rows are recognised and no fence refuses those that are left, and look ahead. Writes nothing.

        Raises ``NothingRecognised``, ``FenceStands``, ``S3Error`` or ``DatabaseError``.
        """
        if (fence := await fence_ahead(self._site.database, self._site.sources)) is not None:
            if not self._options.dry_run:
                raise fence
            self._tell(f"Warning: {fence}", logging.WARNING)
        first = await moment(self._site.database)
        self._is_legacy_empty = await check_recognised(self._site, lambda text: self._tell(text, logging.INFO))
        await self.settling.settle_kind()
        self.ahead = await look_ahead(self._site, self.settling.options)
        self._idle = first, await moment(self._site.database)

    async def check_room(self) -> None:
        """Check that the ledger fits on its disk. Raises ``RunDirectoryError``."""
        await check_room(self._site, self._run, self._options.limit or None)

    async def amount(self) -> Amount:
        """Return what there is to do, as far as a sample and past runs tell. Raises ``DatabaseError``."""
        site = self._site
        on_aws = is_aws(store_of(site.settings, SideName.PRODUCTION).endpoint_url)
        rows, rate = await estimated_legacy_rows(site), await self._measured_rate()
        return reckon_amount(rows, self._options.limit, self.ahead.mean_bytes, rate, site.settings, on_aws=on_aws)

    async def _measured_rate(self) -> Rate | None:
        """Return what past runs of this site have measured; None as well where their ledgers cannot be read."""
        settings = self._site.settings
        try:
            with ExitStack() as opened:
                past = [opened.enter_context(each) for each in past_runs(self._run.parent, settings)]
                return await measured_rate([run for run in past if is_of(run, settings)])
        except MigrateError as error:
            log.debug("What past runs have measured is not known: %s", error)
            return None

    async def settle(self) -> None:
        """Try the rights to write, and where there is something to copy, as far as can be seen, settle the transfer.

        Raises ``ConditionNotProved`` or ``S3Error``.
        """
        has_work = bool(self._site.sample)
        await self.settling.try_rights(with_tags=has_work)
        if has_work and not self._options.overwrite:
            await self.settling.settle()

    async def try_flip(self) -> Trial:
        """Try a flip in each source, and roll it back. What no row takes stops a migration.

        Return the first of those that were refused as a whole, else in part, else of all.
        """
        for each in self._site.sources:
            self.trials[each.source.number] = await try_flips(self._site.database, each)
        trial = max(
            self.trials.values(), key=lambda each: 2 * (bool(each.tried) and each.is_refused) + bool(each.refused)
        )
        if trial.tried and trial.is_refused and not self._options.dry_run:
            self._stop.by_error(trial.error())
        return trial

    def description(self) -> dict[str, str]:
        """Return what the ledger says of the run."""
        settings = self._site.settings
        about = description(settings, "migrate") | caps_noted(settings) | place_noted(self._site.database)
        return about | {"dry_run": str(self._options.dry_run).lower()} | self.settling.kind_noted()

    async def run(self, ledger: WholeLedger, listener: Listener) -> Finished:
        """Migrate, pass after pass, until nothing is left; report what may have been overwritten.

        Ends early when a stop is requested; whether that was an error, the ``Stop`` tells.
        """
        site, options = self._site, self.settling.options
        async with site.copier(options, OnceSettled(self.settling, ledger), site.copying(options, ledger)) as copier:
            left = LeftUploads(site.settings, self._run, site.sides.production, ledger, self._tell)
            if not options.dry_run:
                await (left.take_over() if self.settling.is_streamed else left.abort())
            migrations = site.migrations(options, copier, ledger, breaker=self._breaker, observe=listener.observe)
            async with AsyncExitStack() as opened:
                if not options.dry_run:  # which the database does not feel
                    governing = Governing(site, self._breaker, listener)
                    self.governing = await opened.enter_async_context(governing)
                if options.follow:
                    self.following = self._follower(migrations, ledger, listener)
                    await self.following.begin()
                began = None if options.dry_run else await moment(site.database)
                if options.is_shared:
                    position = await self._resume(listener)
                    finished = await self._share(options.processes or 1, ledger, listener, position=position)
                else:
                    orders = await usable_orders(migrations)
                    position = await self._resume(listener, orders)
                    finished = await self._alone(migrations, ledger, listener, position=position, orders=orders)
                if began is not None:
                    await self._measure(began, [each.control for each in migrations])
                if self.following is not None:
                    async with HeldUpWatch(site, listener):
                        finished = await self.following.follow(finished)
            if not options.dry_run and self._stop.error is None:
                store = site.sides.production.store
                overwritten = await settle(migrations, store, partial(runs_of, site.settings), self._run)
                finished = finished.and_besides(overwritten)
            if self.settling.is_streamed and not (options.dry_run or options.limit or self._stop.requested):
                await left.abort(own=True)
        return await self._with_those_without_key(finished)

    async def _with_those_without_key(self, finished: Finished) -> Finished:
        """Return that rows are left where some without a key are legacy, or may be, and say how many there are."""
        for each in self._site.sources:
            if not each.table.key.may_be_null or self._stop.requested:
                continue
            try:
                async with self._site.database.session() as session:
                    rows, legacy = await References(session, each.table).without_key(each.mapping)
            except MigrateError as error:
                self._stop.by_error(error)
                return finished
            if rows:
                many = counted(rows, "row has", "rows have")
                told = f"{many} no {each.table.key}, the key of {each.source.table}"
                mend = " Give them one, or set another key." if legacy else ""
                self._tell(f"{told}: {legacy:,} of them may be legacy, and were left.{mend}", logging.WARNING)
                finished = finished._replace(rows_left=finished.rows_left or legacy > 0)
        return finished

    async def about_empty_legacy(self, finished: Finished) -> str:
        """Say that neither a row nor an object is in legacy, where others are on neither side; else nothing."""
        if not self._is_legacy_empty or finished.tally.scanned or self._stop.requested:
            return ""
        return await about_empty_legacy(self._site, self._stop)

    async def _measure(self, began: Moment, controls: Sequence[FlipControl]) -> None:
        ended = await moment(self._site.database)
        limited = self.governing.limited if self.governing is not None else []
        stopped_seconds = sum(each.stopped_seconds for each in limited)
        self.figures = reckon(
            self._idle, began, ended, self._breaker.counts.flipped, controls, stopped_seconds=stopped_seconds
        )

    def _follower(self, migrations: Sequence[Migration], ledger: WholeLedger, listener: Listener) -> Following:
        """Return what goes on where the migration is done."""
        options = self._options

        async def full_pass(before: Finished) -> Finished:
            if options.is_shared:
                return await self._share(options.processes or 1, ledger, listener, before=before)
            return await self._alone(migrations, ledger, listener, before=before)

        return Following(
            migrations,
            full_pass,
            listener,
            every_seconds=options.follow_every_seconds,
            until_quiet_seconds=options.until_quiet_seconds,
        )

    async def _resume(self, listener: Listener, not_by_key: Collection[int] = ()) -> Position | None:
        """Return where an earlier run was, or this one, behind which the pass begins; not in sources ``not_by_key``."""
        position = await newest_position(self._site)
        if position is not None and position.source in not_by_key:
            return None
        if position is not None:
            listener.resumes(position.rows_before)
            table = self._site.sources[position.source].source.table
            self._tell(f"Beginning behind row {position.key} of {table}, which was flipped last.", logging.DEBUG)
        return position

    async def _alone(
        self,
        migrations: Sequence[Migration],
        ledger: WholeLedger,
        listener: Listener,
        *,
        before: Finished | None = None,
        position: Position | None = None,
        orders: Mapping[int, ReadingOrder] | None = None,
    ) -> Finished:
        """Migrate with this process; if its core turns out to be too little, with others."""
        copier = migrations[0].copier
        watch = Watch(
            self._site,
            copier,
            audience=listener,
            is_streamed=self.settling.is_streamed,
        )
        work = partial(migrate, migrations, listener.new_pass, before=before, position=position, orders=orders)
        if self._options.processes is not None:
            async with watch:
                return await work()
        async with asyncio.TaskGroup() as group, watch:
            growing = group.create_task(outgrown(self._stop))
            finished = await work()
            growing.cancel()
        if growing.cancelled() or not self._stop.resume():
            return finished
        processes = growing.result()
        listener.begin_again()
        self._tell(f"One core is full, and others are idle: going on with {processes} processes.", logging.INFO)
        position = await self._resume(listener)
        return await self._share(processes, ledger, listener, before=finished, position=position)

    async def _share(
        self,
        processes: int,
        ledger: WholeLedger,
        listener: Listener,
        *,
        before: Finished | None = None,
        position: Position | None = None,
    ) -> Finished:
        """Migrate with several processes; this one hands out ranges."""
        # several processes are the exception, and their machinery takes a while to import
        from sketchmigrate.cluster.coordinator import Coordinator  # noqa: PLC0415
        from sketchmigrate.cluster.range_worker import RangeAssignment  # noqa: PLC0415

        if self.settling.strategy is not None:
            await ledger.describe(self.settling.noted())
        settings, options = self._site.settings, self.settling.options
        coordinator = Coordinator(
            engine_for(options.cluster, processes),
            RangeAssignment(self._run.name, settings, options, place_of(self._run, settings)),
            site=self._site,
            ledger=ledger,
            stop=self._stop,
            audience=listener,
            settling=self.settling,
            breaker=self._breaker,
            before=before,
            position=position,
        )
        if self.governing is not None:
            self.governing.directs(coordinator.govern)
        return await coordinator.migrate()
