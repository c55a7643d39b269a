"""What every command that works on the site has in common: event loop, site, question, signals, and how it ends."""

from __future__ import annotations

import asyncio
import logging
import signal
from abc import ABC, abstractmethod
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import uvloop

from sketchmigrate.cli.ending import conclude, error_json, show_failure
from sketchmigrate.core.errors import Interrupted, MigrateError
from sketchmigrate.core.exit_codes import ExitCode, decide
from sketchmigrate.core.outcome import Summary
from sketchmigrate.garbage import collect_garbage_seldom
from sketchmigrate.ledger import NEEDING_A_PERSON, check_place
from sketchmigrate.migration.preflight import PATIENCE_SECONDS, check_read
from sketchmigrate.migration.site import Site, open_site
from sketchmigrate.migration.stop import Stop
from sketchmigrate.migration.watch import Watch
from sketchmigrate.postgres.privileges import hidden_meanwhile
from sketchmigrate.postgres.structure import hides_rows
from sketchmigrate.postgres.waits import Held, merged
from sketchmigrate.report.csv_safe import make_harmless

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sketchmigrate.cli.observer import Observer
    from sketchmigrate.cli.start import Start
    from sketchmigrate.core.outcome import Outcome, ProblemGroup
    from sketchmigrate.ledger import WholeLedger
    from sketchmigrate.migration.copier import Copier
    from sketchmigrate.migration.look_ahead import LookAhead
    from sketchmigrate.migration.runner import Finished
    from sketchmigrate.report.logs import RunDirectory


PROBLEMS_SHOWN = 20


