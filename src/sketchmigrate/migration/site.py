"""What every command works on: the store, the database and its table, opened, and checked without writing."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from sketchmigrate.core.errors import RunDirectoryError
from sketchmigrate.core.reference import KeyRange
from sketchmigrate.migration.breaker import Breaker
from sketchmigrate.migration.copier import Copier
from sketchmigrate.migration.keeping import SAMPLE_OBJECTS
from sketchmigrate.migration.opening import open_sides
from sketchmigrate.migration.pace import Pace
from sketchmigrate.migration.planning import Forward, SourceTable
from sketchmigrate.migration.preflight import (
    PATIENCE_SECONDS,
    Specimens,
    check_database,
    check_read,
    check_reading,
    check_settings_sql,
    check_writing,
)
from sketchmigrate.migration.probe_record import recorded_folder
from sketchmigrate.migration.runner import Migration
from sketchmigrate.migration.transfer import Replacing
from sketchmigrate.migration.transfer_kind import copying_of
from sketchmigrate.migration.trial import check_it_ends
from sketchmigrate.postgres.database import Database
from sketchmigrate.postgres.privileges import check_rows_are_shown
from sketchmigrate.postgres.references import References
from sketchmigrate.s3.memory import MemoryBudget
from sketchmigrate.settings.sources import routes_of, sources_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from sketchmigrate.core.mapping import Move
    from sketchmigrate.core.objects import Location
    from sketchmigrate.core.outcome import Result, Tally
    from sketchmigrate.core.routes import Route
    from sketchmigrate.ledger import Ledger
    from sketchmigrate.migration.planning import Planner
    from sketchmigrate.migration.runner import Observe
    from sketchmigrate.migration.stop import Stop
    from sketchmigrate.migration.transfer import Transfer
    from sketchmigrate.migration.transfer_kind import Copying
    from sketchmigrate.migration.tuning import Tuning
    from sketchmigrate.migration.watch import SilenceWatch
    from sketchmigrate.settings import Options, Settings
    from sketchmigrate.sides import Side, Sides


LOOKED_AT_FIRST = 10_000
"""Rows among which a legacy path is looked for before a run begins."""


@dataclass(frozen=True, slots=True)
class Site:
    """Both ends of a migration. ``silence`` watches whether the store answers; ``specimens`` are those of each move.

    ``stop`` says when to begin nothing new, ``memory`` is what objects that are streamed may have of it, ``pace`` lets
    rows be flipped as fast as the governor allows, and ``tuning`` has what may be changed on the way.
    """

    settings: Settings
    stop: Stop
    memory: MemoryBudget
    pace: Pace
    tuning: Tuning
    sides: Sides
    silence: SilenceWatch
    database: Database
    sources: tuple[SourceTable, ...]
    specimens: tuple[Specimens, ...]

    @property
    def all_sides(self) -> tuple[Sides, ...]:
        """The sides of each move. ``sides`` are those of the first."""
        return tuple(self.sides.along(route) for route in routes_of(self.settings).all)

    @property
    def production_buckets(self) -> tuple[Side, ...]:
        """The production side of a move into each of the buckets."""
        found: dict[str, Side] = {}
        for sides in self.all_sides:
            found.setdefault(sides.production.bucket, sides.production)
        return tuple(found.values())

    @property
    def sample(self) -> tuple[Move, ...]:
        """Legacy rows of all sources, as far as their first pages have some."""
        return tuple(move for source in self.sources for move in source.sample)

    @property
    def estimated_rows(self) -> int | None:
        """Rows of all tables by the planner's estimate, None where one was never analysed. A table counts each time."""
        estimates = [source.table.estimated_rows for source in self.sources]
        return None if None in estimates else sum(estimate or 0 for estimate in estimates)

    @property
    def hides_rows(self) -> bool:
        """Whether row-level security is active for this user on one of the tables."""
        return any(source.table.hides_rows for source in self.sources)

    @property
    def notices(self) -> tuple[str, ...]:
        """Facts that a person should know before it begins."""
        notices = [
            notice if len(self.sources) == 1 else f"{source.source.name}: {notice}"
            for source in self.sources
            for notice in source.table.notices
        ]
        untried = [text for specimens in self.specimens for text in specimens.untried]
        return (*self.database.notices, *dict.fromkeys(notices), *dict.fromkeys(untried))

    def copying(self, options: Options, ledger: Ledger | None = None) -> Copying:
        """Return what copies objects, by the kind of transfer that was settled, and keeps uploads on record."""
        return copying_of(self.sides, options, self.memory, ledger, self.stop)

    def copier(self, options: Options, transfer: Transfer, copying: Copying) -> Copier:
        """Return what brings objects into production by a transfer; with -w by mere copies, which replace."""

        async def check_access() -> None:
            for move, sides in zip(routes_of(self.settings).all, self.all_sides, strict=True):
                specimens = await check_reading(sides, likely_object(self.sample, move))
                await check_read(sides.production, specimens.production)
            if options.dry_run:
                return
            # on a worker's machine there may be no such folder: what cannot be put on record is not tried
            with suppress(RunDirectoryError):
                for side in self.production_buckets:
                    async with recorded_folder(side, self.settings.run_dir) as folder:
                        await check_writing(folder, side)

        return Copier(
            self.sides,
            check_access,
            overwrite=options.overwrite,
            dry_run=options.dry_run,
            stop=self.stop,
            transfer=Replacing(copying) if options.overwrite else transfer,
        )

    def migrations(
        self,
        options: Options,
        copier: Copier,
        ledger: Ledger,
        *,
        breaker: Breaker | None = None,
        observe: Observe,
    ) -> list[Migration]:
        """Return what the migration of each source works with."""
        breaker = breaker or self.breaker()

        return [
            self.migration(
                each,
                Forward(each),
                options=options,
                copier=copier,
                ledger=ledger,
                observe=partial(observe, each.source.number),
                breaker=breaker,
            )
            for each in self.sources
        ]

    def migration(
        self,
        source: SourceTable,
        planner: Planner,
        *,
        options: Options,
        copier: Copier,
        ledger: Ledger,
        observe: Callable[[int, Tally, list[Result]], None],
        breaker: Breaker | None = None,
    ) -> Migration:
        """Return what the migration of a source works with, or a rollback, by the planner."""
        level = options.parallelization_level
        governs_itself = not (options.dry_run or options.is_shared)
        besides = 2 + governs_itself  # for pages, for who is in the way, and for the vitals
        self.database.demand = f"-p {level} needs {level + besides} connections"
        breaker = breaker or self.breaker()
        return Migration(
            options, source, planner, self.database, copier, ledger, self.stop, breaker, self.pace, self.tuning, observe
        )

    def breaker(self) -> Breaker:
        """Return what ends a run that the database refuses."""
        return Breaker(self.settings.max_failed_percent)


