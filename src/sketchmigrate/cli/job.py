"""What every command that works on the site has in common: event loop, site, question, signals, and how it ends."""

from __future__ import annotations

import asyncio
import logging
import signal
from abc import ABC, abstractmethod
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import uvloop

from sketchmigrate import __version__
from sketchmigrate.cli.early_signals import ignore_requests_for_the_status
from sketchmigrate.cli.ending import conclude, error_json, show_failure
from sketchmigrate.cli.telling import Telling, metrics_of
from sketchmigrate.core.errors import Interrupted, MigrateError, RunDirectoryError
from sketchmigrate.core.exit_codes import ExitCode, decide
from sketchmigrate.core.outcome import Summary
from sketchmigrate.garbage import collect_garbage_seldom
from sketchmigrate.ledger import NEEDING_A_PERSON, check_place
from sketchmigrate.ledger.account import RESULT, result_noted
from sketchmigrate.ledger.result import leave_document
from sketchmigrate.ledger.samples import keep_samples
from sketchmigrate.migration.at_work import others_at_work
from sketchmigrate.migration.control import Control
from sketchmigrate.migration.control_socket import taking_orders
from sketchmigrate.migration.governing import not_watched
from sketchmigrate.migration.holds import CAP
from sketchmigrate.migration.preflight import PATIENCE_SECONDS, check_read
from sketchmigrate.migration.sampling import Sampler
from sketchmigrate.migration.site import Site, open_site
from sketchmigrate.migration.standstill import StandstillWatch
from sketchmigrate.migration.stop import Stop
from sketchmigrate.migration.tuning import Tuning
from sketchmigrate.migration.watch import Watch
from sketchmigrate.postgres.privileges import hidden_meanwhile
from sketchmigrate.postgres.structure import hides_rows
from sketchmigrate.postgres.waits import Held, merged
from sketchmigrate.report.csv_safe import make_harmless
from sketchmigrate.report.limits import governor_json, limited_line
from sketchmigrate.report.run_status import outcomes_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from pathlib import Path

    from sketchmigrate.cli.observer import Observer
    from sketchmigrate.cli.start import Start
    from sketchmigrate.cli.telling import Metrics
    from sketchmigrate.core.outcome import Outcome, Problem, ProblemGroup
    from sketchmigrate.core.sample import Sample
    from sketchmigrate.flow.governor import Limited
    from sketchmigrate.ledger import WholeLedger
    from sketchmigrate.migration.copier import Copier
    from sketchmigrate.migration.governing import Governing
    from sketchmigrate.migration.look_ahead import LookAhead
    from sketchmigrate.migration.runner import Finished
    from sketchmigrate.report.logs import RunDirectory
    from sketchmigrate.report.progress import Progress


PROBLEMS_SHOWN = 20

SAID_FROM_SECONDS = 0.5

TWO_RUNS = (
    "Two runs at once do the same work twice; where the store honours no condition, each may take the other's copies"
    " for objects of the application."
)
"""See ``tests/fault/test_two_runs.py``."""


