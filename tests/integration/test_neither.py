"""Rows on neither side, on real PostgreSQL servers: which they are, and that looking for them is bounded."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from sketchmigrate.core.reference import KeyRange, Reference
from sketchmigrate.postgres.database import Database as Reach
from sketchmigrate.postgres.neither import Others, is_any_on_a_side, rows_of_neither
from sketchmigrate.postgres.privileges import inspect_table
from sketchmigrate.postgres.references import References
from sketchmigrate.postgres.statistics import LONGEST_PATH_CHARS
from sketchmigrate.settings import Settings
from tests.mappings import mapping_of, source_of
from tests.servers.postgres_fault_proxy import PostgresFaultProxy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from sketchmigrate.postgres.table import Table
    from tests.servers.databases import Database

MAPPING = mapping_of()


@pytest.fixture
def proxy(any_database: Database) -> Iterator[PostgresFaultProxy]:
    """What sees each statement."""
    with PostgresFaultProxy(any_database.port) as watching:
        yield watching


@pytest.fixture
async def reach(
    any_database: Database, proxy: PostgresFaultProxy, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Reach]:
    """The database as the tool reaches it."""
    monkeypatch.setenv("SKETCH_DB_USER", any_database.user)
    monkeypatch.setenv("SKETCH_DB_PASS", any_database.password)
    settings = Settings(db_host=proxy.host, db_port=proxy.port, db_name=any_database.name)
    database = Reach(settings, stopping=asyncio.Event())
    yield database
    await database.close()


async def table_of(reach: Reach) -> Table:
    """Look at the table."""
    connection = await reach.connect()
    async with connection:
        return await inspect_table(connection, source_of(reach.settings), for_writing=False)


async def test_they_have_a_path_and_begin_with_neither_prefix(any_database: Database, reach: Reach) -> None:
    long = "x" * 5000
    any_database.create_avatars([None, "", "image/a", "avatar/b", "Image/c", "image", "100%_\\", long, "z"])
    table = await table_of(reach)
    others = [Reference(5, "Image/c"), Reference(6, "image"), Reference(7, "100%_\\")]
    async with reach.session() as session:

        async def read(key_range: KeyRange, rows: int, most: int) -> list[Reference]:
            return await session.run(
                lambda connection: rows_of_neither(connection, table, key_range, MAPPING, rows=rows, most=most),
                doing="testing",
            )

        everything = [*others, Reference(8, long[:LONGEST_PATH_CHARS]), Reference(9, "z")]
        assert await read(KeyRange(), 100, 100) == everything
        assert await read(KeyRange(), 100, 2) == others[:2]
        assert await read(KeyRange(), 6, 100) == others[:2], "of so many rows"
        assert await read(KeyRange(5, 8), 100, 100) == everything[1:4]


async def test_pages_are_read_again_only_while_rows_are_wanted(any_database: Database, reach: Reach) -> None:
    any_database.create_avatars(["image/1", "other/1"] * 2000)
    table = await table_of(reach)
    for wanted, pages, found in ((150, 100, 150), (10_000, 2, 250)):
        others, after = Others(MAPPING, wanted, pages_left=pages), KeyRange()
        async with reach.session() as session:
            source = References(session, table)
            async for page in source.counted_pages(KeyRange(), MAPPING):
                await others.take(source, page, after)
                after = KeyRange(page.last_key)
        assert len(others.rows) == found, "50 are in the first page, 200 in the second"
        assert {row.path for row in others.rows} == {"other/1"}


async def test_a_sample_spares_reading_to_the_end(
    any_database: Database, proxy: PostgresFaultProxy, reach: Reach
) -> None:
    """One of the last rows is legacy: the first 20 000 are counted, and the sample has it."""
    any_database.create_avatars([])
    any_database.execute("INSERT INTO avatars SELECT n, 'other/' || n FROM generate_series(1, 100000) AS n")
    table = await table_of(reach)
    said: list[str] = []

    async def look() -> tuple[bool, int]:
        before = len(proxy.statements)
        async with reach.session() as session:
            found = await is_any_on_a_side(References(session, table), Others(MAPPING, 3), said.append)
        new = proxy.statements[before:]
        assert sum("TABLESAMPLE" in text for text in new) == 1
        return found.is_recognised, sum("count(*) FILTER" in text for text in new)

    found, to_the_end = await look()
    assert (found, len(said)) == (False, 1)
    any_database.execute("INSERT INTO avatars VALUES (100001, 'image/1')")
    found, pages = await look()
    assert (found, len(said)) == (True, 1)
    assert pages < to_the_end
