"""What is known of how keys and paths are spread: by the planner's statistics, by a sample, or by counting rows off.

It tells where a table can be cut into ranges of its key, and where the listings of its objects can be. PostgreSQL
manual, sections "pg_stats" and "TABLESAMPLE".
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, LiteralString, NamedTuple

from psycopg import AsyncClientCursor, sql

from sketchmigrate.core.reference import KeyRange
from sketchmigrate.postgres.pages import in_range
from sketchmigrate.postgres.paging import PageSize, read_in_time
from sketchmigrate.postgres.structure import only_row
from sketchmigrate.postgres.table import read_either

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg import AsyncConnection

    from sketchmigrate.core.reference import Key
    from sketchmigrate.postgres.session import Session
    from sketchmigrate.postgres.table import Table

SAMPLED_BLOCKS = 2_000
"""Blocks of the table that a sample reads, 16 MB, wherever they lie; fewer where that takes long."""

SAMPLED_ROWS = 5_000
"""Of a table without statistics about so many rows are read, wherever they lie, or fewer where that takes long."""

ROWS_OF_A_BLOCK = 100
MOST_ROWS_OF_A_BLOCK = 291
"""Of 8 KiB, as a row takes 28 bytes at least (PostgreSQL manual, "Database Page Layout")."""

_LOOKING_AT_PATHS = "looking at the spread of the paths"
LONGEST_PATH_CHARS = 1025
"""A path beyond it is cut: no key is that long."""

# Of a partitioned table there are statistics of the parent with all partitions, if somebody had it analysed; those of
# an ordinary table are its own, as its rows are.
_HISTOGRAM: LiteralString = """
SELECT {bounds}
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_stats s ON s.schemaname = n.nspname AND s.tablename = c.relname AND s.attname = %s
WHERE c.oid = to_regclass(%s) AND s.histogram_bounds IS NOT NULL AND s.inherited = (c.relkind = 'p')
"""

_ENDS: LiteralString = """
SELECT (SELECT {key} FROM {table} AS t WHERE {has_key} ORDER BY {order} LIMIT 1),
       (SELECT {key} FROM {table} AS t WHERE {has_key} ORDER BY {backwards} LIMIT 1)
"""

# Cuts must be in the order in which the pages are read: that of the column's own collation.
_IN_ORDER: LiteralString = "SELECT {key} FROM {table} AS t WHERE {among} ORDER BY {order}"

_SAMPLE_KEYS: LiteralString = "SELECT {key} FROM {table} AS t {sampled} WHERE {has_key} ORDER BY {order}"

_NTH: LiteralString = "SELECT {key} FROM {table} AS t WHERE {range} ORDER BY {order} OFFSET %(rows)s LIMIT 1"

_ESTIMATED: LiteralString = "EXPLAIN (FORMAT JSON) SELECT FROM {table} AS t WHERE {range}"

# The bounds part the rows into groups of equal size, by the order of the column's collation (PostgreSQL manual, view
# pg_stats). They are an array of whatever type the column has; inherited are those of a table with its partitions.
_PATH_BOUNDS: LiteralString = """
SELECT s.histogram_bounds::text::text[]
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_stats s ON s.schemaname = n.nspname AND s.tablename = c.relname AND s.attname = %(path)s
WHERE c.oid = to_regclass(%(table)s) AND s.inherited = (c.relkind = 'p')
"""

# What is not partitioned is in no partition tree, not even in one of its own.
_BLOCKS: LiteralString = """
SELECT (pg_relation_size(c.oid) + (SELECT coalesce(sum(pg_relation_size(relid)), 0) FROM pg_partition_tree(c.oid)
        WHERE relid <> c.oid))::bigint / current_setting('block_size')::int
