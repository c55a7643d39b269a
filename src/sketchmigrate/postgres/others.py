"""Which runs are connected to a database, told by the names of their connections. Only reads.

A run that writes is ``sketch-migrate RUN`` in ``pg_stat_activity``, where every role sees every ``application_name``;
the state is seen of connections of its own role alone, or with pg_read_all_stats (PostgreSQL manual, section "The
Cumulative Statistics System"). A lock of our own would tell more surely, but a pooler keeps one after we are gone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, LiteralString, NamedTuple

import psycopg

if TYPE_CHECKING:
    from psycopg import AsyncConnection

APPLICATION = "sketch-migrate"
MOST_BYTES = 63
"""The server cuts a longer ``application_name`` (manual, section "Error Reporting and Logging")."""

_RANDOM_CHARS = 6
"""So many at the end of a run's name tell it from all others."""

_CONNECTED: LiteralString = """
SELECT application_name, count(*), bool_or(nullif(state, 'disabled') <> 'idle'),
       min(extract(epoch FROM clock_timestamp() - state_change))::float8
FROM pg_stat_activity
WHERE datname = current_database() AND application_name LIKE 'sketch-migrate %' AND pid <> pg_backend_pid()
GROUP BY application_name ORDER BY application_name
"""

_IDENTITY: LiteralString = """
SELECT system_identifier || '/' || (SELECT oid FROM pg_database WHERE datname = current_database())
FROM pg_control_system()
"""


class ConnectedRun(NamedTuple):
    """A run that has connections, by its short name (see ``short_name``).

    ``is_busy``: one of them is in a transaction; None where this role may not see that, or nobody (track_activities is
    off). ``idle_seconds`` is how long ago the last of them did something, None as well. A pooler may keep one that is
    idle when its run is over.
    """

    run: str
    connections: int
    is_busy: bool | None
    idle_seconds: float | None


def short_name(run: str) -> str:
    """Return what of a run's name fits into that of a connection; its characters are ASCII. Pure."""
    most = MOST_BYTES - len(APPLICATION) - 1
    return run if len(run) <= most else f"{run[: most - _RANDOM_CHARS - 1]}~{run[-_RANDOM_CHARS:]}"


def application_name(run: str) -> str:
    """Return the name of a run's connections. Pure."""
    return f"{APPLICATION} {short_name(run)}"


async def connected_runs(connection: AsyncConnection) -> list[ConnectedRun]:
    """Return the runs that are connected to this database, the one that asks among them.

    Within one transaction; psycopg's errors pass through.
    """
    rows = await (await connection.execute(_CONNECTED)).fetchall()
    # pgbouncer may put the client's address behind the name (application_name_add_host)
    return [ConnectedRun(name.split(" ")[1], *more) for name, *more in rows]


async def identity_of(connection: AsyncConnection) -> str:
    """Return what tells this database from others, however it is reached; empty where the server does not tell it.

    It is that of the server's files, which its standbys share (manual, section "Control Data Functions"), and so does a
    server that was made of a copy of them. Not within a transaction. psycopg's errors pass through where the connection
    broke.
    """
    try:
        row: Any = await (await connection.execute(_IDENTITY)).fetchone()
    except psycopg.Error:
        if connection.closed:
            raise
        return ""
    return str(row[0])
