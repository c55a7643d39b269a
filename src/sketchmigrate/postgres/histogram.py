"""How the paths are spread, as far as the server knows without reading the table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, LiteralString, NamedTuple

from psycopg import sql

from sketchmigrate.postgres.paging import PageSize, read_in_time
from sketchmigrate.postgres.structure import only_row
from sketchmigrate.postgres.texts import read_either

if TYPE_CHECKING:
    from sketchmigrate.postgres.session import Connection, Session
    from sketchmigrate.postgres.table import Table

SAMPLED_ROWS = 5_000
"""Of a table without statistics about so many rows are read, wherever they lie, or fewer where that takes long."""

ROWS_OF_A_BLOCK = 100
LONGEST_PATH_CHARS = 1025
"""A path beyond it is cut: no key is that long."""

# The bounds part the rows into groups of equal size, by the order of the column's collation (PostgreSQL manual, view
# pg_stats). They are an array of whatever type the column has; inherited are those of a table with its partitions.
_BOUNDS: LiteralString = """
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

_SAMPLE: LiteralString = """
SELECT left({path}::text, {longest}) FROM {table} TABLESAMPLE SYSTEM ({percent}) WHERE {path} IS NOT NULL LIMIT {rows}
"""


class _Sample(NamedTuple):
    rows: int
    paths: list[str]


async def spread_paths(session: Session, table: Table, *, fresh: bool = False) -> list[str]:
    """Return some paths, spread about as all of them are, in no order that means anything here.

    They are the planner's statistics, where the table was analysed, else, or with ``fresh``, a sample of its rows.
    Bounded work for any table. There are none where one of them is not UTF-8. Raises what ``Session.run`` raises.
    """

    async def look(connection: Connection) -> list[str]:
        names = {"table": sql.Identifier(*table.name).as_string(connection), "path": table.path_column}

        async def take(*, stored: bool) -> list[str]:
            row: Any = None if stored else await (await connection.execute(_BOUNDS, names)).fetchone()
            return list(row[0]) if row and row[0] else []

        return await read_either(connection, table, take)

    async def read(connection: Connection, rows: int) -> _Sample:
        blocks = await count_blocks(connection, table)
        sample = table.compose(
            _SAMPLE,
            longest=sql.Literal(LONGEST_PATH_CHARS),
            percent=sql.Literal(min(100, 100 * rows / ROWS_OF_A_BLOCK / max(1, blocks))),
            rows=sql.Literal(2 * rows),
        )

        async def take(*, stored: bool) -> list[str]:
            found = [] if stored else await (await connection.execute(sample, ())).fetchall()
            return [path for (path,) in found]

        return _Sample(rows, await read_either(connection, table, take))

    doing = "looking at the spread of the paths"
    if not fresh and (bounds := await session.run(look, doing=doing)):
        return bounds
    return (await read_in_time(session, PageSize(SAMPLED_ROWS), read, doing=doing)).paths


async def count_blocks(connection: Connection, table: Table) -> int:
    """Return how many blocks a table has, its partitions included."""
    name = sql.Identifier(*table.name).as_string(connection)
    (blocks,) = await only_row(connection, _BLOCKS, {"table": name})
    return int(blocks)
