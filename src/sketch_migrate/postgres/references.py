"""References in the table: pages of them by primary key, the flip, and the counts.

The statements below are all that the tool ever says to the application's table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, LiteralString

from psycopg import sql

from sketch_migrate.model import Key, KeyRange, Move, Reference, make_all

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sketch_migrate.postgres.connection import Connection

SCAN_ROWS = 10_000
"""Rows that one page looks at. Bounded, so that a table whose first hundred million rows are done is passed in short
statements; large enough that a page of legacy rows feeds many iterations. A page of 10 000 takes the server ~10 ms."""

_PAGE: LiteralString = """
WITH page AS MATERIALIZED (
    SELECT {key} AS key, {path}::text AS path FROM {table} WHERE {range} ORDER BY {key} LIMIT {rows}
)
SELECT count(*), (SELECT key FROM page ORDER BY key DESC LIMIT 1),
       array_agg(key) FILTER (WHERE starts_with(path, %(prefix)s)),
       array_agg(path) FILTER (WHERE starts_with(path, %(prefix)s))
FROM page
"""

_FIRST_LEGACY: LiteralString = """
SELECT path FROM (SELECT {path}::text AS path FROM {table} ORDER BY {key} LIMIT {rows}) AS page
WHERE starts_with(path, %s) LIMIT 1
"""

# The old path is compared byte by byte ("C"), also where the column's collation calls different texts equal.
# A trigger may store something else than was asked for: the second column of the answer tells.
_FLIP: LiteralString = """
UPDATE {table} AS t SET {path} = v.new_path
FROM unnest(%b::{key_type}[], %b::text[], %b::text[]) AS v(key, old_path, new_path)
WHERE t.{key} = v.key AND t.{path}::text = v.old_path COLLATE "C"
RETURNING t.{key}, t.{path}::text = v.new_path COLLATE "C"
"""

_LOOK_UP: LiteralString = "SELECT {key}, {path}::text FROM {table} WHERE {key} = ANY(%b::{key_type}[])"

_COUNT: LiteralString = """
SELECT count(*) FILTER (WHERE starts_with({path}::text, %s)), count(*) FILTER (WHERE starts_with({path}::text, %s)),
       count(*)
FROM {table}
"""


@dataclass(frozen=True, slots=True)
class Table:
    """The table as the catalog describes it.

    ``key_type`` is the key column's SQL type, ``max_path_chars`` the path column's length or None, ``estimated_rows``
    the planner's estimate or None where the table was never analysed. ``notices`` are facts that bear on a migration
    and that a person should know: triggers, row-level security.
    """

    name: tuple[str, ...]
    key_column: str
    path_column: str
    key_type: str
    max_path_chars: int | None = None
    estimated_rows: int | None = None
    notices: tuple[str, ...] = ()

    def compose(self, template: LiteralString, **more: sql.Composable) -> sql.Composed:
        """Fill a statement's names in, quoted."""
        return sql.SQL(template).format(
            table=sql.Identifier(*self.name),
            key=sql.Identifier(self.key_column),
            path=sql.Identifier(self.path_column),
            key_type=sql.SQL(self.key_type),  # format_type() of the server's own catalog
            **more,
        )


@dataclass(frozen=True, slots=True)
class Page:
    """``rows`` rows of the table that were looked at, up to ``last_key``, and the legacy references among them."""

    rows: int
    last_key: Key | None
    references: list[Reference]


@dataclass(frozen=True, slots=True)
class Flipped:
    """What became of a batch of flips: each key is in exactly one of the sets.

    ``refused`` maps a key to the reason why the database left the row as it was, or stored something else.
    """

    flipped: frozenset[Key]
    already: frozenset[Key]
    superseded: frozenset[Key]
    refused: dict[Key, str]


async def read_page(connection: Connection, table: Table, key_range: KeyRange, prefix: str, *, rows: int) -> Page:
    """Look at the next ``rows`` rows of a key range, in the order of the key; an empty page is the end of the range."""
    condition, values = in_range(table, key_range)
    statement = table.compose(_PAGE, range=condition, rows=sql.Literal(rows))
    cursor = connection.cursor(binary=True)
    row = await (await cursor.execute(statement, {**values, "prefix": prefix})).fetchone()
    looked_at, last_key, keys, paths = row if row is not None else (0, None, None, None)
    references = make_all(Reference, zip(keys or (), paths or (), strict=True))
    return Page(looked_at, last_key, references)


async def first_legacy_path(connection: Connection, table: Table, prefix: str, *, rows: int) -> str | None:
    """Return a legacy path from among the first ``rows`` rows, in the order of the key; None if there is none."""
    statement = table.compose(_FIRST_LEGACY, rows=sql.Literal(rows))
    row = await (await connection.execute(statement, [prefix])).fetchone()
    return row[0] if row else None


def in_range(table: Table, key_range: KeyRange) -> tuple[sql.Composed, dict[str, Key]]:
    """Return the condition that a key is in the range, and the values that it names."""
    conditions: list[sql.Composable] = [sql.SQL("true")]
    values: dict[str, Key] = {}
    for bound, operator, value in (("after", ">", key_range.after), ("until", "<=", key_range.until)):
        if value is not None:
            condition = table.compose("{key} " + operator + " {bound}::{key_type}", bound=sql.Placeholder(bound))
            conditions.append(condition)
            values[bound] = value
    return sql.SQL(" AND ").join(conditions), values


async def flip(connection: Connection, table: Table, moves: Sequence[Move]) -> Flipped:
    """Set each reference to its new path, if it still holds the old one; say what happened to the others.

    In the order of the keys, so that two runs rarely wait for each other in a circle. psycopg's errors pass through.
    """
    wanted = {move.reference.key: move for move in moves}
    keys = list(wanted)
    old_paths = [move.reference.path for move in wanted.values()]
    new_paths = [move.new_path for move in wanted.values()]
    cursor = connection.cursor(binary=True)
    await cursor.execute(table.compose(_FLIP), [keys, old_paths, new_paths])
    answers: dict[Key, bool] = dict(await cursor.fetchall())
    if len(answers) == len(wanted) and all(answers.values()):
        return Flipped(frozenset(answers), frozenset(), frozenset(), {})
    refused = {key: "a trigger stored another path" for key, as_asked in answers.items() if not as_asked}
    flipped = frozenset(answers.keys() - refused.keys())
    absent = [key for key in keys if key not in answers]
    if not absent:
        return Flipped(flipped, frozenset(), frozenset(), refused)
    now = await look_up(connection, table, absent)
    already = frozenset(key for key in absent if now.get(key) == wanted[key].new_path)
    held_back = {key for key in absent if now.get(key) == wanted[key].reference.path}
    refused |= dict.fromkeys(held_back, "a trigger or row-level security left the row as it was")
    return Flipped(flipped, already, frozenset(absent) - already - held_back, refused)


async def look_up(connection: Connection, table: Table, keys: Sequence[Key]) -> dict[Key, str | None]:
    """Return the path that each row holds now; a row that is gone is absent."""
    cursor = connection.cursor(binary=True)
    await cursor.execute(table.compose(_LOOK_UP), [list(keys)])
    return dict(await cursor.fetchall())


async def count_sides(connection: Connection, table: Table, legacy: str, production: str) -> tuple[int, int, int]:
    """Count the rows of the legacy side, of the production side, and all of them, in one query."""
    row: Any = await (await connection.execute(table.compose(_COUNT), [legacy, production])).fetchone()
    return row[0], row[1], row[2]
