"""Brings evidence together: all references, then both listings at once.

References come first: an application stores an object before the row that names it, so every object that a row of ours
names was there when its bucket was listed, unless it was deleted since. What looks wrong all the same is looked at once
more (see ``second_look``).
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sketch_migrate.errors import MigrateError
from sketch_migrate.model import KeyRange
from sketch_migrate.postgres.extract import CopiedPage, copy_page

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from sketch_migrate.postgres.connection import Connection, Database
    from sketch_migrate.postgres.references import Table
    from sketch_migrate.reconcile.evidence import Evidence
    from sketch_migrate.s3 import ListPage, S3Client

LOAD_OBJECTS = 50_000
"""Objects are loaded so many at a time: 10 MB of memory a side."""


async def gather(
    evidence: Evidence, database: Database, table: Table, store: S3Client, count: Callable[[str, int], None]
) -> None:
    """Read everything that the evidence's site names into it. Raises ``DatabaseError`` or ``S3Error``."""
    ((legacy_bucket, legacy_prefix, production_bucket, production_prefix),) = await evidence.ask(
        "SELECT legacy_bucket, legacy_prefix, production_bucket, production_prefix FROM site"
    )
    await read_references(evidence, reference_pages(database, table), count)
    try:
        async with asyncio.TaskGroup() as group:
            for side, bucket, prefix in (
                ("legacy", legacy_bucket, legacy_prefix),
                ("production", production_bucket, production_prefix),
            ):
                group.create_task(read_listing(evidence, side, prefix, store.list_pages(bucket, prefix), count))
    except* MigrateError as failures:
        raise failures.exceptions[0] from failures


async def reference_pages(database: Database, table: Table) -> AsyncIterator[bytes]:
    """Yield the table as CSV, page by page, each in a short transaction of its own that can be repeated."""
    key_range = KeyRange()
    async with database.session() as session:

        async def read(connection: Connection) -> CopiedPage:
            return await copy_page(connection, table, key_range)

        while (page := await session.run(read, doing="reading references")).rows:
            yield page.csv
            key_range = KeyRange(after=page.last_key)


async def read_references(evidence: Evidence, pages: AsyncIterator[bytes], count: Callable[[str, int], None]) -> None:
    """Load pages of references."""
    began = datetime.now(UTC)
    total = 0
    async for content in pages:
        await evidence.load_references(content)
        ((total,),) = await evidence.ask("SELECT count(*) FROM reference")
        count("references", total)
    await evidence.note_reading("references", began, datetime.now(UTC), total)


async def read_listing(
    evidence: Evidence, side: str, prefix: str, pages: AsyncIterator[ListPage], count: Callable[[str, int], None]
) -> None:
    """Load the listing of one side, whose keys all begin with the prefix."""
    began = datetime.now(UTC)
    total, start = 0, len(prefix)
    rows: list[tuple[str, int, str, str]] = []
    strange: list[tuple[str, str]] = []
    async for page in pages:
        total += len(page.objects)
        for found in page.objects:
            if _is_utf8(found.key):
                rows.append((found.key[start:], found.size_bytes, found.etag, found.last_modified))
            else:
                strange.append((side, found.key.encode(errors="surrogateescape").decode(errors="backslashreplace")))
        count(f"{side} objects", total)
        if len(rows) >= LOAD_OBJECTS:
            await evidence.load_objects(side, rows)
            rows = []
    await evidence.load_objects(side, rows)
    await evidence.insert("strange_key", strange)
    await evidence.note_reading(f"{side} objects", began, datetime.now(UTC), total)


def _is_utf8(key: str) -> bool:
    if key.isascii():
        return True
    try:
        key.encode()
    except UnicodeEncodeError:
        return False
    return True
