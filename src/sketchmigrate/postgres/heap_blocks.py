"""Legacy rows in the order of the table's blocks: where keys are random, each is read once, and not once for each row.

PostgreSQL reads a range of ``ctid``, the place of a row, without looking at any other block (release notes of version
14, "Allow efficient heap-only TID range scans"). An older one reads the whole table for it, as its plan says.
A row gets another place by each UPDATE: so rows may be missed by it, or come twice.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, LiteralString, NamedTuple

from psycopg import sql

from sketchmigrate.core.reference import Reference, make_all
from sketchmigrate.core.rule import SideName
from sketchmigrate.postgres.explained import plan_of
from sketchmigrate.postgres.pages import Page
from sketchmigrate.postgres.row_value import is_told

if TYPE_CHECKING:
    from psycopg import AsyncConnection

    from sketchmigrate.core.mapping import Mapping
    from sketchmigrate.postgres.table import Table

FEWEST_BLOCKS = 16
"""A smaller table is in memory, in whatever order it is read."""

PROBED = 100
"""So many blocks are looked at to find where to begin: finished rows are passed at some millions a second."""

MOST_BLOCKS = 256
"""Of a page, 2 MiB: where blocks turn out to hold far more rows than others, it has not too many of them."""

# Whoever may read the table may read ctid; a role with rights to single columns needs it to be one of them.
_BLOCKS: LiteralString = """
SELECT pg_relation_size(c.oid) / current_setting('block_size')::bigint, greatest(c.reltuples, 0)::float8
FROM pg_class c WHERE c.oid = to_regclass(%(table)s) AND has_column_privilege(c.oid, 'ctid', 'SELECT')
"""

# By the plan of a page, once for each block. Single rows that a run has left, as their object is missing, do not count.
_MOSTLY_LEGACY: LiteralString = """
SELECT min(block) FROM generate_series(0, %(end)s::bigint - 1, %(step)s::bigint) AS block
WHERE (
    SELECT 2 * count(*) FILTER (WHERE {is_legacy}) > count(*) FROM {table} AS t
    WHERE t.ctid >= format('(%%s,0)', block)::tid AND t.ctid < format('(%%s,0)', block + 1)::tid
)
"""

_PAGE: LiteralString = """
SELECT count(*), array_agg(key) FILTER (WHERE is_legacy), array_agg(path) FILTER (WHERE is_legacy)
FROM (
    SELECT {key} AS key, {value} AS path, {is_legacy} AS is_legacy FROM {table} AS t
    WHERE {has_key} AND t.ctid >= %(first)s::tid AND t.ctid < %(end)s::tid
) AS page
"""


@dataclass(frozen=True, slots=True)
class HeapBlocks:
    """Blocks of a table, from ``first`` up to ``end``, with so many rows each, on average, by the statistics.

    All before ``begin`` seem to be finished.
    """

    end: int
    rows_each: float
    first: int = 0
    begin: int = 0

    @property
    def stretches(self) -> tuple[HeapBlocks, HeapBlocks]:
        """Return them in two parts: what is to be read first, and what seems to be finished."""
        return replace(self, first=self.begin), replace(self, end=self.begin)

    def of_rows(self, rows: int) -> HeapBlocks:
        """Return as many of them as have about so many rows, from the first on: at least one."""
        count = min(MOST_BLOCKS, max(1, round(rows / self.rows_each)))
        return replace(self, end=min(self.end, self.first + count))

    def behind(self, others: HeapBlocks) -> HeapBlocks:
        """Return those of them that are behind others."""
        return replace(self, first=others.end)


class BlockPage(NamedTuple):
    """The rows of some blocks. ``rows`` is how many would be in so many blocks on average."""

    rows: int
    blocks: HeapBlocks
    page: Page


async def find_blocks(connection: AsyncConnection, table: Table, mapping: Mapping) -> HeapBlocks | None:
    """Return the blocks of a table whose legacy rows the planner finds block by block; None where it does not."""
    if table.is_view or table.is_partitioned or table.encoding != "UTF8" or not is_told(mapping):
        return None
    name = sql.Identifier(*table.name).as_string(connection)
    row: Any = await (await connection.execute(_BLOCKS, {"table": name})).fetchone()
    count, rows = row or (0, 0.0)
    if count < FEWEST_BLOCKS or not rows:
        return None
    statement, values = page_of(table, mapping, HeapBlocks(1, 1.0))
    nodes = await plan_of(connection, statement, values)
    is_by_block = any(node["Node Type"] == "Tid Range Scan" for node in nodes)
    return HeapBlocks(count, max(1.0, rows / count)) if is_by_block else None


async def begin_at_legacy(
    connection: AsyncConnection, table: Table, mapping: Mapping, blocks: HeapBlocks
) -> HeapBlocks:
    """Return the blocks, to be read from where few seem to be finished, by a look at some, evenly spaced."""
    is_legacy, patterns = table.value.may_be_on(SideName.LEGACY, mapping)
    step = -(-blocks.end // PROBED)
    statement = table.compose(_MOSTLY_LEGACY, is_legacy=is_legacy)
    row: Any = await (await connection.execute(statement, {**patterns, "end": blocks.end, "step": step})).fetchone()
    return blocks if row[0] is None else replace(blocks, begin=max(0, row[0] - step))


async def read_by_block(
    connection: AsyncConnection, table: Table, mapping: Mapping, left: HeapBlocks, rows: int
) -> BlockPage:
    """Look at all rows of as many of the blocks that are left as have about ``rows`` rows."""
    blocks = left.of_rows(rows)
    statement, values = page_of(table, mapping, blocks)
    answer: Any = await (await connection.cursor(binary=True).execute(statement, values)).fetchone()
    looked_at, keys, paths = answer
    references = make_all(Reference, zip(keys or (), paths or (), strict=True))
    page = Page(looked_at, references[-1].key if references else None, references)
    return BlockPage(round((blocks.end - blocks.first) * blocks.rows_each), blocks, page)


def page_of(table: Table, mapping: Mapping, blocks: HeapBlocks) -> tuple[sql.Composed, dict[str, Any]]:
    """Return the statement that reads the rows of blocks, and its parameters."""
    is_legacy, patterns = table.value.may_be_on(SideName.LEGACY, mapping)
    bounds = {"first": f"({blocks.first},0)", "end": f"({blocks.end},0)"}
    return table.compose(_PAGE, is_legacy=is_legacy), {**patterns, **bounds}
