"""Brings evidence together: all references, then both listings at once.

References come first: an application stores an object before the row that names it, so every object that a row of ours
names was there when its bucket was listed, unless it was deleted since. What looks wrong all the same is looked at once
more (see ``second_look``).
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from sketchmigrate.inspect.listing.complete import list_all, tell_nobody
from sketchmigrate.inspect.listing.keyspace import is_text, order
from sketchmigrate.postgres.references import References
from sketchmigrate.task_group import task_group

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from sketchmigrate.inspect.evidence import Evidence
    from sketchmigrate.inspect.listing.complete import Pages, Told
    from sketchmigrate.postgres.database import Database
    from sketchmigrate.postgres.table import Table
    from sketchmigrate.s3 import ListedObject
    from sketchmigrate.sides import Sides

LOAD_REFERENCES = 50_000
"""References are loaded so many at a time, 4 MB of memory, or as many as are read in ``LOAD_SECONDS``."""

LOAD_SECONDS = 2.0

LOAD_OBJECTS = 25_000
"""Objects are loaded so many at a time. With as many that are listed meanwhile this is 10 MB of memory a side."""

_SOME_TAILS = "SELECT tail FROM reference WHERE tail <> '' USING SAMPLE 1000 ROWS"
"""Where the listings may be cut: a thousand of any number of references part them evenly enough."""


async def gather_references(evidence: Evidence, database: Database, table: Table, told: Callable[[int], None]) -> None:
    """Read all references into the evidence; ``told`` hears how many so far. Raises ``DatabaseError``."""
    await read_references(evidence, reference_pages(database, table), told)


async def gather_objects(evidence: Evidence, sides: Sides, told: Callable[[str, int, int | None], None]) -> None:
    """List the sides into the evidence; ``told`` hears how far each one is. Raises ``S3Error``.

    Where the references were read before, they tell where the listings may be cut.
    """
    ((references,),) = await evidence.ask("SELECT count(*) FROM reference")
    tails = [tail for (tail,) in await evidence.ask(_SOME_TAILS)] if references else []
    async with task_group() as group:
        for side in sides:
            loader = Loader(evidence, side.name, side.prefix)
            cuts = [side.prefix + tail for tail in tails]
            hear = partial(told, side.name)
            group.create_task(loader.load(side.store, side.bucket, cuts=cuts, expected=references, told=hear))


async def reference_pages(database: Database, table: Table) -> AsyncIterator[bytes]:
    """Yield the table as CSV: some pages at once, each read in a short transaction of its own that can be repeated."""
    content, rows, began = bytearray(), 0, time.monotonic()
    async with database.session() as session:
        async for page in References(session, table).csv_pages():
            content += page.csv
            rows += page.rows
            if rows >= LOAD_REFERENCES or time.monotonic() - began > LOAD_SECONDS:
                yield bytes(content)
                content, rows, began = bytearray(), 0, time.monotonic()
        if content:
            yield bytes(content)


async def read_references(evidence: Evidence, pages: AsyncIterator[bytes], told: Callable[[int], None]) -> None:
    """Load pages of references."""
    began = datetime.now(UTC)
    total = 0
    async for content in pages:
        await evidence.load_references(content)
        ((total,),) = await evidence.ask("SELECT count(*) FROM reference")
        told(total)
    await evidence.note_reading("references", began, datetime.now(UTC), total)


class Loader:
    """Loads the objects of one side, ``LOAD_OBJECTS`` at a time; the ``Sink`` of its listing."""

    def __init__(self, evidence: Evidence, side: str, prefix: str) -> None:
        self._evidence, self._side, self._prefix = evidence, side, prefix
        self._loading = asyncio.Lock()
        self._rows: list[tuple[str, int, str, str, str]] = []
        self._strange: list[tuple[str, str]] = []
        self._total = 0

    async def load(
        self,
        store: Pages,
        bucket: str,
        *,
        cuts: Sequence[str] = (),
        expected: int | None = None,
        told: Told = tell_nobody,
    ) -> None:
        """List the side, and load the listing; see ``list_all``. Raises ``S3Error`` or ``RunDirectoryError``."""
        began = datetime.now(UTC)
        await list_all(store, bucket, self._prefix, self, cuts=cuts, expected=expected, told=told)
        await self._load()
        await self._evidence.insert("strange_key", self._strange)
        await self._evidence.note_reading(f"{self._side} objects", began, datetime.now(UTC), self._total)

    async def take(self, objects: list[ListedObject]) -> None:
        """Take objects in; wait where more are there than one loading takes, and another one is not done yet."""
        start = len(self._prefix)
        self._total += len(objects)
        for key, size_bytes, etag, last_modified, storage_class in objects:
            if key.isascii() or is_text(key):
                self._rows.append((key[start:], size_bytes, etag, last_modified, storage_class))
            else:
                self._strange.append((self._side, order(key).decode(errors="backslashreplace")))
        if len(self._rows) >= LOAD_OBJECTS:
            async with self._loading:
                if len(self._rows) >= LOAD_OBJECTS:  # another worker may have loaded them meanwhile
                    await self._load()

    async def forget(self) -> None:
        """Drop all that was loaded."""
        self._rows, self._strange, self._total = [], [], 0
        await self._evidence.forget_objects(self._side)

    async def _load(self) -> None:
        rows, self._rows = self._rows, []
        await self._evidence.load_objects(self._side, rows)
