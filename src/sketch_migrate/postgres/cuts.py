"""Where a table can be cut into ranges of its key: by the planner's statistics, by a sample, or by counting rows off.

PostgreSQL manual, sections "pg_stats" and "TABLESAMPLE".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, LiteralString

from psycopg import sql

from sketch_migrate.postgres.histogram import count_blocks
from sketch_migrate.postgres.references import in_range
from sketch_migrate.postgres.texts import read_either

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sketch_migrate.model import Key, KeyRange
    from sketch_migrate.postgres.session import Connection
    from sketch_migrate.postgres.table import Table

SAMPLED_BLOCKS = 2_000
"""Blocks of the table that a sample reads: 16 MB, wherever they lie."""

# Of a partitioned table there are statistics of the parent with all partitions, if somebody had it analysed; those of
# an ordinary table are its own, as its rows are.
_HISTOGRAM: LiteralString = """
SELECT s.histogram_bounds::text::{key_type}[]
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_stats s ON s.schemaname = n.nspname AND s.tablename = c.relname AND s.attname = %s
WHERE c.oid = to_regclass(%s) AND s.histogram_bounds IS NOT NULL AND s.inherited = (c.relkind = 'p')
"""

_ENDS: LiteralString = "SELECT min({key}), max({key}) FROM {table}"

# Cuts must be in the order in which the pages are read: that of the column's own collation.
_IN_ORDER: LiteralString = "SELECT {key} FROM {table} WHERE {key} = ANY(%b::{key_type}[]) ORDER BY {key}"

_SAMPLE: LiteralString = "SELECT {key} FROM {table} TABLESAMPLE SYSTEM (%s) ORDER BY {key}"

_NTH: LiteralString = "SELECT {key} FROM {table} WHERE {range} ORDER BY {key} OFFSET %(rows)s LIMIT 1"


async def histogram(connection: Connection, table: Table) -> list[Key]:
    """Return keys with about the same number of rows between any two of them, in no order; empty where not known."""
    name = sql.Identifier(*table.name).as_string(connection)

    async def read(*, stored: bool) -> list[Key]:
        if stored:  # keys that are not UTF-8 are no cuts
            return []
        cursor = connection.cursor(binary=True)
        await cursor.execute(table.compose(_HISTOGRAM), [table.key_column, name])
        row = await cursor.fetchone()
        return list(row[0]) if row is not None else []

    return await read_either(connection, table, read)


async def ends(connection: Connection, table: Table) -> tuple[Key, Key] | None:
    """Return the first and the last key, or None for an empty table. PostgreSQL 17 and older have no min(uuid)."""
    row: Any = await (await connection.cursor(binary=True).execute(table.compose(_ENDS), ())).fetchone()
    return None if row[0] is None else (row[0], row[1])


async def in_order(connection: Connection, table: Table, keys: Sequence[Key]) -> list[Key]:
    """Return those of the keys that are there, in the order of the column."""
    cursor = connection.cursor(binary=True)
    await cursor.execute(table.compose(_IN_ORDER), [list(keys)])
    return [key for (key,) in await cursor.fetchall()]


async def sample(connection: Connection, table: Table) -> tuple[list[Key], int]:
    """Return the keys in some blocks of the table, in order, and how many rows the table has by this.

    Where one of them is not UTF-8 there are none: the table is one range.
    """
    percent = min(100.0, 100.0 * SAMPLED_BLOCKS / max(1, await count_blocks(connection, table)))

    async def read(*, stored: bool) -> list[Key]:
        if stored:
            return []
        cursor = connection.cursor(binary=True)
        await cursor.execute(table.compose(_SAMPLE), [percent])
        return [key for (key,) in await cursor.fetchall()]

    keys = await read_either(connection, table, read)
    return keys, round(len(keys) * 100 / percent)


async def key_after(connection: Connection, table: Table, key_range: KeyRange, rows: int) -> Key | None:
    """Return the key of the range before which there are so many rows of it.

    None if it has no more than that, or that key is not UTF-8.
    """
    condition, values = in_range(table, key_range)

    async def read(*, stored: bool) -> Key | None:
        if stored:
            return None
        cursor = connection.cursor(binary=True)
        await cursor.execute(table.compose(_NTH, range=condition), {**values, "rows": rows})
        row: Any = await cursor.fetchone()
        return None if row is None else row[0]

    return await read_either(connection, table, read)
