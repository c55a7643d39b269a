"""Brings evidence together: all references, then both listings at once.

References come first: an application stores an object before the row that names it, so every object that a row of ours
names was there when its bucket was listed, unless it was deleted since. What looks wrong all the same is looked at once
more (see ``second_look``).
"""

from __future__ import annotations

import asyncio
import time
from array import array
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sketchmigrate.core.objects import Location
from sketchmigrate.inspect.inventory.loading import load_inventories
from sketchmigrate.inspect.listing.keyspace import is_text, order
from sketchmigrate.inspect.listing.places import list_places
from sketchmigrate.inspect.object_columns import ObjectColumns
from sketchmigrate.inspect.rows import RowReader
from sketchmigrate.postgres.pages import CsvPage
from sketchmigrate.postgres.references import References
from sketchmigrate.s3 import ListedObjects
from sketchmigrate.task_group import task_group

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence

    from sketchmigrate.core.routes import Place
    from sketchmigrate.core.rule import SideName
    from sketchmigrate.inspect.evidence import Evidence, NamedRow
    from sketchmigrate.inspect.inventory.opening import Inventories
    from sketchmigrate.migration.planning import SourceTable
    from sketchmigrate.postgres.database import Database
    from sketchmigrate.postgres.table import Table
    from sketchmigrate.sides import Side, Sides

LOAD_REFERENCES = 50_000
"""References are loaded so many at a time, or as many as are read in ``LOAD_SECONDS``, or have ``LOAD_BYTES``.

With 122 880 rows and more, a row group of DuckDB and a part of one are written for each loading: half of the CPU, and
1.5 times the disk.
"""

LOAD_SECONDS = 2.0

LOAD_OBJECTS = 100_000
"""Objects are loaded so many at a time, or as many as have ``LOAD_BYTES``."""

LOAD_BYTES = 16 * 2**20
"""So much memory each loading takes at most, and as much what comes in meanwhile: whatever the length of keys."""

_SOME_PAIRS = "SELECT route, tail FROM reference WHERE tail <> '' USING SAMPLE 1000 ROWS"
"""Where the listings may be cut: a thousand of any number of references part them evenly enough."""


async def gather_references(
    evidence: Evidence, database: Database, sources: Sequence[SourceTable], told: Callable[[int], None]
) -> None:
    """Read all references into the evidence; ``told`` hears how many rows so far. Raises ``DatabaseError``."""
    began, total = datetime.now(UTC), 0
    for number, (each, described) in enumerate(zip(sources, evidence.site.sources, strict=True)):
        before = total

        def hear(rows: int, before: int = before) -> None:
            nonlocal total
            total = before + rows
            told(total)

        if described.is_copied:
            await read_references(evidence, reference_pages(database, each.table), hear, source=number)
        else:
            await read_named(evidence, database, each, hear, source=number)
    await note_references(evidence, began)


async def gather_objects(
    evidence: Evidence,
    sides: Sides,
    told: Callable[[str, int, int | None], None],
    inventories: Mapping[SideName, Inventories] | None = None,
) -> None:
    """List the sides into the evidence, or read the inventories that there are; ``told`` hears how far each one is.

    Raises ``S3Error``, and what ``load_inventories`` does.

    Where the references were read before, they tell where the listings may be cut.
    """
    ((references,),) = await evidence.ask("SELECT count(*) FROM reference")
    pairs = await evidence.ask(_SOME_PAIRS) if references else []
    pairing = evidence.site.pairing
    cuts = [place for pair in pairs for place in (pairing.legacy(*pair), pairing.production(*pair)) if place]
    async with task_group() as group:
        for side in sides:
            if inventories and side.name in inventories:
                group.create_task(load_inventories(evidence, side, inventories[side.name], told))
            else:
                loader = Loader(evidence, side.name)
                group.create_task(loader.load(side, cuts=cuts, expected=references, told=told))


async def reference_pages(database: Database, table: Table) -> AsyncIterator[CsvPage]:
    """Yield the table as CSV: some pages at once, each read in a short transaction of its own that can be repeated."""
    content, rows, began = bytearray(), 0, time.monotonic()
    async with database.session() as session:
        async for page in References(session, table).csv_pages():
            content += page.csv
            rows += page.rows
            if rows >= LOAD_REFERENCES or len(content) >= LOAD_BYTES or time.monotonic() - began > LOAD_SECONDS:
                yield CsvPage(rows, page.last_key, bytes(content))
                content, rows, began = bytearray(), 0, time.monotonic()
        if content:
            yield CsvPage(rows, None, bytes(content))


async def read_references(
    evidence: Evidence, pages: AsyncIterator[CsvPage], told: Callable[[int], None], *, source: int = 0
) -> None:
    """Load pages of references, each while the next one is read."""
    total = 0
    async with task_group() as group:
        loading: asyncio.Task[None] | None = None
        async for page in pages:  # the next ones are read while some are loaded
            if loading is not None:
                await loading
            loading = group.create_task(evidence.load_references(page.csv, source))
            total += page.rows
            told(total)
    await evidence.insert("rows_read", [(source, total, 0)])