FROM pg_class c WHERE c.oid = to_regclass(%(table)s)
"""

_SAMPLE_PATHS: LiteralString = """
SELECT left({path}::text, {longest}) FROM {table} {sampled} WHERE {path} IS NOT NULL LIMIT {rows}
"""


async def histogram(connection: AsyncConnection, table: Table) -> list[Key]:
    """Return keys with about the same number of rows between any two of them, in no order; empty where not known."""
    if len(table.key.columns) > 1:
        return []  # they are of single columns
    name = sql.Identifier(*table.name).as_string(connection)

    async def read(*, stored: bool) -> list[Key]:
        if stored:  # keys that are not UTF-8 are no cuts
            return []
        bounds = table.key.histogram_bounds(sql.SQL("s.histogram_bounds"))
        if not table.key.is_native:  # the bounds are a text, in which a date has to be one that can be read again
            await connection.execute("SET LOCAL datestyle = 'ISO'")
        cursor = connection.cursor(binary=True)
        await cursor.execute(table.compose(_HISTOGRAM, bounds=bounds), [table.key.columns[0].name, name])
        row = await cursor.fetchone()
        return list(row[0]) if row is not None else []

    return await read_either(connection, table, read)


async def ends(connection: AsyncConnection, table: Table) -> tuple[Key, Key] | None:
    """Return the first and the last key, or None for an empty table."""
    backwards = sql.SQL(", ").join(sql.SQL("{} DESC").format(column.of_row) for column in table.key.columns)
    statement = table.compose(_ENDS, backwards=backwards)
    row: Any = await (await connection.cursor(binary=True).execute(statement, ())).fetchone()
    return None if row[0] is None else (row[0], row[1])


async def in_order(connection: AsyncConnection, table: Table, keys: Sequence[Key]) -> list[Key]:
    """Return those of the keys that are there, in the order of the column."""
    cursor = connection.cursor(binary=True)
    await cursor.execute(table.compose(_IN_ORDER), [list(keys)])
    return [key for (key,) in await cursor.fetchall()]


async def parts(session: Session, table: Table, number: int) -> list[KeyRange]:
    """Return ranges that together hold every key, so many of about one size, or a single one where nothing is known."""
    bounds = await session.run(_histogram_in_order, table, doing="looking at the spread of the keys")
    cuts = [bounds[len(bounds) * part // number] for part in range(1, number)] if len(bounds) > number else []
    return [KeyRange(*pair) for pair in pairwise([None, *cuts, None])]


async def _histogram_in_order(connection: AsyncConnection, table: Table) -> list[Key]:
    return await in_order(connection, table, await histogram(connection, table))


class Sample(NamedTuple):
    """``keys`` in order, from ``rows`` blocks; ``table_rows`` is how many the table has by this."""

    rows: int
    keys: list[Key]
    table_rows: int


async def sample(session: Session, table: Table) -> Sample:
    """Return the keys in some blocks of the table; none where one of them is not UTF-8: then it is one range."""
    size = PageSize(SAMPLED_BLOCKS, most=SAMPLED_BLOCKS)
    return await read_in_time(session, size, _sample_keys, table, doing="sampling the keys")


async def _sample_keys(connection: AsyncConnection, table: Table, blocks: int) -> Sample:
    percent = min(100.0, 100.0 * blocks / max(1, await count_blocks(connection, table)))

    async def take(*, stored: bool) -> list[Key]:
        if stored or table.is_view:  # of a view that would be all rows
            return []
        cursor = connection.cursor(binary=True)
        await cursor.execute(table.compose(_SAMPLE_KEYS, sampled=table.sampled(percent)), ())
        return [key for (key,) in await cursor.fetchall()]

    keys = await read_either(connection, table, take)
    return Sample(blocks, keys, round(len(keys) * 100 / percent))


class _Step(NamedTuple):
    rows: int
    key: Key | None


async def key_after(session: Session, table: Table, key_range: KeyRange, rows: int) -> Key | None:
    """Return the key of the range before which there are so many rows of it.

    None if it has no more than that, or that key is not UTF-8. They are counted off in steps, each in a transaction of
    its own.
    """
    size, left = PageSize(), rows + 1
    while left:
        step = await read_in_time(session, size, _count_off, table, key_range, left, doing="cutting a range")
        if step.key is None:
            return None
        left -= step.rows
        key_range = KeyRange(step.key, key_range.until)
    return key_range.after


async def _count_off(connection: AsyncConnection, table: Table, key_range: KeyRange, left: int, most: int) -> _Step:
    step = min(most, left)
    condition, values = in_range(table, key_range)

    async def take(*, stored: bool) -> _Step:
        if stored:
            return _Step(step, None)
        cursor = connection.cursor(binary=True)
        await cursor.execute(table.compose(_NTH, range=condition), {**values, "rows": step - 1})
        row = await cursor.fetchone()
        return _Step(step, None if row is None else row[0])

    return await read_either(connection, table, take)


async def estimate_rows(connection: AsyncConnection, table: Table, key_range: KeyRange) -> int:
    """Return how many rows the planner takes a range for; none is read."""
    condition, values = in_range(table, key_range)
    cursor = AsyncClientCursor(connection)
    row: Any = await (await cursor.execute(table.compose(_ESTIMATED, range=condition), values)).fetchone()
    return int(row[0][0]["Plan"]["Plan Rows"])


class SampledPaths(NamedTuple):
    """``paths`` of about ``rows`` rows that have one, wherever they lie; ``table_rows`` are all such, by this."""

    rows: int
    paths: list[str]
    table_rows: int


async def spread_paths(session: Session, table: Table) -> list[str]:
    """Return some paths, spread about as all of them are, in no order that means anything here.

    They are the planner's statistics, where the table was analysed, else a sample of its rows. Bounded work for any
    table. There are none where one of them is not UTF-8. Raises what ``Session.run`` raises.
    """
    bounds = await session.run(_path_bounds, table, doing=_LOOKING_AT_PATHS)
    return bounds or (await sample_paths(session, table)).paths


async def sample_paths(session: Session, table: Table) -> SampledPaths:
    """Return paths of the table as it is now, whatever the statistics say; else as ``spread_paths`` does."""
    return await read_in_time(session, PageSize(SAMPLED_ROWS), _sample_paths, table, doing=_LOOKING_AT_PATHS)


async def _path_bounds(connection: AsyncConnection, table: Table) -> list[str]:
    names = {"table": sql.Identifier(*table.name).as_string(connection), "path": table.path_column}

    async def take(*, stored: bool) -> list[str]:
        row: Any = None if stored else await (await connection.execute(_PATH_BOUNDS, names)).fetchone()
        return list(row[0]) if row and row[0] else []

    return await read_either(connection, table, take)


async def _sample_paths(connection: AsyncConnection, table: Table, rows: int) -> SampledPaths:
    percent = min(100.0, 100 * rows / ROWS_OF_A_BLOCK / max(1, await count_blocks(connection, table)))
    sample = table.compose(
        _SAMPLE_PATHS,
        longest=sql.Literal(LONGEST_PATH_CHARS),
        sampled=table.sampled(percent),
        rows=sql.Literal(MOST_ROWS_OF_A_BLOCK * rows // ROWS_OF_A_BLOCK),
    )

    async def take(*, stored: bool) -> list[str]:
        found = [] if stored else await (await connection.execute(sample, ())).fetchall()
        return [path for (path,) in found]

    paths = await read_either(connection, table, take)
    return SampledPaths(rows, paths, round(len(paths) * 100 / percent))


async def count_blocks(connection: AsyncConnection, table: Table) -> int:
    """Return how many blocks a table has, its partitions included."""
    name = sql.Identifier(*table.name).as_string(connection)
    (blocks,) = await only_row(connection, _BLOCKS, {"table": name})
    return int(blocks)
