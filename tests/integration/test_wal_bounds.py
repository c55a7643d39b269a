"""The WAL that flips write lies between the two bounds that plan tells, and so does what table and indexes grow by."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from sketchmigrate.core.mapping import Move
from sketchmigrate.core.objects import Location
from sketchmigrate.core.reference import Reference
from sketchmigrate.inspect.wal import reckon_wal
from sketchmigrate.migration.preflight import check_database
from sketchmigrate.postgres.catalog import Sizes, TableFacts, read_facts, read_sizes
from sketchmigrate.postgres.database import Database as ToolsDatabase
from sketchmigrate.postgres.flip import flip
from sketchmigrate.settings import Settings
from tests.mappings import source_of

if TYPE_CHECKING:
    from tests.servers.databases import Database

ROWS = 10_000
BATCH = 500

# The figures of a row of these tables are measured: 318 bytes plain, 154 at fillfactor 50, 453 with an index on the
# path, 738 with six indexes, without images of pages; and 425, 239, 560, 898 right after a checkpoint.
SHAPES = {
    "plain": (),
    "fillfactor 50": ("ALTER TABLE avatars SET (fillfactor = 50)", "VACUUM FULL avatars"),
    "fillfactor 50, but full": ("ALTER TABLE avatars SET (fillfactor = 50)",),
    "index on the path": ("CREATE INDEX ON avatars (path)",),
    "six indexes, one on the path": (
        "CREATE INDEX ON avatars (path)",
        *(f"CREATE INDEX ON avatars ({column})" for column in "abcd"),
    ),
    "six indexes, five with the path": (
        "CREATE UNIQUE INDEX ON avatars (path)",
        "CREATE INDEX ON avatars (lower(path))",
        *(f"CREATE INDEX ON avatars ({column}, path)" for column in "abc"),
    ),
    "five indexes, none with the path": tuple(f"CREATE INDEX ON avatars ({column})" for column in "abcd"),
    "wide rows": (
        "ALTER TABLE avatars ADD note text",
        "UPDATE avatars SET note = repeat('x', 500)",
        "VACUUM FULL avatars",
    ),
    "rows in the order of nothing": (
        "CREATE TABLE mixed AS SELECT * FROM avatars ORDER BY md5(id::text)",
        "TRUNCATE avatars",
        "INSERT INTO avatars SELECT * FROM mixed",
    ),
    "partitions": (
        "ALTER TABLE avatars RENAME TO old",
        "CREATE TABLE avatars (LIKE old, PRIMARY KEY (id)) PARTITION BY HASH (id)",
        *(f"CREATE TABLE part_{n} PARTITION OF avatars FOR VALUES WITH (MODULUS 2, REMAINDER {n})" for n in range(2)),
        "INSERT INTO avatars SELECT * FROM old",
    ),
}

CASES = [
    *((shape, BATCH) for shape in SHAPES),
    *((shape, 16) for shape in SHAPES if shape.startswith(("plain", "fill"))),
]
"""The size of a batch matters where updates may be heap-only."""


def fill(database: Database, shape: str) -> None:
    database.execute(
        "CREATE TABLE avatars (id bigint PRIMARY KEY, path text, a int, b timestamptz, c int, d int)"
        " WITH (autovacuum_enabled = off)"
    )
    database.execute(
        "INSERT INTO avatars SELECT n, 'image/avatar-' || lpad(n::text, 7, '0') || '.png', hashint4(n), now(), n,"
        " mod(n, 7) FROM generate_series(1, %s) n",
        ROWS,
    )
    for statement in SHAPES[shape]:
        database.execute(statement)
    database.execute("VACUUM ANALYZE avatars")


def moves(first: int, count: int) -> list[Move]:
    nowhere = Location("", "")
    return [
        Move(Reference(n, f"image/avatar-{n:07}.png"), f"avatar/avatar-{n:07}.png", nowhere, nowhere)
        for n in range(first, first + count)
    ]


@pytest.mark.parametrize(("shape", "batch"), CASES)
def test_what_flips_write_lies_between_the_bounds(any_database: Database, shape: str, batch: int) -> None:
    """Right after a checkpoint, when the image of each page comes with it."""
    database = any_database
    fill(database, shape)
    settings = Settings(db_host=database.host, db_port=database.port, db_name=database.name)

    async def flip_all() -> tuple[TableFacts, Sizes, Sizes, int, int]:
        tools = ToolsDatabase(settings, stopping=asyncio.Event())
        ((_, table),) = await check_database(tools, [source_of(settings)], for_writing=True)
        connection = await tools.connect()
        async with connection:
            facts, before = await read_facts(connection, table), await read_sizes(connection, table)
            await connection.execute("CHECKPOINT")
            lsn = await _lsn(connection)
            for first in range(1, ROWS + 1, batch):
                async with connection.transaction():
                    answer = await flip(connection, table, moves(first, min(batch, ROWS + 1 - first)))
                    assert not answer.stored
                    assert not answer.held_back
            return facts, before, await read_sizes(connection, table), lsn, await _lsn(connection)

    with pytest.MonkeyPatch.context() as patch:
        for name, value in database.environ().items():
            patch.setenv(name, value)
        facts, before, after, began, ended = asyncio.run(flip_all())
    told = reckon_wal(ROWS, total_rows=ROWS, seconds=1, facts=facts, sizes=before)
    written = ended - began
    assert told.least <= written <= told.most, (told.least / ROWS, written / ROWS, told.most / ROWS)
    assert told.most <= 3.5 * written, "a bound that says nothing"
    grown = sum(index.size_bytes for index in after.indexes) - told.index_bytes
    assert grown <= told.index_bytes_more + 16 * 8192
    assert after.table_bytes - before.table_bytes <= told.table_bytes_more + 16 * 8192


async def _lsn(connection: object) -> int:
    cursor = await connection.execute("SELECT pg_current_wal_insert_lsn() - '0/0'")  # type: ignore[attr-defined]
    return int((await cursor.fetchone())[0])


@pytest.mark.parametrize("shape", ["wide rows", "fillfactor 50"])
def test_a_role_that_sees_two_columns_is_told_bounds_that_hold(any_database: Database, shape: str) -> None:
    """It has no statistics of the others: the sizes of the files tell."""
    fill(any_database, shape)
    reader = any_database.make_user("SELECT (id, path) ON avatars")
    found = []
    for database in (any_database, reader):
        settings = Settings(db_host=database.host, db_port=database.port, db_name=database.name)

        async def read(settings: Settings = settings) -> tuple[TableFacts, Sizes]:
            tools = ToolsDatabase(settings, stopping=asyncio.Event())
            ((_, table),) = await check_database(tools, [source_of(settings)], for_writing=False)
            connection = await tools.connect()
            async with connection:
                return await read_facts(connection, table), await read_sizes(connection, table)

        with pytest.MonkeyPatch.context() as patch:
            for name, value in database.environ().items():
                patch.setenv(name, value)
            facts, sizes = asyncio.run(read())
        found.append(reckon_wal(ROWS, total_rows=ROWS, seconds=1, facts=facts, sizes=sizes))
    owner, other = found
    assert other.least <= owner.least
    assert other.most >= 0.9 * owner.most
