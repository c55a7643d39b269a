"""The main job as a command: preflight, question, migration, report."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import uvloop

from sketch_migrate import __version__
from sketch_migrate.cli.failure import error_json, show_failure
from sketch_migrate.cli.observer import Observer
from sketch_migrate.cli.site import Site, open_site
from sketch_migrate.errors import Interrupted, MigrateError
from sketch_migrate.ledger import Ledger
from sketch_migrate.migration.copier import Copier
from sketch_migrate.migration.preflight import (
    PATIENCE_SECONDS,
    check_reading,
    check_writing,
    store_name,
)
from sketch_migrate.migration.runner import Finished, Migration, migrate
from sketch_migrate.migration.stop import Stop
from sketch_migrate.model import Summary
from sketch_migrate.postgres.references import count_sides
from sketch_migrate.reconcile.status import read_status
from sketch_migrate.report.tables import status_json, status_report, summary, summary_json, tech_status

if TYPE_CHECKING:
    from sketch_migrate.model import Status
    from sketch_migrate.postgres.connection import Connection
    from sketch_migrate.report.logs import RunDirectory
    from sketch_migrate.report.terminal import Terminal
    from sketch_migrate.settings import Options, Settings

PROBLEMS_SHOWN = 20


def migrate_command(settings: Settings, options: Options, terminal: Terminal, run: RunDirectory) -> int:
    """Carry out a migration, a dry run or a status report, and return the exit code. Raises ``MigrateError``."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        job = Job(settings, options, terminal, run)
        try:
            runner.run(job.prepare())
            if options.status_only:
                return runner.run(job.report_status())
            if not (options.say_yes or options.dry_run) and not terminal.confirm(job.question()):
                terminal.message("Nothing was changed.")
                return 1
            return runner.run(job.migrate())
        except KeyboardInterrupt as pressed:
            raise Interrupted("interrupted before anything was changed", signal_number=signal.SIGINT) from pressed
        except asyncio.CancelledError as cancelled:
            raise Interrupted(
                "stopped at once",
                hint="Nothing is lost: run it again, and it goes on where it stopped.",
                signal_number=job.stop.signal_number or signal.SIGINT,
            ) from cancelled
        finally:
            runner.run(job.close())


