"""A flip that is rolled back: what the table would do with it, told in 2 to 23 ms.

Nothing of it stays in the table but a dead row and its WAL. What a trigger did outside the transaction (a sequence's
next number, a mail) stays as well: see docs/rollback.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, LiteralString, TypeVar

import psycopg
from psycopg import sql

from sketchmigrate.core.outcome import ANOTHER_PATH, LEFT_AS_IT_WAS
from sketchmigrate.core.reference import Key, KeyRange, Reference
from sketchmigrate.postgres import structure
from sketchmigrate.postgres.faults import describe
from sketchmigrate.postgres.flip import flip, free_rows, stored_otherwise
from sketchmigrate.postgres.limits import Limits
from sketchmigrate.postgres.pages import read_page
from sketchmigrate.postgres.references import look_up
from sketchmigrate.postgres.statistics import histogram

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from psycopg import AsyncConnection

    from sketchmigrate.core.mapping import Mapping, Move
    from sketchmigrate.postgres.session import Session
    from sketchmigrate.postgres.table import Table

T = TypeVar("T")

LIMITS = Limits(lock_ms=50, statement_ms=2_000, idle_ms=1_000)
"""Of a trial: it waits for nobody, and holds a row for no longer than this."""

PAGE_ROWS = 1_000
"""Rows that are looked at in each place."""

HIDDEN = "row hidden from updates"
STILL_LEGACY = "still legacy"

_LOCKED = frozenset({"55P03", "40P01", "40001"})
_STATEMENT_TIMEOUT = "57014"

_MEETS: LiteralString = "SELECT {meets} FROM {table} AS t WHERE {among}"

_REMARK: LiteralString = "/* trial flip, to be rolled back */ "


@dataclass(frozen=True, slots=True)
class Tried:
    """What became of one row: ``cause`` is the SQLSTATE or the kind of its refusal, ``words`` say more; or both empty.

    ``milliseconds`` is how long the update took, with all that fires on it.
    """

    reference: Reference
    new_path: str
    milliseconds: float
    cause: str = ""
    words: str = ""


@dataclass(frozen=True, slots=True)
class Possible:
    """Whether a trial can be made: ``obstacle`` says why not, or is empty.

    ``hides_rows``: row-level security applies. ``fires``: the table has triggers of users on UPDATE.
    """

    obstacle: str
    hides_rows: bool
    fires: bool


async def is_possible(connection: AsyncConnection, table: Table) -> Possible:
    """Look whether this server and this user can update the path. Raises ``DatabaseRefused`` if the table is gone."""
    relation = await structure.find(connection, sql.Identifier(*table.name).as_string(connection))
    if relation is None:
        raise structure.gone()
    columns = await structure.columns_of(connection, relation)
    if any(name not in columns for name in table.written):
        raise structure.gone()
    fires = bool((await structure.on_update(connection, relation, table.written)).triggers)
    obstacle = ""
    if relation.is_standby or relation.is_read_only:
        obstacle = "the database takes no writes"
    elif not all(columns[name].may_update for name in table.written):
        obstacle = f"user {relation.user} lacks the right to UPDATE"
    return Possible(obstacle, relation.hides_rows, fires)


async def spread_references(
    connection: AsyncConnection, table: Table, mapping: Mapping, places: int
) -> list[list[Reference]]:
    """Return legacy references from up to so many places of the table, those of one place together.

    Reads a page at each place, which the planner's statistics of the key name. Within one transaction.
    """
    bounds = await histogram(connection, table)
    starts: list[Key | None] = [None]
    starts += [bounds[len(bounds) * place // places] for place in range(1, places)] if bounds else []
    found: dict[Key, Reference] = {}
    for start in starts:
        page = await read_page(connection, table, KeyRange(after=start), mapping, rows=PAGE_ROWS)
        found |= {reference.key: reference for reference in page.references}
    references = list(found.values())
    share = -(-len(references) // places)
    return [references[first : first + share] for first in range(0, len(references), share or 1)]


async def try_flip(session: Session, table: Table, move: Move, *, hides_rows: bool) -> Tried | None:
    """Flip one row, fire what is deferred, read it again, and roll back. None: the row was not free, or is not legacy.

    ``hides_rows`` says that row-level security applies, which can hide a row from an update alone. What the server
    says against it is in the answer; raises what ``Session.run`` raises where the connection does not last.
    """
    clock = session.clock
    began = clock.monotonic()

    def tried(cause: str = "", words: str = "") -> Tried:
        return Tried(move.reference, move.new_path, (clock.monotonic() - began) * 1000, cause, words)

    async def work(connection: AsyncConnection) -> Tried | None:
        nonlocal began
        now = await look_up(connection, table, [move.reference.key])  # brings the page into memory as well
        if now.get(move.reference.key) != move.reference.path:
            return None
        began = clock.monotonic()
        try:
            return await _flip_and_look(connection, table, move, tried, hides_rows=hides_rows)
        except psycopg.Error as error:
            if connection.closed or error.sqlstate is None:
                raise
            if error.sqlstate in _LOCKED:
                return None
            if error.sqlstate == _STATEMENT_TIMEOUT:
                return tried()
            return tried(error.sqlstate, _words(error))

    return await _rolled_back(session, work)


async def _flip_and_look(
    connection: AsyncConnection, table: Table, move: Move, tried: Callable[..., Tried], *, hides_rows: bool
) -> Tried | None:
    key = move.reference.key
    answer = await flip(connection, table, [move], checks=True, remark=_REMARK)
    if key in answer.flipped:
        if await _is_still_legacy(connection, table, move):
            return tried(STILL_LEGACY, "the row meets the condition of the settings as it did before")
        return tried()
    if key in answer.held_back:
        return tried(LEFT_AS_IT_WAS, "a trigger or a policy of row-level security left the row as it was")
    if key in answer.stored:
        return tried(ANOTHER_PATH, str(stored_otherwise(move, answer.stored[key])))
    # a row that can be read, and cannot be locked although nobody holds it
    if hides_rows and not await free_rows(connection, table, [move.reference], waits=True):
        return tried(HIDDEN, "a policy of row-level security hides it from updates")
    return None


async def _is_still_legacy(connection: AsyncConnection, table: Table, move: Move) -> bool:
    """Whether a row that was flipped meets a condition that says which rows are legacy."""
    if not (table.value.sets and table.value.where):
        return False
    statement = table.compose(_MEETS, meets=table.value.meets())
    keys = [table.key_after(move.reference.key, move.new_path)]
    row = await (await connection.cursor(binary=True).execute(statement, [keys])).fetchone()
    return row is not None and bool(row[0])


def _words(error: psycopg.Error) -> str:
    """Return the server's words and, where a function raised them, which."""
    where = [line for line in (error.diag.context or "").splitlines() if line.startswith(("PL/", "SQL function"))]
    return describe(error) + (f" ({where[0]})" if where else "")


class _RolledBack(Exception):
    """Ends a transaction, with a result."""

    def __init__(self, result: Any) -> None:  # noqa: ANN401 - whatever the work returned
        super().__init__()
        self.result = result


async def _rolled_back(session: Session, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
    """Run work in a transaction that is rolled back whatever comes, and return its result."""

    async def and_back(connection: AsyncConnection) -> None:
        raise _RolledBack(await work(connection))

    try:
        await session.run(and_back, doing="trying a flip", limits=LIMITS)
    except _RolledBack as done:
        result: T = done.result
        return result
    raise AssertionError  # it never returns
