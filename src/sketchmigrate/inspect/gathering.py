"""Brings evidence together: all references, then both listings at once.

References come first: an application stores an object before the row that names it, so every object that a row of ours
names was there when its bucket was listed, unless it was deleted since. What looks wrong all the same is looked at once
more (see ``second_look``).
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sketchmigrate.core.objects import Location
from sketchmigrate.inspect.inventory.loading import load_inventories
from sketchmigrate.inspect.listing.keyspace import is_text, order
from sketchmigrate.inspect.listing.places import list_places
from sketchmigrate.inspect.rows import RowReader
from sketchmigrate.postgres.pages import CsvPage
from sketchmigrate.postgres.references import References
from sketchmigrate.task_group import task_group

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence

    from sketchmigrate.core.routes import Place
    from sketchmigrate.core.rule import SideName
    from sketchmigrate.inspect.evidence import Evidence, NamedRow, ObjectRow
    from sketchmigrate.inspect.inventory.opening import Inventories
    from sketchmigrate.migration.planning import SourceTable
    from sketchmigrate.postgres.database import Database
    from sketchmigrate.postgres.table import Table
    from sketchmigrate.s3 import ListedObject
    from sketchmigrate.sides import Side, Sides

LOAD_REFERENCES = 50_000
"""References are loaded so many at a time, 4 MB of memory, or as many as are read in ``LOAD_SECONDS``."""

LOAD_SECONDS = 2.0

LOAD_OBJECTS = 25_000
"""Objects are loaded so many at a time. With as many that are listed meanwhile this is 10 MB of memory a side."""

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
            if rows >= LOAD_REFERENCES or time.monotonic() - began > LOAD_SECONDS:
                yield CsvPage(rows, page.last_key, bytes(content))
                content, rows, began = bytearray(), 0, time.monotonic()
        if content:
            yield CsvPage(rows, None, bytes(content))


async def read_references(
    evidence: Evidence, pages: AsyncIterator[CsvPage], told: Callable[[int], None], *, source: int = 0
) -> None:
    """Load pages of references."""
    total = 0
    async for page in pages:
        await evidence.load_references(page.csv, source)
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
        self.rows: list[ObjectRow] = []

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

    def rows_of(self, place: Place, objects: list[ListedObject]) -> tuple[list[ObjectRow], list[tuple[str, str]]]:
        """Return the objects of a place as rows, and those whose keys are no text."""
        pairing = self._evidence.site.pairing
        rows: list[ObjectRow] = []
        strange: list[tuple[str, str]] = []
        only = len(pairing.routes) == 1
        start = len(place.prefix)
        for key, size_bytes, etag, modified, storage_class in objects:
            if not (key.isascii() or is_text(key)):
                strange.append((self._side.value, order(key).decode(errors="backslashreplace")))
            elif only:
                rows.append((1, key[start:], size_bytes, etag, modified, storage_class))
            else:
                for route, tail in pairing.pairs_of(self._side, Location(place.bucket, key)):
                    rows.append((route, tail, size_bytes, etag, modified, storage_class))
        return rows, strange

    async def flush(self) -> None:
        """Load what is there."""
        rows, self.rows = self.rows, []
        await self._evidence.load_objects(self._side, rows)

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

    async def take(self, objects: list[ListedObject]) -> None:
        """Take objects in; wait where more are there than one loading takes, and another one is not done yet."""
        loader = self._loader
        rows, strange = loader.rows_of(self._place, objects)
        self.total += len(objects)
        self.strange += strange
        loader.rows += rows
        if len(loader.rows) >= LOAD_OBJECTS:
            async with loader.loading:
                if len(loader.rows) >= LOAD_OBJECTS:  # another worker may have loaded them meanwhile
                    await loader.flush()

    async def forget(self) -> None:
        """Drop all that was loaded of it."""
        self.strange, self.total = [], 0
        await self._loader.forget(self._place)
