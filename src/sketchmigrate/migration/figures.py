"""What a migration measures of itself: at which rate, with how much WAL, in which time a flip.

The first thousand rows are a rehearsal: the next plan reckons with it.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, NamedTuple

from sketchmigrate.core.errors import DatabaseError
from sketchmigrate.ledger.figures import RunFigures

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg import AsyncConnection

    from sketchmigrate.migration.flipping import FlipControl
    from sketchmigrate.postgres.database import Database

log = logging.getLogger(__name__)


class Moment(NamedTuple):
    """How long the log is at a time (monotonic, seconds)."""

    at: float
    wal_bytes: int


async def moment(database: Database) -> Moment | None:
    """Look at the log's length; None where that cannot be read now, which is no matter of the run's."""
    try:
        async with database.session() as session:
            wal_bytes = await session.run(_wal_bytes, doing="looking at the length of the log", attempts=0)
    except DatabaseError as error:
        log.debug("How much WAL the run writes is not known: %s", error)
        return None
    return Moment(database.clock.monotonic(), wal_bytes)


async def _wal_bytes(connection: AsyncConnection) -> int:
    cursor = await connection.execute("SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint")
    row: Any = await cursor.fetchone()
    return int(row[0])


def reckon(
    idle: tuple[Moment | None, Moment | None],
    began: Moment | None,
    ended: Moment | None,
    flips: int,
    controls: Sequence[FlipControl],
    *,
    stopped_seconds: float = 0.0,
) -> RunFigures | None:
    """Return what a run measured between two moments; between the ``idle`` ones before, only others wrote. Pure.

    The time in which it was stopped, by a person or for the database's sake, tells nothing of its rate.
    """
    if began is None or ended is None or not flips or ended.at - began.at <= stopped_seconds:
        return None
    seconds, wal_bytes = ended.at - began.at, float(ended.wal_bytes - began.wal_bytes)
    first, last = idle
    if first is not None and last is not None and last.at > first.at:
        of_others = (last.wal_bytes - first.wal_bytes) / (last.at - first.at)
        wal_bytes = max(0.0, wal_bytes - of_others * seconds)
    timed = sum(each.timed_flips for each in controls)
    return RunFigures(
        flips,
        round(seconds - stopped_seconds, 3),
        round(wal_bytes),
        round(1000 * sum(each.timed_seconds for each in controls) / timed, 2) if timed else None,
        round(sum(each.timed_rows for each in controls) / timed, 1) if timed else None,
    )