class Job(ABC):
    """One invocation on one event loop. ``for_writing`` says that references will be changed."""

    stopped_hint = "Nothing is lost: run it again, and it goes on where it stopped."
    """What is told after a second signal, or of what a first one ends at once."""

    instead_of_asking = "Give -y to agree beforehand, or -d to see what would be done."
    """What is told where nobody can answer the question."""

    def __init__(self, start: Start, run: RunDirectory, *, for_writing: bool) -> None:
        self.settings, self.options, self.terminal, self.run = start.settings, start.options, start.terminal, run
        self.stop = Stop()
        self.site: Site
        self.held_up: list[Held] = []  # what held other processes up
        self._for_writing = for_writing
        self._writes_ledger = True
        self._opened = AsyncExitStack()

    async def prepare(self) -> None:
        """Open the store and the database, and check all that can be checked without writing."""
        self.terminal.message(f"Log: {self.run.log_path}")
        if not self.options.status_only:  # which needs no ledger
            await check_place(self.settings, self.stop.event, for_writing=self._writes_ledger)
        site = open_site(self.settings, self.stop, for_writing=self._for_writing)
        self.site = await self._opened.enter_async_context(site)
        for notice in self.site.notices:
            self.terminal.message(f"Note: {notice}")

    async def check_production_reading(self) -> None:
        """Try the right to read in production. Raises ``S3Error``."""
        readable = [
            each._replace(production=await check_read(sides.production.retrying(PATIENCE_SECONDS), each.production))
            for sides, each in zip(self.site.all_sides, self.site.specimens, strict=True)
        ]
        self.site = replace(self.site, specimens=tuple(readable))

    def say_ahead(self, ahead: LookAhead) -> None:
        """Say what is known before anything is stored, but for what the question says."""
        for warning in ahead.warnings:
            self.terminal.message(f"Note: {warning}", logging.WARNING)
        if self.options.say_yes and self._for_writing and ahead.dropped:
            self.terminal.message("Note: " + "\n".join(ahead.dropped))
        else:
            self.terminal.message("\n".join(ahead.lines), logging.DEBUG)

    def question(self) -> str:
        """Say what is about to be changed, and where. Nobody is asked where it is empty."""
        return ""

    async def settle(self) -> None:  # noqa: B027 - most commands have nothing to find out
        """Find out what takes writing to find out: after the question, and not in a dry run."""

    def second_question(self) -> str:
        """Say what ``settle`` has found that a person may not want. Nobody is asked where it is empty."""
        return ""

    @property
    def source_names(self) -> list[str]:
        """The sources that the job is about, in order."""
        return [each.source.name for each in self.site.sources]

    @abstractmethod
    async def carry_out(self) -> int:
        """Do what the command is for, and return the exit code. Raises ``MigrateError``."""

    async def close(self) -> None:
        """Close what ``prepare`` opened."""
        await self._opened.aclose()

    def take_signals(self) -> None:
        """First signal: finish what is under way. Second: stop at once. Third: whatever the system does."""
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()

        def take(number: int) -> None:
            if self.stop.signal_number is None:
                notice = "Stopping: finishing what is under way. Once more stops at once."
                self.terminal.message(notice, logging.WARNING)
                self.stop.by_signal(number)
                self.site.sides.stop_retrying()
                return
            for each in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(each)
                signal.signal(each, signal.SIG_DFL)
            if task is not None:
                task.cancel()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, take, number)

    def watch(self, copier: Copier, observer: Observer) -> Watch:
        """Return what lets the progress say what limits the run, an async context manager."""
        iterations = self.options.parallelization_level
        return Watch(self.site, copier, iterations=iterations, audience=observer)

    async def are_rows_hidden(self) -> bool:
        """Whether row-level security became active since the job began; that, or an error of asking, is noted."""
        if self.stop.error is not None or self.site.hides_rows:
            return False
        try:
            async with self.site.database.session() as session:
                tables = dict.fromkeys(each.table.name for each in self.site.sources)
                asked = [
                    (name, await session.run(partial(hides_rows, name=name), doing="looking at the table"))
                    for name in tables
                ]
        except MigrateError as error:
            self.stop.by_error(error)
            return False
        hidden = [".".join(name) for name, hides in asked if hides]
        if hidden:
            self.stop.by_error(hidden_meanwhile(", ".join(hidden)))
        return bool(hidden)

    async def summarise(
        self,
        ledger: WholeLedger,
        finished: Finished,
        elapsed_seconds: float,
        *,
        rows_hidden: bool,
        listed: tuple[Outcome, ...] = NEEDING_A_PERSON,
        nothing_in_legacy: bool = False,
    ) -> Summary:
        """Sum up what was done, and write the list of the entries with an outcome that is to be ``listed``."""
        problems_file = ""
        groups: tuple[ProblemGroup, ...] = ()
        counts = finished.tally.by_outcome()
        if finished.tally.possibly_overwritten or any(counts[outcome] for outcome in listed):
            await ledger.write_problems(self.run.problems_path, listed)
            await self.wrote_csv(self.run.problems_path)
            problems_file, groups = str(self.run.problems_path), await ledger.problem_groups(listed)
        return Summary(
            tally=finished.tally,
            elapsed_seconds=elapsed_seconds,
            passes=finished.passes,
            dry_run=self.options.dry_run,
            rows_left=finished.rows_left,
            stopped_by_signal=self.stop.signal_number,
            problems=await ledger.first_unresolved(PROBLEMS_SHOWN, listed),
            groups=groups,
            problems_file=problems_file,
            log_file=str(self.run.log_path),
            ended_by_error=self.stop.error is not None,
            rows_hidden=rows_hidden,
            nothing_in_legacy=nothing_in_legacy,
            sources=tuple(zip(self.source_names, finished.sources, strict=False)),
        )

    async def wrote_csv(self, path: Path) -> None:
        """Make a list harmless for spreadsheets, where that is wanted. Raises ``RunDirectoryError``."""
        if self.options.csv_safe:
            await asyncio.to_thread(make_harmless, path)

    def conclude(self, document: dict[str, object], exit_code: int) -> int:
        """Show the error that ended the work, if one did, and the JSON document. Returns the exit code."""
        if self.stop.error is not None:
            show_failure(self.terminal, self.stop.error)
            document = document | error_json(self.stop.error)
            exit_code = decide(exit_code, error_code=self.stop.error.exit_code, signal_number=self.stop.signal_number)
        waits = merged((*self.site.database.waits.held(), *self.held_up))
        if waits or "outcomes" in document:
            said = [{"what": wait.what, "seconds": round(wait.seconds, 1)} for wait in waits]
            document = {**document, "waits": said}
        return conclude(self.terminal, self.options, document, exit_code)


def run_job(job: Job) -> int:
    """Prepare, ask, carry out, close; return the exit code. Raises ``MigrateError``."""
    collect_garbage_seldom()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(job.prepare())
            if not _agreed(job, runner, job.question):
                return job.conclude({"declined": True}, ExitCode.LEFT)
            if not job.options.dry_run:
                runner.run(job.settle())
            if not _agreed(job, runner, job.second_question):
                return job.conclude({"declined": True}, ExitCode.LEFT)
            return runner.run(job.carry_out())
        except KeyboardInterrupt as pressed:
            raise Interrupted("interrupted before anything was changed", signal_number=signal.SIGINT) from pressed
        except asyncio.CancelledError as cancelled:
            raise Interrupted(
                "stopped at once",
                hint=job.stopped_hint,
                signal_number=job.stop.signal_number or signal.SIGINT,
            ) from cancelled
        finally:
            runner.run(job.close())


def _agreed(job: Job, runner: asyncio.Runner, question: Callable[[], str]) -> bool:
    """Ask, unless there is nothing to ask or the answer was given beforehand."""
    text = "" if job.options.say_yes or job.options.dry_run else question()
    if not text:
        return True
    runner.run(job.site.database.close())  # a firewall may cut what is kept while a person thinks
    if job.terminal.confirm(text, instead=job.instead_of_asking):
        return True
    job.terminal.message("Nothing was changed.")
    return False
