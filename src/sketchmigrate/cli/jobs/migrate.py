"""The main job as a command: preflight, question, migration, report."""

from __future__ import annotations

import logging
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

from sketchmigrate.cli.agreement import check_first_question, migration_question
from sketchmigrate.cli.ending import conclude
from sketchmigrate.cli.job import Job
from sketchmigrate.cli.observer import Observer, Parts
from sketchmigrate.core.exit_codes import ExitCode
from sketchmigrate.inspect.estimate import LIMITED_BY
from sketchmigrate.ledger import new_ledger
from sketchmigrate.migration.trial import certain_refusals
from sketchmigrate.report.tables import status_json, status_report, summary, summary_json, tech_status
from sketchmigrate.service.engines import check_ledger_for
from sketchmigrate.service.migration import MigrationService
from sketchmigrate.settings.sources import routes_of

if TYPE_CHECKING:
    from sketchmigrate.cli.start import Start
    from sketchmigrate.core.status import Status
    from sketchmigrate.inspect.amount import Amount
    from sketchmigrate.inspect.findings import Finding
    from sketchmigrate.report.logs import RunDirectory


class MigrationJob(Job):
    """A migration, a dry run of one, or the status report."""

    def __init__(self, start: Start, run: RunDirectory) -> None:
        super().__init__(start, run, for_writing=not (start.options.dry_run or start.options.status_only))
        self._service: MigrationService
        self._amount: Amount | None = None

    async def prepare(self) -> None:
        """Open the site, and try the rights to read. Writes nothing."""
        check_ledger_for(self.options.cluster, self.settings)
        await super().prepare()
        self._service = service = MigrationService(
            self.site, self.options, self.stop, self.run.path, self.terminal.message
        )
        if self.options.status_only:
            return
        await self.check_production_reading()
        await service.check()
        self.say_ahead(service.ahead)
        if self._for_writing:
            await service.check_room()
            if not self.options.say_yes:
                self._amount = await service.amount()

    def question(self) -> str:
        """Say what is about to be changed, and where."""
        if self.options.status_only:
            return ""
        return migration_question(self.site, self._service.settling, self._service.ahead, self._amount)

    async def settle(self) -> None:
        """Try the rights to write, and settle how nothing is replaced, by a trial of the store."""
        if self._for_writing:
            await self._service.settle()

    def second_question(self) -> str:
        """Ask once more where it comes to check-first, and that was not asked for."""
        return check_first_question(self._service.settling)

    async def carry_out(self) -> int:
        """Migrate, or play it through for a dry run, then report, also on what an error cut short."""
        if self.options.status_only:
            self._print_status(await self._read_status(), as_document=True)
            return 0
        self._service.settling.agree()
        document, exit_code = await migrate_with(self, self._service)
        is_over = "outcomes" in document and not self.stop.requested
        if self.options.dry_run and is_over:
            found = await self._look_at_the_table()
            document["findings"] = [asdict(each) for each in found]
            exit_code = exit_code or ExitCode.finished(left=bool(found))
        if self.options.technical_status and is_over:
            status = await self._read_status()
            document["status"] = status_json(status)
            self._print_status(status, as_document=False)
        return self.conclude(document, exit_code)

    async def _look_at_the_table(self) -> list[Finding]:
        """For a dry run: return what alone would stop a migration, by the catalog and the trial, and show it."""
        from sketchmigrate.inspect.findings import about_trial, certain_findings  # noqa: PLC0415 - as above
        from sketchmigrate.inspect.plan_report import LOOK_FIRST, findings_text  # noqa: PLC0415 - as above
        from sketchmigrate.postgres.catalog import read_facts  # noqa: PLC0415 - a migration has no need of these

        database, trials = self.site.database, self._service.trials
        found: list[Finding] = []
        notes: list[str] = []
        for each in self.site.sources:
            async with database.session() as session:
                facts = await session.run(read_facts, each.table, doing="looking at the table")
            refusals = await certain_refusals(database, each)
            trial = trials.get(each.source.number)
            if trial is None:
                notes.append(about_trial(facts, refusals, None))
            name = each.source.name if len(self.site.sources) > 1 else ""
            found += [finding.of(name) for finding in certain_findings(facts, refusals, trial)]
        for note in dict.fromkeys(notes):  # of several tables it is mostly the same
            self.terminal.message(f"Note: {note}.")
        if found:
            self.terminal.result("\n" + findings_text(LOOK_FIRST, found))
        return found

    async def _read_status(self) -> Status:
        from sketchmigrate.inspect.status import read_status  # noqa: PLC0415 - only -s and -t need it

        site = self.site
        with (
            self.terminal.progress(None, unit="objects and rows") as progress,
            site.silence.told_to(progress.wait),
        ):
            routes = routes_of(self.settings)
            return await read_status(site.sides, site.database, site.sources, routes, Parts(progress).tell)

    def _print_status(self, status: Status, *, as_document: bool) -> None:
        if as_document:
            self.terminal.result(status_report(status, self.settings))
            document = {"exit_code": ExitCode.DONE, "status": status_json(status)}
            conclude(self.terminal, self.options, document, ExitCode.DONE)
        if self.options.technical_status:
            self.terminal.result(tech_status(status), is_verbatim=True)