class Job(ABC):
    """One invocation on one event loop. ``for_writing`` says that references will be changed."""

    stopped_hint = "Nothing is lost: run it again, and it goes on where it stopped."
    """What is told after a second signal, or of what a first one ends at once."""

    instead_of_asking = "Give -y to agree beforehand, or -d to see what would be done."
    """What is told where nobody can answer the question."""

    def __init__(self, start: Start, run: RunDirectory, *, for_writing: bool) -> None:
        self.settings, self.options, self.terminal, self.run = start.settings, start.options, start.terminal, run
        self.command = start.command
        self._start = start
        self.stop = Stop()
        self.tuning = Tuning(start.settings, start.options)
        self.site: Site
        self.held_up: list[Held] = []  # what held other processes up
        self.limited: list[Limited] = []  # by what of the database's the run was limited
        self.not_watched: tuple[str, ...] = ()
        self.noted = start.noted
        is_back = start.command == "rollback"
        self.telling = Telling(start.events, start.notifier, is_back=is_back)
        self._metrics: Metrics | None = None
        self.sampled_by: list[Callable[[Sample], None]] = []  # who is handed a sample of the run, each second
        self._others: list[str] = []  # runs that are at work over the same table
        self._for_writing = for_writing
        self._writes_ledger = True
        self._opened = AsyncExitStack()

    async def prepare(self) -> None:
        """Open the store and the database, and check all that can be checked without writing."""
        self.terminal.message(f"Log: {self.run.log_path}")
        self._metrics = metrics_of(
            self.options, self.tuning, self.terminal, command=self.command, run=self.run.path.name
        )
        if self._metrics is not None:
            self._opened.callback(self._metrics.close)
        if not self.options.status_only:  # which needs no ledger
            await check_place(self.settings, self.stop.event, for_writing=self._writes_ledger)
        own = self.run.path.name
        site = open_site(self.tuning, self.stop, for_writing=self._for_writing, run=own if self._for_writing else "")
        self.site = await self._opened.enter_async_context(site)
        if self._for_writing:
            self._others = await others_at_work(self.site.database, self.settings, own)
        if self.options.say_yes:
            for other in self._others:
                self.terminal.message(f"Warning: {other}. {TWO_RUNS}", logging.WARNING)
        for notice in self.site.notices:
            self.terminal.message(f"Note: {notice}")
        if self._for_writing:
            self.not_watched = await not_watched(self.site)
            for text in self.not_watched:
                self.terminal.message(f"Note: not watched: {text}.")

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

    def first_question(self) -> str:
        """Ask that, with other runs that are at work in front."""
        text = self.question()
        if not text or not self._others:
            return text
        return "\n".join((*(f"Note: {other}." for other in self._others), TWO_RUNS, text))

    async def settle(self) -> None:  # noqa: B027 - most commands have nothing to find out
        """Find out what takes writing to find out: after the question, and not in a dry run."""

    def second_question(self) -> str:
        """Say what ``settle`` has found that a person may not want. Nobody is asked where it is empty."""
        return ""

    @property
    def source_names(self) -> list[str]:
        """The sources that the job is about, in order."""
        return [each.source.name for each in self.site.sources]

    @property
    def leaves_page(self) -> bool:
        """Whether a page about the run is left in its directory."""
        return self._for_writing

    def begin(self) -> None:
        """Take note that the work begins: from now on there is something to be told of the run, however it ends."""
        self._start.leaves_page = self.leaves_page

    @abstractmethod
    async def carry_out(self) -> int:
        """Do what the command is for, and return the exit code. Raises ``MigrateError``."""

    async def close(self) -> None:
        """Close what ``prepare`` opened."""
        await self._opened.aclose()

    def take_signals(self) -> None:
        """First signal: finish what is under way. Second: stop at once. Third: whatever the system does."""
        loop = asyncio.get_running_loop()
        self.stop.working = asyncio.current_task()

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
            self.stop.at_once()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, take, number)

    @asynccontextmanager
    async def taking_orders(self, progress: Progress, observer: Observer) -> AsyncIterator[None]:
        """Take orders of ``ctl``, tell the log how the run stands at SIGUSR1, say where it stands still; take samples.

        Who is to be handed those is in ``sampled_by`` before that.
        """
        is_dry = self.options.dry_run
        control = Control(
            self.site,
            progress,
            run=self.run.path.name,
            command=self.command,
            is_dry=is_dry,
            ordered=self.telling.ordered,
        )
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR1, control.log_status)
        try:
            standstill = StandstillWatch(self.site, progress, observer.stands_still)
            listeners = [*self.sampled_by, *self._listening(progress)]
            is_back = self.command == "rollback"
            sampler = Sampler(self.site.sides, progress, observer.seen, listeners, run=self.run.path, is_back=is_back)
            async with taking_orders(self.run.path, control), standstill, sampler:
                yield
        finally:
            loop.remove_signal_handler(signal.SIGUSR1)
            ignore_requests_for_the_status()

    def _listening(self, progress: Progress) -> list[Callable[[Sample], None]]:
        """Return who else is handed samples, as it was asked for."""
        listeners: list[Callable[[Sample], None]] = []
        if self._metrics is not None:
            listeners.append(partial(self._metrics.take, progress=progress))
        if self.telling.wants_samples:
            listeners.append(partial(self.telling.take, progress=progress))
        return listeners

    @asynccontextmanager
    async def keeping_samples(self, ledger: WholeLedger) -> AsyncIterator[None]:
        """Have the ledger keep the samples of the run that are taken meanwhile."""
        async with keep_samples(ledger) as take:
            self.sampled_by.append(take)
            try:
                yield
            finally:
                self.sampled_by.remove(take)

    def watch(self, copier: Copier, observer: Observer) -> Watch:
        """Return what lets the progress say what limits the run, an async context manager."""
        return Watch(self.site, copier, audience=observer)

    def note_limits(self, governing: Governing | None) -> None:
        """Take note of what of the database's limited the run, and say it."""
        self.limited = governing.limited if governing is not None else []
        # of a cap nobody has to be told, and of what was over at once neither
        for each in (each for each in self.limited if each.setting != CAP and each.seconds >= SAID_FROM_SECONDS):
            self.terminal.message(f"Note: {limited_line(each)}")

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
        besides: Mapping[str, str] | None = None,
    ) -> Summary:
        """Sum up what was done, and write the list of the entries with an outcome that is to be ``listed``.

        The ledger takes note of it, and of what is to be noted ``besides``. A list that cannot be written is noted as
        the error of the run: what was done is summed up all the same.
        """
        problems_file = ""
        groups: tuple[ProblemGroup, ...] = ()
        problems: tuple[Problem, ...] = ()
        counts = finished.tally.by_outcome()
        try:
            if finished.tally.possibly_overwritten or any(counts[outcome] for outcome in listed):
                groups = await ledger.problem_groups(listed)
                problems = await ledger.first_unresolved(PROBLEMS_SHOWN, listed)
                await ledger.write_problems(self.run.problems_path, listed)
                await self.wrote_csv(self.run.problems_path)
                problems_file = str(self.run.problems_path)
        except MigrateError as error:
            self.stop.by_error(error)
        summary = Summary(
            tally=finished.tally,
            elapsed_seconds=elapsed_seconds,
            passes=finished.passes,
            dry_run=self.options.dry_run,
            rows_left=finished.rows_left,
            stopped_by_signal=self.stop.signal_number,
            problems=problems,
            groups=groups,
            problems_file=problems_file,
            log_file=str(self.run.log_path),
            ended_by_error=self.stop.error is not None,
            rows_hidden=rows_hidden,
            nothing_in_legacy=nothing_in_legacy,
            sources=tuple(zip(self.source_names, finished.sources, strict=False)),
        )
        ended_by = self.stop.error
        exit_code = decide(summary.exit_code, error_code=ended_by.exit_code if ended_by else None)
        result = result_noted(summary, exit_code, ended_by.message if ended_by else "")
        self.noted |= {
            "outcomes": outcomes_of(summary.tally, is_back=self.command == "rollback"),
            "possibly_overwritten": summary.tally.possibly_overwritten,
            "elapsed_seconds": round(elapsed_seconds, 3),
        }
        await self._note(ledger, {**(besides or {}), RESULT: result})
        return summary

    async def _note(self, ledger: WholeLedger, about: dict[str, str]) -> None:
        """Note in the ledger what the run came to, as well as that can be done: the report is not lost by it."""
        try:
            await ledger.describe(about)
        except MigrateError as error:
            text = (
                f"Warning: what this run came to is not in its ledger: {error.message}. Its flips are on record there."
            )
            self.terminal.message(text, logging.WARNING)

    async def wrote_csv(self, path: Path) -> None:
        """Make a list harmless for spreadsheets, where that is wanted. Raises ``RunDirectoryError``."""
        if self.options.csv_safe:
            await asyncio.to_thread(make_harmless, path)

    def conclude(self, document: dict[str, object], exit_code: int) -> int:
        """Show the error that ended the work, if one did, and the JSON document. Returns the exit code."""
        if self.stop.error is not None:
            show_failure(self.terminal, self.stop.error)
            self.noted |= error_json(self.stop.error)
            document = document | error_json(self.stop.error)
            exit_code = decide(exit_code, error_code=self.stop.error.exit_code, signal_number=self.stop.signal_number)
        waits = merged((*self.site.database.waits.held(), *self.held_up))
        if waits or "outcomes" in document:
            said = [{"what": wait.what, "seconds": round(wait.seconds, 1)} for wait in waits]
            document = {**document, "waits": said}
        if self.limited or "outcomes" in document:
            document = {**document, "governor": governor_json(self.limited, self.not_watched)}
        if self._start.leaves_page:
            self._leave_document({"version": __version__, **document, "exit_code": exit_code})
        return conclude(self.terminal, self.options, document, exit_code)

    def _leave_document(self, document: Mapping[str, object]) -> None:
        try:
            leave_document(self.run.path, document)
        except RunDirectoryError as error:
            self.terminal.message(f"Warning: {error.message}. The page about the run tells less.", logging.WARNING)


def run_job(job: Job) -> int:
    """Prepare, ask, carry out, close; return the exit code. Raises ``MigrateError``."""
    collect_garbage_seldom()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(job.prepare())
            if not _agreed(job, runner, job.first_question):
                return job.conclude({"declined": True}, ExitCode.LEFT)
            if not job.options.dry_run:
                runner.run(job.settle())
            if not _agreed(job, runner, job.second_question):
                return job.conclude({"declined": True}, ExitCode.LEFT)
            job.begin()
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
