"""Legacy rows by an index that has their path first: where keys are random, or few rows are left, in few blocks.

In the order of a random key each row is in another block of the table, and each finished one is passed as well. An
index in the order of the paths has the legacy ones together (PostgreSQL manual, section "Operator Classes and Operator
Families"). It is used for sources whose value is a key below one prefix, so that a condition of LIKE tells them
exactly; whether it is used at all is seen in the plan of the very statement (EXPLAIN).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, LiteralString, NamedTuple

from psycopg import sql

from sketchmigrate.core.reference import Reference, make_all
from sketchmigrate.core.rule import SideName
from sketchmigrate.postgres.explained import plan_of
from sketchmigrate.postgres.heap_blocks import find_blocks
from sketchmigrate.postgres.pages import Page
from sketchmigrate.postgres.paging import MOST_ROWS
from sketchmigrate.postgres.row_spread import TIMES_LESS, RowSpread, read_spread
from sketchmigrate.postgres.row_value import is_told

if TYPE_CHECKING:
    from psycopg import AsyncConnection

    from sketchmigrate.core.mapping import Mapping
    from sketchmigrate.core.reference import Key
    from sketchmigrate.postgres.table import Table

FEWEST_ROWS_OFFERED = 1_000_000
"""A smaller table is read whole in seconds, in whatever order."""

RANDOM = 0.5
"""A key whose order is that of the blocks by less than this has its rows all over the table."""

MOST_SORTED = 10 * MOST_ROWS
"""Of rows that a page may sort: a plan that sorts all legacy rows for each page is none."""

# The operator family of text_pattern_ops is that of varchar_pattern_ops as well. A collation that takes different
# texts for equal ones has no LIKE before version 18.
_INDEXES: LiteralString = """
SELECT i.relname::text, cn.nspname::text, co.collname::text, f.opfname = 'text_pattern_ops', x.indpred IS NOT NULL
FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_am m ON m.oid = i.relam AND m.amname = 'btree'
JOIN pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = x.indkey[0]
JOIN pg_opclass o ON o.oid = x.indclass[0] JOIN pg_opfamily f ON f.oid = o.opcfamily
JOIN pg_namespace fn ON fn.oid = f.opfnamespace AND fn.nspname = 'pg_catalog'
JOIN pg_collation co ON co.oid = x.indcollation[0] JOIN pg_namespace cn ON cn.oid = co.collnamespace
WHERE x.indrelid = to_regclass(%(table)s) AND a.attname = %(path)s AND x.indisvalid AND x.indoption[0] & 1 = 0
    AND a.atttypid IN ('text'::regtype, 'varchar'::regtype) AND f.opfname IN ('text_ops', 'text_pattern_ops')
    AND coalesce((to_jsonb(co) ->> 'collisdeterministic')::boolean, true)
