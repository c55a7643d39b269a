"""How the paths are spread, as far as the server knows without reading the table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, LiteralString

from psycopg import sql

from sketch_migrate.postgres.texts import read_either

if TYPE_CHECKING:
    from sketch_migrate.postgres.session import Connection
    from sketch_migrate.postgres.table import Table

SAMPLED_BLOCKS = 50
"""Of a table without statistics so many blocks are read, wherever they lie: 5 000 rows of 80 bytes."""

SAMPLED_ROWS = 10_000
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

_BLOCKS: LiteralString = """
SELECT coalesce(sum(pg_relation_size(relid)), 0)::bigint / current_setting('block_size')::int
FROM pg_partition_tree(to_regclass(%(table)s))
"""

_SAMPLE: LiteralString = """
SELECT left({path}::text, {longest}) FROM {table} TABLESAMPLE SYSTEM ({percent}) WHERE {path} IS NOT NULL LIMIT {rows}
"""


async def spread_paths(connection: Connection, table: Table) -> list[str]:
    """Return some paths, spread about as all of them are, in no order that means anything here.

    They are the planner's statistics, where the table was analysed, else a sample of its rows. Reads bounded work of
    any table. There are none where one of them is not UTF-8. Within one transaction; psycopg's errors pass through.
    """

    async def read(*, stored: bool) -> list[str]:
        return [] if stored else await _spread(connection, table)

    return await read_either(connection, table, read)


async def _spread(connection: Connection, table: Table) -> list[str]:
    names = {"table": sql.Identifier(*table.name).as_string(connection), "path": table.path_column}
    row: Any = await (await connection.execute(_BOUNDS, names)).fetchone()
    if row and row[0]:
        return list(row[0])
    blocks = await count_blocks(connection, table)
    sample = table.compose(
        _SAMPLE,
        longest=sql.Literal(LONGEST_PATH_CHARS),
        percent=sql.Literal(min(100, 100 * SAMPLED_BLOCKS / max(1, blocks))),
        rows=sql.Literal(SAMPLED_ROWS),
    )
    return [path for (path,) in await (await connection.execute(sample, ())).fetchall()]


async def count_blocks(connection: Connection, table: Table) -> int:
    """Return how many blocks a table has, its partitions included."""
    name = sql.Identifier(*table.name).as_string(connection)
    ((blocks,),) = await (await connection.execute(_BLOCKS, {"table": name})).fetchall()
    return int(blocks)