class Job:
    """One invocation on one event loop: what it opened, and its steps in the order in which they are taken."""

    def __init__(self, settings: Settings, options: Options, terminal: Terminal, run: RunDirectory) -> None:
        self.settings, self.options, self.terminal, self.run = settings, options, terminal, run
        self.stop = Stop()
        self._opened = AsyncExitStack()
        self.site: Site

    async def prepare(self) -> None:
        """Open the store and the database, and check all that can be checked without writing."""
        self.terminal.message(f"Log: {self.run.log_path}")
        writes = not (self.options.dry_run or self.options.status_only)
        self.site = await self._opened.enter_async_context(open_site(self.settings, self.stop, for_writing=writes))
        for notice in self.site.notices:
            self.terminal.message(f"Note: {notice}")

    def question(self) -> str:
        """Say what is about to be changed, and where."""
        s = self.settings
        change = "replacing what differs there" if self.options.overwrite else "replacing nothing that differs there"
        return (
            f"This copies s3://{s.legacy_bucket}/{s.legacy_prefix}… to s3://{s.production_bucket}/{s.production_prefix}…\n"
            f"at {store_name(s)}, {change},\n"
            f"and sets {s.db_table}.{s.db_path_column} from {s.legacy_prefix}… to {s.production_prefix}…\n"
            f"in the database {self.site.database.where}. Nothing is deleted.\n"
            "Go on?"
        )

    async def report_status(self) -> int:
        """Print the status report."""
        self._print_status(await self._read_status(), as_document=True)
        return 0

    async def migrate(self) -> int:
        """Migrate, or play it through for a dry run, then report, also on what an error cut short."""
        self._take_signals()
        if not self.options.dry_run:
            await check_writing(self.site.store.retrying(PATIENCE_SECONDS), self.settings)
        began = time.monotonic()
        async with Ledger(self.run.ledger_path, description=self._description()) as ledger:
            with self.terminal.progress(self.site.table.estimated_rows) as progress:
                observer = Observer(self.site, self.options, self.terminal, progress)
                finished = await self._run(ledger, observer)
            result = await self._summarise(ledger, finished, time.monotonic() - began)
        document = {"version": __version__, **summary_json(result)}
        exit_code = result.exit_code
        self.terminal.result(summary(result))
        if self.stop.error is not None:
            show_failure(self.terminal, self.stop.error)
            document |= error_json(self.stop.error)
            if self.stop.signal_number is None:
                exit_code = self.stop.error.exit_code
        elif self.options.technical_status and self.stop.signal_number is None:
            status = await self._read_status()
            document["status"] = status_json(status)
            self._print_status(status, as_document=False)
        if self.options.json_output:
            self.terminal.document(document | {"exit_code": exit_code})
        return exit_code

    async def close(self) -> None:
        """Close what ``prepare`` opened."""
        await self._opened.aclose()

    async def _run(self, ledger: Ledger, observer: Observer) -> Finished:
        """Migrate, while the table is counted for the bar."""
        async with asyncio.TaskGroup() as group, self._copier() as copier:
            counting = group.create_task(self._count_rows(observer))
            finished = await migrate(self._migration(ledger, observer, copier), observer.new_pass)
            counting.cancel()
        return finished

    async def _count_rows(self, observer: Observer) -> None:
        """Refine the planner's estimate of the bar's total. Nothing waits for it, and nothing fails with it."""

        async def count(connection: Connection) -> tuple[int, int, int]:
            return await count_sides(
                connection, self.site.table, self.site.mapping.legacy_prefix, self.site.mapping.production_prefix
            )

        try:
            async with self.site.database.session() as session:
                *_, observer.total_rows = await session.run(count, doing="counting rows", unlimited=True)
        except MigrateError as error:
            self.terminal.message(f"The rows could not be counted, the bar shows an estimate: {error}", logging.DEBUG)

    def _copier(self) -> Copier:
        return Copier(
            self.site.store,
            self._check_access,
            workers=self.settings.s3_max_connections,
            overwrite=self.options.overwrite,
            dry_run=self.options.dry_run,
            stop=self.stop,
        )

    def _migration(self, ledger: Ledger, observer: Observer, copier: Copier) -> Migration:
        return Migration(
            options=self.options,
            mapping=self.site.mapping,
            table=self.site.table,
            database=self.site.database,
            copier=copier,
            ledger=ledger,
            stop=self.stop,
            observe=observer.observe,
        )

    async def _check_access(self) -> None:
        await check_reading(self.site.store, self.settings)
        if not self.options.dry_run:
            await check_writing(self.site.store, self.settings)

    async def _summarise(self, ledger: Ledger, finished: Finished, elapsed_seconds: float) -> Summary:
        if finished.tally.needing_a_person:
            await ledger.write_problems(self.run.problems_path)
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
        return await read_status(self.site.store, self.site.database, self.site.table, self.settings)

    def _print_status(self, status: Status, *, as_document: bool) -> None:
        if as_document:
            self.terminal.result(status_report(status, self.settings))
            if self.options.json_output:
                self.terminal.document({"version": __version__, "exit_code": 0, "status": status_json(status)})
        if self.options.technical_status:
            self.terminal.result(tech_status(status))

    def _description(self) -> dict[str, str]:
        s = self.settings
        return {
            "version": __version__,
            "table": s.db_table,
            "key_column": s.db_key_column,
            "path_column": s.db_path_column,
            "legacy": f"s3://{s.legacy_bucket}/{s.legacy_prefix}",
            "production": f"s3://{s.production_bucket}/{s.production_prefix}",
            "endpoint": s.s3_endpoint_url,
            "dry_run": str(self.options.dry_run).lower(),
        }

    def _take_signals(self) -> None:
        """First signal: finish what is under way. Second: stop at once. Third: whatever the system does."""
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()

        def take(number: int) -> None:
            if self.stop.signal_number is None:
                notice = "Stopping: finishing what is under way. Once more stops at once."
                self.terminal.message(notice, logging.WARNING)
                self.stop.by_signal(number)
                self.site.store.stop_retrying()
                return
            for each in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(each)
                signal.signal(each, signal.SIG_DFL)
            if task is not None:
                task.cancel()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, take, number)