ORDER BY x.indpred IS NULL, i.relname
"""

_PAGE: LiteralString = """
SELECT count(*), array_agg(key), array_agg(path) FROM (
    SELECT {key} AS key, {value} AS path FROM {table} AS t
    WHERE {has_key} AND {value} LIKE {pattern} {beyond} ORDER BY {by_path}, {order} LIMIT {rows}
) AS page
"""


class Offer(NamedTuple):
    """The statement that makes an index of the paths, and what statistics say of the table that has none.

    ``reads_by_block``: without it the table is read in the order of its blocks, each once.
    """

    statement: str
    spread: RowSpread
    reads_by_block: bool = False

    def is_worth(self, legacy_rows: int) -> bool:
        """Whether it would pay to have so many legacy rows found by it, in a large table whose key is random."""
        of_key = self.spread.key_correlation
        is_random = of_key is not None and abs(of_key) < RANDOM
        if not legacy_rows or self.spread.rows < FEWEST_ROWS_OFFERED or not is_random:
            return False
        if self.reads_by_block and TIMES_LESS * self.spread.blocks_by_path(legacy_rows) > self.spread.blocks:
            return False
        return self.spread.is_less_by_path(legacy_rows)


@dataclass(frozen=True, slots=True)
class PathIndex:
    """An index by which legacy rows are found, and the pattern of LIKE that their paths have.

    ``is_pattern``: it is of text_pattern_ops. ``is_partial``: it has a condition. ``legacy_rows`` are about so many.
    """

    name: str
    collation: tuple[str, str]
    is_pattern: bool
    is_partial: bool
    pattern: str
    legacy_rows: int = 0


class Place(NamedTuple):
    """The last row of a page."""

    path: str
    key: Key


def only_pattern(table: Table, mapping: Mapping) -> str | None:
    """Return the one pattern of LIKE that tells legacy rows, and nothing else; None where there is no such."""
    value = table.value
    if table.is_view or table.is_partitioned or table.encoding != "UTF8" or not value.is_plain or value.where:
        return None
    if not is_told(mapping):
        return None
    groups = mapping.shape.patterns(SideName.LEGACY).groups
    if len(groups) != 1 or len(groups[0]) != 1 or groups[0][0] == "%":
        return None
    return groups[0][0]


async def find_index(connection: AsyncConnection, table: Table, mapping: Mapping) -> PathIndex | None:
    """Return an index by which the planner finds legacy rows, page by page; None where there is none."""
    pattern = only_pattern(table, mapping)
    if pattern is None:
        return None
    found = await (await connection.execute(_INDEXES, _names(connection, table))).fetchall()
    for name, schema, collation, is_pattern, is_partial in found:
        index = PathIndex(name, (schema, collation), is_pattern, is_partial, pattern)
        rows = await _rows_by(connection, table, index)
        if rows is not None:
            return replace(index, legacy_rows=rows)
    return None


async def choose_index(connection: AsyncConnection, table: Table, mapping: Mapping) -> PathIndex | None:
    """Return an index by which legacy rows are found in far fewer blocks than by the key; None where there is none."""
    index = await find_index(connection, table, mapping)
    if index is None:
        return None
    spread = await read_spread(connection, table)
    return index if spread is not None and spread.is_less_by_path(index.legacy_rows) else None


async def read_by_path(
    connection: AsyncConnection, table: Table, index: PathIndex, after: Place | None, rows: int
) -> Page:
    """Return the next ``rows`` legacy rows behind a place, in the order of the index; fewer are the last ones."""
    statement, values = _page(table, index, after, rows)
    answer: Any = await (await connection.cursor(binary=True).execute(statement, values)).fetchone()
    count, keys, paths = answer
    references = make_all(Reference, zip(keys or (), paths or (), strict=True))
    return Page(count, references[-1].key if references else None, references)


async def possible_offer(connection: AsyncConnection, table: Table, mapping: Mapping) -> Offer | None:
    """Return what would make an index by which legacy rows are found; None where there is one, or none is possible."""
    pattern = only_pattern(table, mapping)
    if pattern is None or await find_index(connection, table, mapping) is not None:
        return None
    spread = await read_spread(connection, table)
    if spread is None:
        return None
    reads_by_block = spread.is_less_by_block and await find_blocks(connection, table, mapping) is not None
    return Offer(offer_of(table, pattern), spread, reads_by_block)


def offer_of(table: Table, pattern: str) -> str:
    """Return the statement that makes an index by which legacy rows are found."""
    path = sql.Identifier(table.path_column)
    return (
        sql.SQL("CREATE INDEX CONCURRENTLY ON {} ({} text_pattern_ops) WHERE {} LIKE {};")
        .format(sql.Identifier(*table.name), path, path, sql.Literal(pattern))
        .as_string(None)
    )


def _page(table: Table, index: PathIndex, after: Place | None, rows: int) -> tuple[sql.Composed, dict[str, Key]]:
    column = sql.SQL("{} COLLATE {}").format(table.value.text(), sql.Identifier(*index.collation))
    by_path = sql.SQL("{} USING ~<~").format(column) if index.is_pattern else column
    beyond: sql.Composable = sql.SQL("")
    values: dict[str, Key] = {}
    if after is not None:
        same, more = ("~>=~", "~>~") if index.is_pattern else (">=", ">")
        path = sql.SQL("%(after_path)s::text")
        beyond = sql.SQL("AND {column} {same} {path} AND ({column} {more} {path} OR {key})").format(
            column=column,
            same=sql.SQL(same),
            more=sql.SQL(more),
            path=path,
            key=table.key.compared(sql.SQL(">"), sql.Placeholder("after_key")),
        )
        values = {"after_path": after.path, "after_key": after.key}
    statement = table.compose(
        _PAGE,
        pattern=sql.Literal(index.pattern.replace("%", "%%")),  # no parameter: the index may have it as its condition
        beyond=beyond,
        by_path=by_path,
        rows=sql.Literal(rows),
    )
    return statement, values


async def _rows_by(connection: AsyncConnection, table: Table, index: PathIndex) -> int | None:
    """Return how many legacy rows the planner expects, if it finds a page of them by the index; else None."""
    statement, values = _page(table, index, None, MOST_ROWS)
    nodes = await plan_of(connection, statement, values)
    by_it = [node for node in nodes if node.get("Index Name") == index.name]
    is_bounded = any(index.is_partial or "Index Cond" in node for node in by_it)
    sorts_all = any(node["Node Type"] == "Sort" and node["Plan Rows"] > MOST_SORTED for node in nodes)
    if not is_bounded or sorts_all or any("Seq Scan" in node["Node Type"] for node in nodes):
        return None
    return int(max(node["Plan Rows"] for node in by_it))


def _names(connection: AsyncConnection, table: Table) -> dict[str, str]:
    name = sql.Identifier(*table.name).as_string(connection)
    return {"table": name, "path": table.path_column}
