"""Pages against a real server's time limits."""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import pytest

from sketchmigrate.core.errors import DatabaseBusy
from sketchmigrate.core.reference import KeyRange
from sketchmigrate.postgres.database import Database as Reach
from sketchmigrate.postgres.limits import Limits
from sketchmigrate.postgres.paging import MOST_ROWS, PageSize, look_up_in_time, read_in_time
from sketchmigrate.postgres.references import References
from sketchmigrate.postgres.row_key import RowKey
from sketchmigrate.postgres.table import Table
from sketchmigrate.settings import Settings
from tests.mappings import mapping_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg import AsyncConnection

    from tests.servers.databases import Database


class Slept(NamedTuple):
    """A page."""

    rows: int


def reach(database: Database, *, statement_timeout_ms: int = 60_000) -> Reach:
    """Reach the database as the tool does."""
    settings = Settings(statement_timeout_ms=statement_timeout_ms)
    return Reach(settings, stopping=asyncio.Event(), reached_by={"conninfo": database.conninfo})


async def test_a_page_that_reaches_its_limit_is_asked_again_smaller(any_database: Database) -> None:
    size, asked = PageSize(3_000), list[int]()

    async def read(connection: AsyncConnection, rows: int) -> Slept:
        asked.append(rows)
        await connection.execute("SELECT pg_sleep(%s)", [rows / 1000])
        return Slept(rows)

    began = time.monotonic()
    async with reach(any_database).session() as session:
        assert (await read_in_time(session, size, read, doing="")).rows == 750
    assert asked == [3_000, 750]
    assert 1.7 < time.monotonic() - began < 2.9
    assert 150 < size.rows <= 250


async def test_the_smallest_page_has_the_limit_of_the_settings(database: Database) -> None:
    asked = list[int]()

    async def read(connection: AsyncConnection, rows: int) -> Slept:
        asked.append(rows)
        await connection.execute("SELECT pg_sleep(1.2)")
        return Slept(rows)

    async with reach(database).session() as session:
        await read_in_time(session, PageSize(), read, doing="")
    assert asked == [100]
    async with reach(database, statement_timeout_ms=50).session() as session:
        with pytest.raises(DatabaseBusy, match="reading"):
            await read_in_time(session, PageSize(400), read, doing="reading")
    assert asked == [100, 400] + [100] * 5  # as often as anything is tried again


async def test_look_ups_take_some_keys_at_once(database: Database) -> None:
    at_once = list[int]()

    async def look(connection: AsyncConnection, some: Sequence[int]) -> dict[int, str | None]:
        at_once.append(len(some))
        await connection.execute("SELECT pg_sleep(%s)", [len(some) * (0.001 if some[0] >= 500 else 0)])
        return {key: str(key) for key in some if key % 2}

    async with reach(database).session() as session:
        found = await look_up_in_time(session, PageSize(), range(1_000), look, doing="")
        assert await look_up_in_time(session, PageSize(), [], look, doing="") == {}
    assert found == {key: str(key) for key in range(1_000) if key % 2}
    assert at_once[:2] == [100, 400]
    assert sum(at_once) == 1_000


def test_a_shorter_limit_does_not_give_a_connection_up_sooner() -> None:
    usual = Limits(5_000, 60_000, 60_000)
    short = usual.with_statements_of(1_000)
    assert (short.statement_ms, short.deadline_seconds) == (1_000, usual.deadline_seconds)
    assert b"statement_timeout = 1000;" in short.begin
    assert short.with_statements_of(500).deadline_seconds == usual.deadline_seconds
    assert Limits(0, 0, 0).with_statements_of(1_000) == Limits(0, 1_000, 0, patience_ms=0)
    assert Limits(0, 0, 0).with_statements_of(1_000).deadline_seconds is None
    assert Limits(0, 300, 0).with_statements_of(1_000).statement_ms == 300


async def test_pages_are_larger_while_rows_are_finished(database: Database) -> None:
    finished, legacy = 120_000, 15_000
    database.execute("CREATE TABLE avatars (id int PRIMARY KEY, path text)")
    database.execute(
        "INSERT INTO avatars SELECT n, CASE WHEN n <= %s THEN 'avatar/' ELSE 'image/' END || n"
        " FROM generate_series(1, %s) n",
        finished,
        finished + legacy,
    )
    table = Table(("avatars",), RowKey.of("id", "integer"), "path")
    async with reach(database).session() as session:
        pages = [page async for page in References(session, table).legacy_pages(KeyRange(), mapping_of())]
    assert sum(page.rows for page in pages) == finished + legacy
    assert [each.key for page in pages for each in page.references] == list(range(finished + 1, finished + legacy + 1))
    assert all(page.rows <= MOST_ROWS for before, page in pairwise(pages) if len(before.references) * 4 > before.rows)
