"""``rollback``: set the references of past runs back to legacy."""

from __future__ import annotations

import logging
import time
from contextlib import AsyncExitStack, ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sketchmigrate.cli.agreement import back_lines, moving
from sketchmigrate.cli.job import Job, run_job
from sketchmigrate.cli.observer import Observer
from sketchmigrate.core.errors import UsageError
from sketchmigrate.core.exit_codes import ExitCode
from sketchmigrate.core.plural import counted
from sketchmigrate.ledger import name_foreign, new_ledger, past_run, runs_below
from sketchmigrate.ledger.result import finished_below
from sketchmigrate.migration.at_work import check_not_busy, place_noted
from sketchmigrate.migration.fence import fence_behind
from sketchmigrate.migration.governing import Governing
from sketchmigrate.migration.passes import make_durable
from sketchmigrate.migration.record import check_ledger, check_over, check_whole, description, is_rollback
from sketchmigrate.migration.rollback import Selection, WayBack, legacy_finder, roll_back, select
from sketchmigrate.postgres.references import References
from sketchmigrate.report.rollback import LISTED, rollback_json, rollback_summary
from sketchmigrate.service.engines import check_ledger_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sketchmigrate.cli.commands.rollback import RollbackArguments
    from sketchmigrate.cli.start import Start
    from sketchmigrate.ledger import PastRun, Pointer, WholeLedger
    from sketchmigrate.migration.breaker import Breaker
    from sketchmigrate.migration.planning import SourceTable
    from sketchmigrate.migration.rollback import LegacyFinder
    from sketchmigrate.migration.runner import Finished, Migration
    from sketchmigrate.report.logs import RunDirectory
    from sketchmigrate.settings import Settings


def rollback_command(arguments: RollbackArguments, start: Start, run: RunDirectory) -> int:
    """Carry out a rollback, and return the exit code. Raises ``MigrateError``."""
    with ExitStack() as opened:
        runs, left = _past_runs(arguments, start.settings, opened)
        name_foreign(left)
        return run_job(RollbackJob(arguments, start, run, runs, left))


def _past_runs(
    arguments: RollbackArguments, settings: Settings, opened: ExitStack
) -> tuple[list[PastRun], list[Pointer]]:
    """Open the ledgers, the newest first; return them, and pointers to what is not in the database of LEDGER_URL."""
    left: list[Pointer] = []
    if arguments.below is None:
        found = [past_run(_directory(arguments.run, settings), settings)] if arguments.run is not None else []
    else:
        found, left = runs_below(arguments.below, settings)
    runs = [opened.enter_context(run) for run in found]
    flips = {run.directory: run.flips for run in runs}
    if arguments.below is not None:
        flips = dict.fromkeys(finished_below(arguments.below), 0) | flips
    for directory, count in flips.items():
        check_whole(directory, count)
    if arguments.below is not None:
        runs = [run for run in runs if run.description]  # one that has none only begins: it has set no row yet
    for run in runs:
        check_over(run, settings)
    if arguments.below is not None:
        runs = [run for run in runs if run.flips and not is_rollback(run)]
    for run in runs:
        check_ledger(run, settings)
    return sorted(runs, key=lambda run: run.last_flip_at, reverse=True), left


def _directory(run: Path, settings: Settings) -> Path:
    """Return the directory of a run that is named by it, or by the run's name, as other commands take it."""
    below = Path(settings.run_dir).expanduser() / run.name
    return below if not run.exists() and below.is_dir() else run


