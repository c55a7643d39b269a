"""Rows on neither side: whether any row is on one of them at all, and some of those that are not.

What is read is bounded. A page is read again for its rows only while rows are wanted, and only so many pages are.
Whether a row of either side exists is told by the first pages, or by a sample. Only where neither has one is the table
read to its end, page by page, each in a short transaction: as much as one pass of a migration reads.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, LiteralString, NamedTuple

from psycopg import sql

from sketchmigrate.core.reference import KeyRange, Reference
from sketchmigrate.postgres.paging import PageSize, read_in_time
from sketchmigrate.postgres.references import in_range, of_both_sides
from sketchmigrate.postgres.statistics import LONGEST_PATH_CHARS, SAMPLED_BLOCKS, count_blocks
from sketchmigrate.postgres.table import columns, decode, read_either

if TYPE_CHECKING:
    from collections.abc import Callable

    from psycopg import AsyncConnection

    from sketchmigrate.core.rule import Rule
    from sketchmigrate.postgres.references import CountedPage, References
    from sketchmigrate.postgres.table import Table

MOST_PAGES = 100
"""So many pages are read again for the rows on neither side: a million rows, where each has one of them."""

FIRST_ROWS = 20_000
"""So many are counted before a sample is taken: most often they tell it, and a sample is as much again."""

# A path that is NULL is not <> '', and no LIKE of NULL is true.
_NEITHER: LiteralString = """
SELECT {found_key}, {found_path} FROM (
    SELECT key, {shortened} AS path FROM (
        SELECT {key} AS key, {path}::text COLLATE "C" AS path FROM {table} AS t
        WHERE {range} ORDER BY {order} LIMIT {rows}
    ) AS all_rows
    WHERE path <> '' AND (path LIKE %(legacy)s) IS NOT TRUE AND (path LIKE %(production)s) IS NOT TRUE LIMIT {most}
) AS page
"""
_SHORTENED = sql.SQL("left(path, {})").format(sql.Literal(LONGEST_PATH_CHARS))

_ANY: LiteralString = """
SELECT coalesce(bool_or(path LIKE %(legacy)s OR path LIKE %(production)s), false)
FROM (SELECT {path}::text COLLATE "C" AS path FROM {table} AS t TABLESAMPLE SYSTEM ({percent})) AS sample
"""


async def rows_of_neither(
    connection: AsyncConnection, table: Table, key_range: KeyRange, rule: Rule, *, rows: int, most: int
) -> list[Reference]:
    """Return up to ``most`` of the next ``rows`` rows of a key range: with a path, and on neither side."""
    condition, values = in_range(table, key_range)
    cursor = connection.cursor(binary=True)

    async def read(*, stored: bool) -> list[Reference]:
        names = columns(table, stored=stored)
        shortened = sql.SQL("path") if stored else _SHORTENED  # characters that cannot be read cannot be counted
        limits = {"rows": sql.Literal(rows), "most": sql.Literal(most)}
        statement = table.compose(_NEITHER, range=condition, shortened=shortened, **limits, **names)
        found: list[Any] = await (await cursor.execute(statement, {**values, **of_both_sides(table, rule)})).fetchall()
        return [Reference(key, path or "") for key, path in (decode(table, found) if stored else found)]

    return await read_either(connection, table, read)


@dataclass(slots=True)
class Others:
    """Collects up to ``wanted`` rows on neither side, from pages that were counted."""

    rule: Rule
    wanted: int
    rows: list[Reference] = field(default_factory=list)
    pages_left: int = MOST_PAGES

    async def take(self, references: References, page: CountedPage, counted: KeyRange) -> None:
        """Read a page again, the first of the range ``counted``, if it has such rows and they are still wanted."""
        most = self.wanted - len(self.rows)
        if page.paths == page.legacy + page.production or most <= 0 or not self.pages_left:
            return
        self.pages_left -= 1
        read = partial(rows_of_neither, rows=page.rows, most=most)
        key_range, doing = KeyRange(counted.after, page.last_key), "looking at the rows on neither side"
        found = await references.session.run(read, references.table, key_range, self.rule, doing=doing)
        self.rows += found[:most]


async def is_any_on_a_side(references: References, others: Others, say: Callable[[str], None]) -> bool:
    """Whether a row begins with either prefix; if none does, all of the table was read, which is said beforehand.

    ``others`` collects from what was read on the way. Raises what ``Session.run`` raises.
    """
    after, looked_at, sampled = KeyRange(), 0, False
    size = PageSize(SAMPLED_BLOCKS, most=SAMPLED_BLOCKS)
    async for page in references.counted_pages(KeyRange(), others.rule):
        if page.legacy or page.production:
            return True
        await others.take(references, page, after)
        after = KeyRange(page.last_key)
        looked_at += page.rows
        if looked_at >= FIRST_ROWS and not sampled:
            sampled = True
            args = references.table, others.rule
            if (await read_in_time(references.session, size, _sampled, *args, doing="sampling the paths")).found:
                return True
            say("No path is recognised so far: reading through the table for one that begins with either prefix.")
    return False


class _Sampled(NamedTuple):
    rows: int
    found: bool


async def _sampled(connection: AsyncConnection, table: Table, rule: Rule, blocks: int) -> _Sampled:
    percent = min(100.0, 100.0 * blocks / max(1, await count_blocks(connection, table)))
    statement = table.compose(_ANY, percent=sql.Literal(percent))
    row: Any = await (await connection.execute(statement, of_both_sides(table, rule))).fetchone()
    return _Sampled(blocks, bool(row[0]))
