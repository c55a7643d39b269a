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
from sketchmigrate.postgres.pages import in_range, of_both_sides
from sketchmigrate.postgres.paging import PageSize, read_in_time
from sketchmigrate.postgres.row_value import is_told
from sketchmigrate.postgres.statistics import LONGEST_PATH_CHARS, SAMPLED_BLOCKS, count_blocks
from sketchmigrate.postgres.table import columns, decode, read_either

if TYPE_CHECKING:
    from collections.abc import Callable

    from psycopg import AsyncConnection

    from sketchmigrate.core.mapping import Mapping
    from sketchmigrate.postgres.pages import CountedPage
    from sketchmigrate.postgres.references import References
    from sketchmigrate.postgres.table import Table

MOST_PAGES = 100
"""So many pages are read again for the rows on neither side: a million rows, where each has one of them."""

FIRST_ROWS = 20_000
"""So many are counted before a sample is taken: most often they tell it, and a sample is as much again."""

# A path that is NULL is not <> '', and no LIKE of NULL is true. Of values that only may be on a side none is shown.
_NEITHER: LiteralString = """
SELECT {found_key}, {found_path} FROM (
    SELECT key, {shortened} AS path FROM (
        SELECT {key} AS key, {text} AS path, {is_legacy} AS is_legacy, {is_production} AS is_production
        FROM {table} AS t WHERE {range} ORDER BY {order} LIMIT {rows}
    ) AS all_rows
    WHERE path <> '' AND is_legacy IS NOT TRUE AND is_production IS NOT TRUE LIMIT {most}
) AS page
"""
_SHORTENED = sql.SQL("left(path, {})").format(sql.Literal(LONGEST_PATH_CHARS))

_ANY: LiteralString = """
SELECT coalesce(bool_or({is_legacy} OR {is_production}), false) FROM {table} AS t {sampled}
"""


async def rows_of_neither(
    connection: AsyncConnection, table: Table, key_range: KeyRange, mapping: Mapping, *, rows: int, most: int
) -> list[Reference]:
    """Return up to ``most`` of the next ``rows`` rows of a key range: with a path, and on neither side."""
    condition, values = in_range(table, key_range)
    sides, patterns = of_both_sides(table, mapping)
    cursor = connection.cursor(binary=True)

    async def read(*, stored: bool) -> list[Reference]:
        names = columns(table, stored=stored)
        shortened = sql.SQL("path") if stored else _SHORTENED  # characters that cannot be read cannot be counted
        limits = {"rows": sql.Literal(rows), "most": sql.Literal(most)}
        text = table.value.text()
        statement = table.compose(_NEITHER, range=condition, shortened=shortened, text=text, **sides, **limits, **names)
        found: list[Any] = await (await cursor.execute(statement, {**values, **patterns})).fetchall()
        return [Reference(key, path or "") for key, path in (decode(table, found) if stored else found)]

    return await read_either(connection, table, read)


@dataclass(slots=True)
class Others:
    """Collects up to ``wanted`` rows on neither side, from pages that were counted."""

    mapping: Mapping
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
        found = await references.session.run(read, references.table, key_range, self.mapping, doing=doing)
        self.rows += found[:most]


class Recognised(NamedTuple):
    """Whether a row of a table is on either side; if none is, whether rows have a text that is not empty."""

    is_recognised: bool
    has_paths: bool


async def is_any_on_a_side(references: References, others: Others, say: Callable[[str], None]) -> Recognised:
    """Say whether a row is on either side; if none is, all of the table was read, which is said beforehand.

    ``others`` collects from what was read on the way. Raises what ``Session.run`` raises.
    """
    after, looked_at, sampled, paths = KeyRange(), 0, not is_told(others.mapping), 0
    size = PageSize(SAMPLED_BLOCKS, most=SAMPLED_BLOCKS)
    async for page in references.counted_pages(KeyRange(), others.mapping):
        if page.legacy or page.production:
            return Recognised(is_recognised=True, has_paths=True)
        paths += page.paths
        await others.take(references, page, after)
        after = KeyRange(page.last_key)
        looked_at += page.rows
        if looked_at >= FIRST_ROWS and not sampled and not references.table.is_view:
            sampled = True
            args = references.table, others.mapping
            if (await read_in_time(references.session, size, _sampled, *args, doing="sampling the paths")).found:
                return Recognised(is_recognised=True, has_paths=True)
            say("No path is recognised so far: reading through the table for one that begins with either prefix.")
    return Recognised(is_recognised=False, has_paths=paths > 0)


class _Sampled(NamedTuple):
    rows: int
    found: bool


async def _sampled(connection: AsyncConnection, table: Table, mapping: Mapping, blocks: int) -> _Sampled:
    percent = min(100.0, 100.0 * blocks / max(1, await count_blocks(connection, table)))
    sides, patterns = of_both_sides(table, mapping)
    statement = table.compose(_ANY, sampled=table.sampled(percent), **sides)
    row: Any = await (await connection.execute(statement, patterns)).fetchone()
    return _Sampled(blocks, bool(row[0]))