@asynccontextmanager
async def open_site(
    tuning: Tuning, stop: Stop, *, for_writing: bool, kept_connections: int = 1, run: str = ""
) -> AsyncIterator[Site]:
    """Open the site for as long as the context lasts. Writes nothing.

    With ``for_writing`` the right to update is required. ``kept_connections`` to the database serve one session after
    the other; they are known by the name of the ``run`` that is to set rows. Raises ``DatabaseError`` or ``S3Error``.
    """
    settings = tuning.settings
    async with AsyncExitStack() as opened:
        sides, silence = await opened.enter_async_context(open_sides(settings))
        database = Database(settings, stopping=stop.event, kept=kept_connections, for_writing=for_writing, run=run)
        opened.push_async_callback(database.close)
        tables = await check_database(database, sources_of(settings), for_writing=for_writing)
        await check_settings_sql(database, tables)
        sources = [SourceTable.of(source, table, settings) for source, table in tables]
        sources = [replace(each, sample=await _sample(database, each)) for each in sources]
        for each in sources:
            await check_it_ends(database, each)
        sample = [move for each in sources for move in each.sample]
        moves, patient = routes_of(settings).all, sides.retrying(PATIENCE_SECONDS)
        specimens = [await check_reading(patient.along(each), likely_object(sample, each)) for each in moves]
        memory = MemoryBudget(settings.stream_memory)
        yield Site(
            settings, stop, memory, Pace(stop), tuning, sides, silence, database, tuple(sources), tuple(specimens)
        )


def likely_object(sample: Sequence[Move], route: Route) -> Location | None:
    """Return an object at the beginning of a move that is likely there, None for nothing known."""
    objects = (pair.source for move in sample for pair in move.pairs)
    return next((each for each in objects if _is_of(each, route)), None)


def _is_of(place: Location, route: Route) -> bool:
    return place.bucket == route.legacy_bucket and place.key.startswith(route.legacy_prefix)


async def _sample(database: Database, source: SourceTable) -> tuple[Move, ...]:
    """Return legacy rows, spread over the first page that has some, if it is near the beginning.

    Raises ``RowsHidden`` where no row is shown at all.
    """
    looked_at = 0
    async with database.session() as session:
        if source.table.hides_rows:
            await session.run(check_rows_are_shown, source.table, doing="looking at the table")
        references = References(session, source.table)
        async for page in references.legacy_pages(KeyRange(), source.mapping):
            looked_at += page.rows
            if page.references:
                step = -(-len(page.references) // SAMPLE_OBJECTS)
                return tuple((await Forward(source).plan(page.references[::step], references)).moves)
            if looked_at >= LOOKED_AT_FIRST:
                break
    return ()
