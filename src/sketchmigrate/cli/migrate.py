"""The main job as a command: preflight, question, migration, report."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING

from sketchmigrate import __version__
from sketchmigrate.cli.agreement import check_first_question, migration_question
from sketchmigrate.cli.engines import check_ledger_for, engine_for, is_shared
from sketchmigrate.cli.job import Job, run_job
from sketchmigrate.cli.observer import Observer, Parts
from sketchmigrate.cli.probe import settle_no_clobber, try_rights
from sketchmigrate.core.errors import ConditionNotProved
from sketchmigrate.core.outcome import Summary
from sketchmigrate.inspect.rate import LIMITED_BY, caps_noted
from sketchmigrate.ledger import new_ledger, place_of
from sketchmigrate.migration.breaker import Breaker
from sketchmigrate.migration.growth import outgrown
from sketchmigrate.migration.overwritten import settle
from sketchmigrate.migration.passes import migrate
from sketchmigrate.migration.placing import OnceSettled
from sketchmigrate.migration.recognition import about_empty_legacy, check_recognised
from sketchmigrate.migration.record import description, runs_of
from sketchmigrate.migration.room import check_room
from sketchmigrate.migration.trial import certain_refusals, try_flips
from sketchmigrate.report.tables import status_json, status_report, summary, summary_json, tech_status

if TYPE_CHECKING:
    from sketchmigrate.core.status import Status
    from sketchmigrate.inspect.findings import Finding
    from sketchmigrate.ledger import WholeLedger
    from sketchmigrate.migration.no_clobber import Strategy
    from sketchmigrate.migration.runner import Finished, Migration
    from sketchmigrate.migration.trial import Trial
    from sketchmigrate.report.logs import RunDirectory
    from sketchmigrate.report.terminal import Terminal
    from sketchmigrate.settings import Options, Settings

PROBLEMS_SHOWN = 20


def migrate_command(settings: Settings, options: Options, terminal: Terminal, run: RunDirectory) -> int:
    """Carry out a migration, a dry run or a status report, and return the exit code. Raises ``MigrateError``."""
    return run_job(MigrationJob(settings, options, terminal, run))


class MigrationJob(Job):
    """A migration, a dry run of one, or the status report."""

    def __init__(
        self,
        settings: Settings,
        options: Options,
        terminal: Terminal,
        run: RunDirectory,
        strategy: Strategy | None = None,
    ) -> None:
        writes = not (options.dry_run or options.status_only)
        super().__init__(settings, options, terminal, run, for_writing=writes)
        self._strategy = strategy  # None: it is settled when the first object is to be copied
        self._trial: Trial | None = None
        self._breaker = Breaker(settings.max_failed_percent)
        self._is_legacy_empty = False

    async def prepare(self) -> None:
        """Open the site, and try the rights to read. Writes nothing."""
        check_ledger_for(self.options.cluster, self.settings)
        await super().prepare()
        if self.options.status_only:
            return
        await self.check_production_reading()
        self._is_legacy_empty = await check_recognised(self.site, self.terminal.message)
        await self.look_ahead()
        if self._for_writing:
            await check_room(self.site, self.run.path, self.options.limit or None)

    def question(self) -> str:
        """Say what is about to be changed, and where."""
        if self.options.status_only:
            return ""
        return migration_question(self.site, self.options, self.ahead)

    async def settle(self) -> None:
        """Try the rights to write, and settle how nothing is replaced, by a trial of the store."""
        if not self._for_writing:
            return
        await try_rights(self.site, self.terminal, with_tags=self.site.first_legacy_path is not None)
        if self.site.first_legacy_path is not None and not self.options.overwrite:
            await self._settle()
        # else nothing is to do, as far as can be seen: then nothing is written

    async def _settle(self) -> Strategy:
        if self._strategy is None:
            wanted = self.options.no_clobber
            self._strategy = await settle_no_clobber(self.site.store, self.settings, wanted, self.terminal)
        return self._strategy

    def second_question(self) -> str:
        """Ask once more where it comes to check-first, and that was not asked for."""
        return check_first_question(self._strategy, self.options)

    async def carry_out(self) -> int:
        """Migrate, or play it through for a dry run, then report, also on what an error cut short."""
        if self.options.status_only:
            self._print_status(await self._read_status(), as_document=True)
            return 0
        self.take_signals()
        tried = await self._try_flip()
        if self.stop.error is not None:
            return self.conclude(tried, self.stop.error.exit_code)
        began = time.monotonic()
        async with new_ledger(self.run.path, self.settings, self._description(), self.stop.event) as ledger:
            with self.terminal.progress(self.site.table.estimated_rows) as progress:
                observer = Observer(self.site, self.options, self.terminal, progress)
                finished = await self._run(ledger, observer)
            if self.stop.error is None:
                await ledger.describe({LIMITED_BY: observer.limit})
            self.held_up = observer.held
            hidden = await self.are_rows_hidden()
            result = await self._summarise(ledger, finished, time.monotonic() - began)
            result = replace(result, rows_hidden=hidden, nothing_in_legacy=await self._warn_of_empty_legacy(finished))
        document = summary_json(result) | self._no_clobber() | tried
        self.terminal.result(summary(result))
        exit_code = result.exit_code
        if self.options.dry_run and not self.stop.requested:
            found = await self._look_at_the_table()
            document["findings"] = [asdict(each) for each in found]
            exit_code = exit_code or int(bool(found))
        if self.options.technical_status and not self.stop.requested:
            status = await self._read_status()
            document["status"] = status_json(status)
            self._print_status(status, as_document=False)
        return self.conclude(document, exit_code)

    async def _warn_of_empty_legacy(self, finished: Finished) -> bool:
        """Warn where neither a row nor an object is in legacy, and others are on neither side; return whether so."""
        if not self._is_legacy_empty or finished.tally.scanned or self.stop.requested:
            return False
        about = await about_empty_legacy(self.site, self.stop)
        if about:
            self.terminal.message(f"Warning: {about}", logging.WARNING)
        return bool(about)

    async def _try_flip(self) -> dict[str, object]:
        """Try a flip where that is wanted; what no row takes stops the run. Return what JSON says of it."""
        wanted = self._for_writing if self.options.trial is None else self.options.trial
        if not wanted:
            return {}
        self._trial = trial = await try_flips(self.site.database, self.site.table, self.site.mapping)
        if trial.tried and trial.is_refused and self._for_writing:
            self.stop.by_error(trial.error())
        else:
            level = logging.WARNING if trial.refused else logging.INFO
            quiet = trial.is_done or not (trial.refused or trial.is_slow or trial.left_out)
            self.terminal.message(f"Trial flip: {trial.told()}.", logging.DEBUG if quiet else level)
        return {"trial": trial.as_json()}

    async def _look_at_the_table(self) -> list[Finding]:
        """For a dry run: return what alone would stop a migration, by the catalog and the trial, and show it."""
        from sketchmigrate.inspect.findings import about_trial, certain_findings  # noqa: PLC0415 - as above
        from sketchmigrate.inspect.plan_report import LOOK_FIRST, findings_text  # noqa: PLC0415 - as above
        from sketchmigrate.postgres.catalog import read_facts  # noqa: PLC0415 - a migration has no need of these

        database = self.site.database
        async with database.session() as session:
            facts = await session.run(partial(read_facts, settings=self.settings), doing="looking at the table")
        refusals = await certain_refusals(database, self.site.table, self.site.mapping)
        if self._trial is None:
            self.terminal.message(f"Note: {about_trial(facts, refusals, None)}.")
        found = certain_findings(facts, refusals, self._trial)
        if found:
            self.terminal.result("\n" + findings_text(LOOK_FIRST, found))
        return found

    async def _run(self, ledger: WholeLedger, observer: Observer) -> Finished:
        placing = OnceSettled(self.site.store, lambda: self._settle_for(ledger))
        async with self.site.copier(self.options, self.stop, placing) as copier:
            migration = self.site.migration(
                self.options, copier, ledger, self.stop, breaker=self._breaker, observe=observer.observe
            )
            if is_shared(self.options):
                finished = await self._share(self.options.processes or 1, ledger, observer)
            else:
                finished = await self._alone(migration, ledger, observer)
            if self._for_writing and self.stop.error is None:
                overwritten = await settle(migration, self.site.store, partial(runs_of, self.settings), self.run.path)
                finished = finished._replace(tally=finished.tally + overwritten)
        return finished

    async def _alone(self, migration: Migration, ledger: WholeLedger, observer: Observer) -> Finished:
        """Migrate with this process; if its core turns out to be too little, with others."""
        if self.options.processes is not None:
            async with self.watch(migration.copier, observer):
                return await migrate(migration, observer.new_pass)
        async with asyncio.TaskGroup() as group, self.watch(migration.copier, observer):
            growing = group.create_task(outgrown(self.stop))
            finished = await migrate(migration, observer.new_pass)
            growing.cancel()
        if growing.cancelled() or not self.stop.resume():
            return finished
        processes = growing.result()
        observer.rows = 0  # that pass did not come to its end, so it says nothing of the next one's length
        self.terminal.message(f"One core is full, and others are idle: going on with {processes} processes.")
        return await self._share(processes, ledger, observer, before=finished)

    async def _share(
        self, processes: int, ledger: WholeLedger, observer: Observer, before: Finished | None = None
    ) -> Finished:
        """Migrate with several processes; this one hands out ranges."""
        # several processes are the exception, and their machinery takes a while to import
        from sketchmigrate.cluster.coordinator import Coordinator  # noqa: PLC0415
        from sketchmigrate.cluster.range_worker import RangeAssignment  # noqa: PLC0415

        if self._strategy is not None:
            await ledger.describe(self._no_clobber())
        coordinator = Coordinator(
            engine_for(self.options.cluster, processes),
            RangeAssignment(self.run.path.name, self.settings, self.options, place_of(self.run.path, self.settings)),
            site=self.site,
            ledger=ledger,
            stop=self.stop,
            audience=observer,
            strategy=self._strategy,
            breaker=self._breaker,
            before=before,
            settle=lambda: self._settle_for(ledger),
        )
        return await coordinator.migrate()

    async def _settle_for(self, ledger: WholeLedger) -> Strategy:
        is_late = self._strategy is None
        strategy = await self._settle()
        if is_late and not self.options.say_yes and check_first_question(strategy, self.options):
            raise ConditionNotProved(  # nobody can be asked in the middle
                f"the rows that were found meanwhile were not begun: to replace nothing, {strategy.reason}",
                hint="Migrate them with --no-clobber check-first, which agrees to a look before each copy.",
            )
        await ledger.describe(self._no_clobber())
        return strategy

    async def _summarise(self, ledger: WholeLedger, finished: Finished, elapsed_seconds: float) -> Summary:
        if finished.tally.needing_a_person:
            await ledger.write_problems(self.run.problems_path)
            await self.wrote_csv(self.run.problems_path)
        return Summary(
            tally=finished.tally,
            elapsed_seconds=elapsed_seconds,
            passes=finished.passes,
            dry_run=self.options.dry_run,
            rows_left=finished.rows_left,
            stopped_by_signal=self.stop.signal_number,
            problems=await ledger.first_unresolved(PROBLEMS_SHOWN),
            problems_file=str(self.run.problems_path) if finished.tally.needing_a_person else "",
            log_file=str(self.run.log_path),
            ended_by_error=self.stop.error is not None,
        )

    async def _read_status(self) -> Status:
        from sketchmigrate.inspect.status import read_status  # noqa: PLC0415 - only -s and -t need it

        site = self.site
        with (
            self.terminal.progress(None, unit="objects and rows") as progress,
            site.silence.told_to(progress.wait),
        ):
            return await read_status(site.store, site.database, site.table, self.settings, Parts(progress).tell)

    def _print_status(self, status: Status, *, as_document: bool) -> None:
        if as_document:
            self.terminal.result(status_report(status, self.settings))
            if self.options.json_output:
                self.terminal.document({"version": __version__, "exit_code": 0, "status": status_json(status)})
        if self.options.technical_status:
            self.terminal.result(tech_status(status), is_verbatim=True)

    def _description(self) -> dict[str, str]:
        about = description(self.settings, "migrate") | caps_noted(self.settings)
        return about | {"dry_run": str(self.options.dry_run).lower()}

    def _no_clobber(self) -> dict[str, str]:
        strategy = self._strategy
        return {"no_clobber": strategy.means, "no_clobber_reason": strategy.reason} if strategy else {}
