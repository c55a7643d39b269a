"""What plan, verify, repair and manifest have in common: evidence, gathered in the run's directory."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import time
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from sketchmigrate import __version__
from sketchmigrate.cli.job import Job
from sketchmigrate.cli.observer import Parts
from sketchmigrate.core.pairing import Pairing
from sketchmigrate.core.rule import SideName
from sketchmigrate.inspect.evidence import Evidence, EvidenceSite, EvidenceSource
from sketchmigrate.inspect.gathering import gather_objects, gather_references
from sketchmigrate.inspect.inventory.opening import open_inventories
from sketchmigrate.inspect.looks import Looks, looks_at
from sketchmigrate.inspect.problems import PROBLEMS_NAME, write_problems
from sketchmigrate.inspect.recognition import look_at_neither
from sketchmigrate.inspect.repair import RECOPIED_NAME
from sketchmigrate.inspect.second_look import MOST_SECOND_LOOKS, Looker
from sketchmigrate.ledger import past_runs
from sketchmigrate.migration.record import is_of
from sketchmigrate.report.progress import EverySoOften
from sketchmigrate.report.sources import columns_of
from sketchmigrate.service.engines import comparer_for
from sketchmigrate.settings.sources import routes_of
from sketchmigrate.settings.stores import inventories_of, store_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import ExitStack

    from sketchmigrate.cli.start import Start
    from sketchmigrate.inspect.discover import Discovery
    from sketchmigrate.inspect.inventory.opening import Inventories
    from sketchmigrate.inspect.recognition import Recognition
    from sketchmigrate.ledger import PastRun
    from sketchmigrate.report.logs import RunDirectory

SAY_SECONDS = 5.0
EVIDENCE_NAME = "evidence.duckdb"


class InspectionJob(Job):
    """A command that only looks: a signal ends it at once, as there is nothing to finish."""

    stopped_hint = "Nothing was changed. When it is run again it begins anew."

    inventoried: tuple[SideName, ...] = ()
    """The sides of which an inventory is read instead of a listing, where the settings name one."""

    def __init__(self, start: Start, run: RunDirectory, *, for_writing: bool = False) -> None:
        super().__init__(start, run, for_writing=for_writing)
        self._writes_ledger = for_writing
        self._pulse = EverySoOften(SAY_SECONDS, time.monotonic())
        self._inventories: dict[SideName, Inventories] = {}

    async def prepare(self) -> None:
        """Open the site, and the inventories that are to be read instead of listings. Raises ``UsageError`` too."""
        await super().prepare()
        for side in self.site.sides:
            if side.name in self.inventoried and (named := inventories_of(self.settings, side.name)):
                places = self.evidence_site().places(side.name)
                found = await open_inventories(named, side, places, self.run.path)
                self._inventories[side.name] = found
                self.terminal.message(f"Note: {side.name} is not listed, but read from the {found}.")

    async def close(self) -> None:
        """Close what ``prepare`` opened, and let Python collect all that is left at its end, which takes 50 ms."""
        await super().close()
        gc.unfreeze()  # or what DuckDB counts as its own seems leaked to it then, and it says so on stderr

    def end_at_signals(self) -> None:
        """Let SIGINT and SIGTERM cancel what is under way."""
        task = asyncio.current_task()

        def take(number: int) -> None:
            self.stop.by_signal(number)
            self.site.sides.stop_retrying()
            if task is not None:
                task.cancel()

        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, take, number)

    def evidence_site(self) -> EvidenceSite:
        """Describe the site in the evidence's terms."""
        routes, sources = routes_of(self.settings), self.site.sources
        return EvidenceSite(
            version=__version__,
            endpoint_url=store_of(self.settings, SideName.LEGACY).endpoint_url,
            production_endpoint_url=store_of(self.settings, SideName.PRODUCTION).endpoint_url,
            pairing=Pairing.of(routes, [each.source.routes for each in sources]),
            sources=tuple(
                EvidenceSource(
                    name=source.name,
                    table_name=source.table,
                    key_column=str(table.key),
                    path_column=columns_of(source),
                    shape=source.shape_name,
                    max_path_chars=table.max_path_chars,
                    max_path_bytes=table.max_path_bytes,
                    is_copied=source.is_of_keys and source.routes == routes,
                )
                for source, table in ((each.source, each.table) for each in sources)
            ),
        )

    def evidence(self, name: str = EVIDENCE_NAME) -> Evidence:
        """Return new evidence in the run's directory."""
        return Evidence(self.run.path / name, self.evidence_site())

    async def gather(self, evidence: Evidence) -> Recognition:
        """Read all references and both listings; return whether they were recognised."""
        await self.gather_references(evidence)
        with self.terminal.progress(None, unit="objects") as progress, self.site.silence.told_to(progress.wait):
            await gather_objects(evidence, self.site.sides, Parts(progress).tell, self._inventories)
        return await look_at_neither(evidence)

    async def gather_references(self, evidence: Evidence) -> None:
        """Read all references."""
        site = self.site
        with self.terminal.progress(site.estimated_rows) as progress:
            await gather_references(
                evidence, site.database, site.sources, lambda rows: progress.reach(rows, site.estimated_rows)
            )

    async def write_problems(self, evidence: Evidence, lists: str = PROBLEMS_NAME) -> list[Path]:
        """Write all problems into the run's directory, as lists of that name, and return the files."""
        written = await write_problems(evidence, self.run.path, lists)
        for path in written:
            if path.suffix == ".csv":
                await self.wrote_csv(path)
        return written

    def looker(self, evidence: Evidence) -> Looker:
        """Return what looks at single rows and objects."""
        site = self.site
        # a name of its own for each comparison: a worker that one has given up must not hear the next one's orders
        run_id = f"{self.run.path.name} {evidence.path.stem}"
        comparer = comparer_for(self.options, site, self.looks, run_id, self.terminal.message)
        # an inventory is older than the rows: what was stored since looks wrong by it, however much that is
        most = None if self._inventories else MOST_SECOND_LOOKS
        return Looker(evidence, evidence.site, site.database, site.sources, self.looks, comparer, self.count, most)

    @cached_property
    def looks(self) -> Looks:
        """What looks at single objects, and tells a refusal of one from a store that cannot be used."""
        return looks_at(self.site.all_sides)

    async def discover(self, *, full: bool) -> Discovery:
        """Look where the database mentions legacy, by samples or in full. Raises ``DatabaseError``."""
        from sketchmigrate.inspect.discover import discover, sources_of  # noqa: PLC0415 - most commands do not
        from sketchmigrate.settings.lists import lists_of  # noqa: PLC0415 - as above

        lists = lists_of(self.settings)
        with self.terminal.progress(None, unit="rows" if full else "tables") as progress:
            sources = sources_of(self.settings, lists)
            return await discover(self.site.database, lists, sources=sources, full=full, reach=progress.reach)

    def past_runs(self, opened: ExitStack) -> Iterator[PastRun]:
        """Open the ledgers of this site's migrations, as far as is known here, the oldest first.

        They close with ``opened``.
        """
        for past in past_runs(Path(self.settings.run_dir).expanduser(), self.settings):
            if past.directory != self.run.path or self._for_writing:
                run = opened.enter_context(past)
                if is_of(run, self.settings):
                    yield run

    def past_repairs(self) -> list[Path]:
        """Return what past repairs, this one included, wrote down of the objects that they copied again."""
        return sorted(Path(self.settings.run_dir).expanduser().glob(f"*/{RECOPIED_NAME}"))

    def count(self, what: str, number: int) -> None:
        """Say now and then how far the reading is."""
        if self._pulse.is_due(time.monotonic()):
            level = logging.INFO if self.options.show_progress else logging.DEBUG
            self.terminal.message(f"Reading: {number:,} {what}", level)
