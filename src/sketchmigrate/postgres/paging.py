"""Reading that is bounded in time: what a page holds follows from how long the ones before it took.

A statement that reads for long keeps a lock on the table for as long. An ALTER TABLE waits behind it, and whatever the
application does to the table waits behind that (PostgreSQL manual, "Table-Level Locks"). Rows cost a microsecond each
where they are in memory, and ten milliseconds where each is a disk's seek: so no number of rows is right everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar, TypeVarTuple

import psycopg

from sketchmigrate.postgres.session import CONTENTION_ATTEMPTS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from psycopg import AsyncConnection

    from sketchmigrate.core.clock import Clock
    from sketchmigrate.postgres.session import Session

TARGET_SECONDS = 0.25
"""What a page is to take, at most."""

FEWEST_ROWS = 100
MOST_ROWS = 10_000
"""A page of 10 000 rows in memory takes the server 10 ms at most. So many references are in memory at once."""

MOST_ROWS_PASSED = 4 * MOST_ROWS
"""Of a page behind one that had few legacy rows: a finished row takes 0.28 µs of CPU, client and server, for 0.35."""

GROWTH = 4
"""From the fewest to the most rows in four pages: one fast page says little of the next."""

LONGEST = 4
"""So many times what it is to take a page may take, then it is broken off and asked again smaller."""

_LONGEST_MS = round(1000 * LONGEST * TARGET_SECONDS)


class Page(Protocol):
    """What one read brought; ``rows`` are those that it took time for."""

    @property
    def rows(self) -> int:
        """How many rows were looked at."""


P = TypeVar("P", bound=Page)
K = TypeVar("K")
Ts = TypeVarTuple("Ts")


@dataclass(slots=True)
class PageSize:
    """How many rows the next page is to look at. Pure: it is told how long pages took."""

    rows: int = FEWEST_ROWS
    most: int = MOST_ROWS

    def took(self, rows: int, seconds: float) -> None:
        """Learn from a page of so many rows, which may be fewer than were asked for."""
        if rows <= 0:
            return
        in_time = rows * TARGET_SECONDS / max(seconds, 1e-6)
        self._set(min(in_time, self.rows * GROWTH))

    def was_broken_off(self) -> None:
        """Learn that a page took ``LONGEST`` times what it may: so its rate is below that."""
        self._set(self.rows / LONGEST)

    def found(self, references: int, rows: int) -> None:
        """Learn how many of a page's rows were legacy: with so few the next page may be larger."""
        self.most = MOST_ROWS_PASSED if references * MOST_ROWS_PASSED <= rows * MOST_ROWS else MOST_ROWS
        self._set(self.rows)

    @property
    def is_least(self) -> bool:
        """Whether no page is smaller: then it has to be read, however long it takes."""
        return self.rows <= FEWEST_ROWS

    def _set(self, rows: float) -> None:
        self.rows = round(min(max(rows, FEWEST_ROWS), self.most))


class _BrokenOff(Exception):
    """The server ended a statement at its time limit."""


class PageTooSlow(Exception):
    """Not even the smallest page came in ``LONGEST`` times what it may take: what it reads has no bound."""


class _Asked(NamedTuple):
    """How many rows are asked for, and whether that has the time limit of the settings, and is not broken off."""

    rows: int
    is_last_try: bool


async def read_in_time(
    session: Session,
    size: PageSize,
    read: Callable[[AsyncConnection, *Ts, int], Awaitable[P]],
    *args: *Ts,
    doing: str,
    attempts: int = CONTENTION_ATTEMPTS,
    is_bounded: bool = True,
) -> P:
    """Read one page of up to ``size.rows`` rows, in a transaction of its own, and let ``size`` learn from it.

    ``read`` is given the connection, ``args`` and how many rows. A page that reaches its time limit is asked again,
    smaller; the smallest has the limit of the settings, or where what it reads is not ``is_bounded`` by its rows the
    same limit: then ``PageTooSlow`` is raised. ``attempts`` and what is raised besides are those of ``Session.run``.
    """
    while True:
        asked = _Asked(size.rows, is_last_try=size.is_least and is_bounded)
        limits = None if asked.is_last_try else session.limits.with_statements_of(_LONGEST_MS)
        try:
            page, seconds = await session.run(
                _timed, session.clock, asked, read, args, doing=doing, limits=limits, attempts=attempts
            )
        except _BrokenOff:
            if size.is_least:
                raise PageTooSlow from None
            size.was_broken_off()
            continue
        size.took(page.rows, seconds)
        return page


async def _timed(
    connection: AsyncConnection,
    clock: Clock,
    asked: _Asked,
    read: Callable[[AsyncConnection, *Ts, int], Awaitable[P]],
    args: tuple[*Ts],
) -> tuple[P, float]:
    began = clock.monotonic()
    try:
        page = await read(connection, *args, asked.rows)
    except psycopg.errors.QueryCanceled as error:
        if asked.is_last_try:
            raise
        raise _BrokenOff from error
    return page, clock.monotonic() - began


class _Found(NamedTuple):
    rows: int
    answers: dict[Any, str | None]


async def look_up_in_time(
    session: Session,
    size: PageSize,
    keys: Sequence[K],
    look: Callable[[AsyncConnection, *Ts, Sequence[K]], Awaitable[dict[K, str | None]]],
    *args: *Ts,
    doing: str,
) -> dict[K, str | None]:
    """Look rows up by their keys, so many at once as ``size`` says; return what ``look`` returns for all of them."""
    answers: dict[K, str | None] = {}
    done = 0

    async def read(connection: AsyncConnection, rows: int) -> _Found:
        some = keys[done : done + rows]
        return _Found(len(some), await look(connection, *args, some))

    while done < len(keys):
        found = await read_in_time(session, size, read, doing=doing)
        answers |= found.answers
        done += found.rows
    return answers
