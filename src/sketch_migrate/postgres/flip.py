"""The flip: references are set to their new path where they still hold the old one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, LiteralString

from sketch_migrate.postgres.texts import columns, decode, read_either

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sketch_migrate.model import Key, Move
    from sketch_migrate.postgres.session import Connection
    from sketch_migrate.postgres.table import Table

# The old path is compared byte by byte ("C"), also where the column's collation calls different texts equal.
# A trigger may store something else than was asked for: the second column of the answer tells.
_FLIP: LiteralString = """
UPDATE {table} AS t SET {path} = v.new_path
FROM unnest(%b::{key_type}[], %b::text[], %b::text[]) AS v(key, old_path, new_path)
WHERE t.{key} = v.key AND t.{path}::text = v.old_path COLLATE "C"
RETURNING t.{key}, t.{path}::text = v.new_path COLLATE "C"
"""

_LOOK_UP: LiteralString = """
SELECT {found_key}, {found_path} FROM (
    SELECT {key} AS key, {path}::text AS path FROM {table} WHERE {key} = ANY(%b::{key_type}[])
) AS page
"""


@dataclass(frozen=True, slots=True)
class Flipped:
    """What became of a batch of flips: each key is in exactly one of the sets.

    ``refused`` maps a key to the reason why the database left the row as it was, or stored something else.
    """

    flipped: frozenset[Key]
    already: frozenset[Key]
    superseded: frozenset[Key]
    refused: dict[Key, str]


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

    async def read(*, stored: bool) -> dict[Key, str | None]:
        statement = table.compose(_LOOK_UP, **columns(table, stored=stored))
        found: list[Any] = await (await cursor.execute(statement, [list(keys)])).fetchall()
        return dict(decode(table, found) if stored else found)

    return await read_either(connection, table, read)