async def migrate_with(job: Job, service: MigrationService) -> tuple[dict[str, object], int]:
    """Migrate as a job, and show the summary; return what JSON says of it, and the exit code.

    The error that ended it, if one did, is in ``job.stop``: then there may be no summary.
    """
    options, terminal = job.options, job.terminal
    job.take_signals()
    tried = await _try_flip(job, service)
    if job.stop.error is not None:
        return tried, job.stop.error.exit_code
    began = time.monotonic()
    async with new_ledger(job.run.path, job.settings, service.description(), job.stop.event) as ledger:
        with terminal.progress(job.site.estimated_rows) as progress:
            observer = Observer(job.site, options, terminal, progress, telling=job.telling)
            async with job.keeping_samples(ledger), job.taking_orders(progress, observer):
                finished = await service.run(ledger, observer)
        measured: dict[str, str] = {}
        if job.stop.error is None:
            measured = {LIMITED_BY: observer.limit} | (service.figures.noted() if service.figures else {})
        job.held_up = observer.held
        job.note_limits(service.governing)
        hidden, elapsed_seconds = await job.are_rows_hidden(), time.monotonic() - began
        empty = await service.about_empty_legacy(finished)
        if empty:
            terminal.message(f"Warning: {empty}", logging.WARNING)
        result = await job.summarise(
            ledger, finished, elapsed_seconds, rows_hidden=hidden, nothing_in_legacy=bool(empty), besides=measured
        )
    lost, settling = service.ahead.dropped, service.settling
    terminal.result("\n\n".join(filter(None, (summary(result), "\n".join(lost)))))
    document = summary_json(result) | settling.noted() | tried | settling.kind_noted()
    if service.following is not None:
        document["follow"] = service.following.gauge.as_json(job.site.database.clock.monotonic())
    return document | {"keeping": service.ahead.document}, result.exit_code


async def _try_flip(job: Job, service: MigrationService) -> dict[str, object]:
    """Try a flip where that is wanted; what no row takes stops a migration. Return what JSON says of it."""
    wanted = not job.options.dry_run if job.options.trial is None else job.options.trial
    if not wanted:
        return {}
    trial = await service.try_flip()
    if job.stop.error is None:
        level = logging.WARNING if trial.refused else logging.INFO
        quiet = trial.is_done or not (trial.refused or trial.is_slow or trial.left_out)
        job.terminal.message(f"Trial flip: {trial.told()}.", logging.DEBUG if quiet else level)
    return {"trial": trial.as_json()}
