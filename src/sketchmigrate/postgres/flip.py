"""The flip: references are set to their new path where their rows are free and still hold the old one.

A flip that waits for one row while it holds the others makes the application wait for all of them. So the statement
takes the rows that are free at once, in the order of the key, and passes the others over (PostgreSQL manual, SELECT,
"The Locking Clause"). It is all that is ever written to the application's table.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, LiteralString

from psycopg import sql

from sketchmigrate.core.reason import Reason, ReasonKind, because
from sketchmigrate.postgres.pipeline import commit_at_once
from sketchmigrate.postgres.references import look_up

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg import AsyncConnection

    from sketchmigrate.core.mapping import Move
    from sketchmigrate.core.reference import Key, Reference
    from sketchmigrate.postgres.limits import Limits
    from sketchmigrate.postgres.patient_connection import PatientConnection
    from sketchmigrate.postgres.table import Table

# The old path is compared byte by byte ("C"), also where the column's collation calls different texts equal. A row that
# is free and not done was held back by a trigger or a policy. The usual answer, all as asked, has no key in it. The two
# are not joined: the planner takes each for a single row, and would compare all with all, which takes longer (for 500
# rows) than the flip.
_FLIP: LiteralString = """{remark}
WITH free AS MATERIALIZED (
    SELECT {free_columns}, v.new_path FROM {table} AS t
    JOIN unnest(%b::{keys}, %b::text[], %b::text[]) AS v(key, old_path, new_path) ON {is_wanted}
    WHERE {value} COLLATE "C" = v.old_path COLLATE "C" AND {meets}
    ORDER BY {order} FOR {strength} OF t {skip_locked}
), done AS (
    UPDATE {table} AS t SET {assignments} FROM free WHERE {is_free}
    RETURNING free.key AS key, {value} AS path,
        coalesce({value} COLLATE "C" = free.new_path COLLATE "C" AND {keeps_key}, false) AS as_asked
)
SELECT count(*) FILTER (WHERE as_asked),
    CASE WHEN count(*) FILTER (WHERE as_asked) < %b::bigint THEN array_agg(key) FILTER (WHERE as_asked) END,
    CASE WHEN count(*) < (SELECT count(*) FROM free)
        THEN (SELECT array_agg(key) FROM (SELECT key FROM free EXCEPT SELECT key FROM done) AS held_back) END,
    array_agg(key) FILTER (WHERE NOT as_asked), array_agg(path) FILTER (WHERE NOT as_asked){if_at_once}
FROM done
"""

# When it began; and where a row came back as something else, it fails, as nobody looks at the answer before COMMIT. The
# server's log then shows this text. It is made of the answer, or the planner would evaluate it beforehand.
_IF_AT_ONCE: LiteralString = """, extract(epoch FROM statement_timestamp())::float8,
    CASE WHEN NOT bool_and(as_asked)
        THEN concat(count(*) FILTER (WHERE NOT as_asked), ' rows are not as asked for: nothing is set')::int END"""

# Locks are taken, and given back with the transaction: whoever asks must end it at once.
_FREE: LiteralString = """
SELECT {key} FROM {table} AS t JOIN unnest(%b::{keys}, %b::text[]) AS v(key, path) ON {is_wanted}
WHERE {value} COLLATE "C" = v.path COLLATE "C" ORDER BY {order} FOR {strength} OF t {skip_locked}
"""

_ALL_CHECKED = b"SET CONSTRAINTS ALL IMMEDIATE"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the database made of a flip that is not committed yet.

    ``flipped`` hold the new path; ``held_back`` were free and left as they were; ``stored`` came back as something
    else than was asked for. All others were locked, or do not hold the old path.
    """

    flipped: frozenset[Key]
    held_back: frozenset[Key] = frozenset()
    stored: dict[Key, str | None] = field(default_factory=dict)


async def flip(
    connection: AsyncConnection,
    table: Table,
    moves: Sequence[Move],
    *,
    waits: bool = False,
    checks: bool = False,
    remark: LiteralString = "",
) -> Answer:
    """Set each reference to its new path, if its row is free and still holds the old one.

    With ``waits`` a row that is locked is waited for, as long as the transaction's lock_timeout allows. Where triggers
    fire afterwards, and with ``checks`` always, what is deferred is done and the rows are read once more. The server's
    log and pg_stat_activity show the ``remark``, an SQL comment, in front of the statement. psycopg's errors pass
    through.
    """
    statement = _flip_statement(table, waits=waits, remark=remark)
    cursor = connection.cursor(binary=True)
    row: Any = await (await cursor.execute(statement, _values(moves))).fetchone()
    answer = _answer(moves, row)
    if (checks or table.fires_after_update) and answer.flipped:
        return await _checked(connection, table, moves, answer)
    return answer