async def read_named(
    evidence: Evidence, database: Database, each: SourceTable, told: Callable[[int], None], *, source: int
) -> None:
    """Read what the rows of a source name, whatever shape they have, as the migration itself reads them."""
    rows = unnamed = 0
    reader = RowReader(each, evidence.site.pairing)
    async with database.session() as session:
        references = References(session, each.table)
        async for page in references.value_pages(each.mapping):
            found: list[NamedRow] = []
            unmovable: list[tuple[int, str, int | None, str]] = []
            naming = 0
            for row in await reader.read(references, page.found):
                found += row.references
                unmovable += [(source, row.key, slot, words) for slot, words in row.unmovable]
                naming += bool(row.references)
            if found:
                await evidence.load_named(source, found)
            await evidence.insert("unmovable", unmovable)
            rows, unnamed = rows + page.rows, unnamed + page.rows - naming
            told(rows)
    await evidence.insert("rows_read", [(source, rows, unnamed)])


async def note_references(evidence: Evidence, began: datetime) -> None:
    """Write down when references were read, and how many there were, with the rows that have none."""
    ((total,),) = await evidence.ask(
        "SELECT (SELECT count(*) FROM reference) + coalesce(sum(unnamed), 0) FROM rows_read"
    )
    await evidence.note_reading("references", began, datetime.now(UTC), int(total))


class Loader:
    """Loads the objects of one side, ``LOAD_OBJECTS`` at a time."""

    def __init__(self, evidence: Evidence, side: SideName) -> None:
        self._evidence, self._side = evidence, side
        self.loading = asyncio.Lock()
        self.waiting = ObjectColumns()

    async def load(
        self,
        side: Side,
        *,
        cuts: Collection[Location] = (),
        expected: int | None = None,
        told: Callable[[str, int, int | None], None],
    ) -> None:
        """List the places of the side, and load the listings; see ``list_all``. Raises ``S3Error``.

        ``RunDirectoryError`` as well.
        """
        began = datetime.now(UTC)
        places = self._evidence.site.places(self._side)
        sinks = {place: PlaceLoader(self, place) for place in places}
        await list_places(side, places, sinks.__getitem__, cuts=cuts, expected=expected, told=told)
        await self.flush()
        for sink in sinks.values():
            await self._evidence.insert("strange_key", sink.strange)
        total = sum(sink.total for sink in sinks.values())
        await self._evidence.note_reading(f"{self._side} objects", began, datetime.now(UTC), total)

    def add(self, place: Place, objects: ListedObjects) -> list[tuple[str, str]]:
        """Add the objects of a place to those that are to be loaded; return those whose keys are no text."""
        pairing = self._evidence.site.pairing
        start = len(place.prefix)
        if len(pairing.routes) == 1 and "".join(objects.keys).isascii():
            tails = [key[start:] for key in objects.keys]
            self.waiting.add(array("H", [1]) * len(tails), tails, objects)
            return []
        routes, found, paired = array("H"), [], []
        strange: list[tuple[str, str]] = []
        for each in objects:
            if not (each.key.isascii() or is_text(each.key)):
                strange.append((self._side.value, order(each.key).decode(errors="backslashreplace")))
                continue
            for route, tail in pairing.pairs_of(self._side, Location(place.bucket, each.key)):
                routes.append(route)
                found.append(tail)
                paired.append(each)
        if paired:
            self.waiting.add(routes, found, ListedObjects.of(paired))
        return strange

    @property
    def is_full(self) -> bool:
        """Whether there are as many objects as one loading takes."""
        return len(self.waiting) >= LOAD_OBJECTS or self.waiting.text_bytes >= LOAD_BYTES

    async def flush(self) -> None:
        """Load what is there."""
        waiting, self.waiting = self.waiting, ObjectColumns()
        if waiting:
            await self._evidence.load_objects(self._side, waiting)

    async def forget(self, place: Place) -> None:
        """Drop all that was loaded of a place."""
        await self.flush()
        await self._evidence.forget_objects(self._side, place)


class PlaceLoader:
    """Takes the listing of one place; a ``Sink``."""

    def __init__(self, loader: Loader, place: Place) -> None:
        self._loader, self._place = loader, place
        self.strange: list[tuple[str, str]] = []
        self.total = 0

    async def take(self, objects: ListedObjects) -> None:
        """Take objects in; wait where more are there than one loading takes, and another one is not done yet."""
        loader = self._loader
        self.strange += loader.add(self._place, objects)
        self.total += len(objects)
        if loader.is_full:
            async with loader.loading:
                if loader.is_full:  # another worker may have loaded them meanwhile
                    await loader.flush()

    async def forget(self) -> None:
        """Drop all that was loaded of it."""
        self.strange, self.total = [], 0
        await self._loader.forget(self._place)