class RollbackJob(Job):
    """A rollback, or a dry run of one. ``left`` points at runs that were meant, and whose ledgers are not at hand."""

    def __init__(
        self,
        arguments: RollbackArguments,
        start: Start,
        run: RunDirectory,
        runs: list[PastRun],
        left: Sequence[Pointer] = (),
    ) -> None:
        super().__init__(start, run, for_writing=not start.options.dry_run)
        self._arguments, self._runs, self._left = arguments, runs, left
        self._selection = Selection()
        self._sources: list[SourceTable] = []

    async def prepare(self) -> None:
        """Open the site, and read which rows are meant."""
        check_ledger_for(self.options.cluster, self.settings)
        await super().prepare()
        await check_not_busy(self.site.database, self._runs)
        if (fence := await fence_behind(self.site.database, self._chosen())) is not None:
            if not self.options.dry_run:
                raise fence
            self.terminal.message(f"Warning: {fence}", logging.WARNING)
        arguments = self._arguments
        try:
            lines = arguments.only_keys.read_text(encoding="utf-8").splitlines() if arguments.only_keys else None
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{arguments.only_keys} cannot be read: {error}", hint="Give a key a line.") from error
        listed = None if lines is None else [line for line in lines if line.strip()]
        self._sources = self._chosen()
        bounds = (listed, arguments.key_from, arguments.key_until)
        if any(bound is not None for bound in bounds):
            async with self.site.database.session() as session:
                self._selection = await select(References(session, self._sources[0].table), *bounds)

    @property
    def source_names(self) -> list[str]:
        """The sources that are meant, in order."""
        return [each.source.name for each in self._sources]

    def _chosen(self) -> list[SourceTable]:
        """Return the sources that are meant: keys are of one. Raises ``UsageError``."""
        arguments, sources = self._arguments, self.site.sources
        names = ", ".join(each.source.name for each in sources)
        if arguments.source is not None:
            chosen = [each for each in sources if each.source.name == arguments.source]
            if not chosen:
                raise UsageError(f"there is no source {arguments.source!r}", hint=f"There are: {names}.")
            return chosen
        if len(sources) > 1 and (arguments.only_keys or arguments.key_from or arguments.key_until):
            text = "keys alone do not say of which source they are, and there are several"
            raise UsageError(text, hint=f"Add --source, one of: {names}.")
        return list(sources)

    def question(self) -> str:
        """Say what is about to be changed, and where."""
        flips = sum(run.flips for run in self._runs)
        runs = "\n".join(f"  {run.directory}  {counted(run.flips, 'flip')}" for run in self._runs)
        columns = "\n".join([*back_lines(self._sources), *moving(self._sources)])
        return (
            f"This undoes up to {counted(flips, 'flip')}, the newest run first:\n{runs}\n"
            f"{columns}\n"
            f"in the database {self.site.database.where}, where the row still holds what the run\n"
            "wrote and the legacy object is there. No object is changed or deleted.\n"
            "Go on?"
        )

    async def carry_out(self) -> int:
        """Set back, or play it through for a dry run, then report, also on what an error cut short."""
        self.take_signals()
        began = time.monotonic()
        about = description(self.settings, "rollback") | place_noted(self.site.database)
        about["dry_run"] = str(self.options.dry_run).lower()
        about |= {f"undoes {number}": str(run.directory) for number, run in enumerate(self._runs, start=1)}
        async with new_ledger(self.run.path, self.settings, about, self.stop.event) as ledger:
            with self.terminal.progress(sum(run.flips for run in self._runs)) as progress:
                observer = Observer(
                    self.site, self.options, self.terminal, progress, is_back=True, telling=self.telling
                )
                async with self.keeping_samples(ledger), self.taking_orders(progress, observer):
                    finished = await self._roll_back(ledger, observer)
            hidden = await self.are_rows_hidden()
            result = await self.summarise(ledger, finished, time.monotonic() - began, rows_hidden=hidden, listed=LISTED)
        self.terminal.result(rollback_summary(result))
        return self.conclude(rollback_json(result), result.exit_code or ExitCode.finished(left=bool(self._left)))

    async def _roll_back(self, ledger: WholeLedger, observer: Observer) -> Finished:
        breaker = self.site.breaker()
        if self.options.is_shared and not self.options.dry_run:
            return await self._roll_back_shared(ledger, observer, breaker)
        finder = legacy_finder(self.site.all_sides, self.options, self.stop)
        async with AsyncExitStack() as opened:
            await opened.enter_async_context(finder)
            await opened.enter_async_context(self.watch(finder, observer))
            backs = [self._back(each, finder, ledger, observer, breaker) for each in self._sources]
            governing = Governing(self.site, breaker, observer)
            if not self.options.dry_run:
                await opened.enter_async_context(governing)
            finished = await roll_back(backs, self._runs, self._selection)
            await make_durable(self.site.database, finished.tally, self.options, self.stop)
        self.note_limits(governing)
        return finished

    async def _roll_back_shared(self, ledger: WholeLedger, observer: Observer, breaker: Breaker) -> Finished:
        from sketchmigrate.service.rollback import restorer_for  # noqa: PLC0415 - several processes are the exception

        restorer = restorer_for(
            self.site,
            self.options,
            run=self.run.path,
            ledger=ledger,
            audience=observer,
            breaker=breaker,
            sources=[replace(each, table=each.table.backwards()) for each in self._sources],
            runs=self._runs,
            selection=self._selection,
        )
        async with Governing(self.site, breaker, observer) as governing:
            governing.directs(restorer.govern)
            finished = await restorer.restore()
            await make_durable(self.site.database, finished.tally, self.options, self.stop)
        self.note_limits(governing)
        self.held_up = observer.held
        return finished

    def _back(
        self, source: SourceTable, finder: LegacyFinder, ledger: WholeLedger, observer: Observer, breaker: Breaker
    ) -> Migration:
        """Return what the rollback of a source works with."""
        back = replace(source, table=source.table.backwards())
        return self.site.migration(
            back,
            WayBack(source, ledger),
            options=self.options,
            copier=finder,
            ledger=ledger,
            observe=partial(observer.observe, source.source.number),
            breaker=breaker,
        )