async def flip_at_once(
    connection: PatientConnection, table: Table, moves: Sequence[Move], limits: Limits
) -> tuple[Answer, float | None]:
    """Do the same in a transaction of its own, and commit it, if all rows that are set come back as asked for.

    Only for a table of which nothing fires afterwards. Return the answer, and for how many seconds the rows were
    locked, by the server's clock, if it could be asked. See ``commit_at_once`` for what is raised.
    """
    statement = _flip_statement(table, waits=False, remark="", at_once=True)
    row, ended_at = await commit_at_once(connection, limits, statement, _values(moves))
    *told, began_at, _ = row
    return _answer(moves, told), None if ended_at is None else max(0.0, ended_at - began_at)


def _values(moves: Sequence[Move]) -> list[object]:
    keys = [move.reference.key for move in moves]
    return [keys, [move.reference.path for move in moves], [move.new_path for move in moves], len(keys)]


def _answer(moves: Sequence[Move], row: Sequence[Any]) -> Answer:
    count, flipped, held_back, others, stored = row
    return Answer(
        frozenset([move.reference.key for move in moves] if count == len(moves) else flipped or ()),
        frozenset(held_back or ()),
        dict(zip(others or (), stored or (), strict=True)),
    )


@lru_cache(maxsize=64)
def _flip_statement(table: Table, *, waits: bool, remark: LiteralString, at_once: bool = False) -> bytes:
    """Compose it once for a table: that takes 0.2 ms, which is much for a flip of a few rows."""
    statement = table.compose(
        _FLIP,
        remark=sql.SQL(remark),
        strength=_strength(table),
        skip_locked=_skip_locked(waits=waits),
        meets=table.value.meets(),
        if_at_once=sql.SQL(_IF_AT_ONCE if at_once else ""),
        assignments=table.value.assignments(sql.SQL("free.new_path")),
    )
    return statement.as_bytes()


async def _checked(connection: AsyncConnection, table: Table, moves: Sequence[Move], answer: Answer) -> Answer:
    """Let fire what is deferred, and read the rows again: RETURNING does not see what AFTER triggers do."""
    await connection.execute(_ALL_CHECKED)
    wanted = {move.reference.key: move.new_path for move in moves}
    keys = {key: table.key_after(key, wanted[key]) for key in answer.flipped}
    now = await look_up(connection, table, list(keys.values()))
    changed = {key: now.get(new_key) for key, new_key in keys.items() if now.get(new_key) != wanted[key]}
    return Answer(answer.flipped - changed.keys(), answer.held_back, answer.stored | changed)


def stored_otherwise(move: Move, path: str | None) -> Reason:
    """Say what the database made of a row instead of what was asked for; ``path`` is what it stored. Pure."""
    if path is None:
        return because(ReasonKind.PATH_TAKEN_AWAY)
    if path == move.new_path:
        return because(ReasonKind.KEY_CHANGED)
    return because(ReasonKind.ANOTHER_PATH_STORED, path=path)


async def free_rows(
    connection: AsyncConnection, table: Table, references: Sequence[Reference], *, waits: bool = False
) -> set[Key]:
    """Return the keys of the references whose rows nobody has locked, or ``waits`` for those.

    Locks them until the transaction's end.
    """
    values = [[reference.key for reference in references], [reference.path for reference in references]]
    statement = table.compose(_FREE, strength=_strength(table), skip_locked=_skip_locked(waits=waits))
    cursor = connection.cursor(binary=True)
    await cursor.execute(statement, values)
    return {key for (key,) in await cursor.fetchall()}


async def free_or_changed(
    connection: AsyncConnection, table: Table, references: Sequence[Reference]
) -> list[Reference]:
    """Return the references whose rows nobody has locked any more, or somebody has changed. Locks the free ones."""
    now = await look_up(connection, table, [reference.key for reference in references])
    free = await free_rows(connection, table, references)  # last, as it locks them
    return [each for each in references if each.key in free or now.get(each.key) != each.path]


def _strength(table: Table) -> sql.SQL:
    """Return the lock that the UPDATE itself takes: with a weaker one it would wait for checks of foreign keys."""
    return sql.SQL("UPDATE" if table.path_is_unique else "NO KEY UPDATE")


def _skip_locked(*, waits: bool) -> sql.SQL:
    return sql.SQL("" if waits else "SKIP LOCKED")
