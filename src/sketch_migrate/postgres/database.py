"""The database as its sessions share it: how many connections there are, and whether it is away."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import psycopg

from sketch_migrate.errors import DatabaseUnreachable
from sketch_migrate.postgres.faults import connect_failure
from sketch_migrate.postgres.parameters import parameters, place_named, too_old
from sketch_migrate.postgres.session import Session

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping

    from sketch_migrate.postgres.session import Connection
    from sketch_migrate.settings import Settings

log = logging.getLogger(__name__)


class Outage:
    """Says once that the database (``name``, in messages) is away, and once that it is back.

    However many sessions notice.
    """

    def __init__(self, name: str = "database") -> None:
        self.since: float | None = None
        self._name = name

    def begin(self, reason: str, now: float, patience_seconds: float) -> None:
        """Note that a session lost the database."""
        if self.since is None:
            self.since = now
            log.warning("The %s is away (%s); waiting up to %.0f s for it.", self._name, reason, patience_seconds)

    def end(self, now: float) -> None:
        """Note that a session reached the database."""
        if self.since is not None:
            log.warning("The %s is back after %.0f s.", self._name, now - self.since)
            self.since = None


class Database:
    """How to reach the database, and what its sessions share. ``stopping`` ends every wait for it.

    ``reached_by`` are libpq's parameters, and ``name`` what messages call it, where it is not that of the references.
    ``kept`` connections of sessions that are over serve the next ones, until ``close``: one costs 5 ms of CPU.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        stopping: asyncio.Event,
        reached_by: Mapping[str, Any] | None = None,
        name: str = "database",
        kept: int = 0,
    ) -> None:
        self.settings = settings
        self.outage = Outage(name)
        self.stopping = stopping
        self._parameters = parameters(settings) if reached_by is None else dict(reached_by)
        self._kept = kept
        self._idle: list[Connection] = []

    @property
    def where(self) -> str:
        """Host, port and database as far as they are set, for messages."""
        return place_named(self._parameters)

    async def connect(self) -> Connection:
        """Open a connection. Raises ``DatabaseUnreachable`` or ``DatabaseRefused``."""
        try:
            # prepared statements are session state, which a transaction pooler does not keep
            connection = await psycopg.AsyncConnection.connect(
                autocommit=True, prepare_threshold=None, **self._parameters
            )
        except psycopg.Error as error:
            raise connect_failure(error, self.where) from error
        except OSError as error:  # psycopg resolves host names itself
            raise DatabaseUnreachable(
                f"no connection to the database at {self.where}: {error}", hint="Look at DB_HOST and DB_PORT."
            ) from error
        if (refusal := too_old(connection.info.server_version, self.where)) is not None:
            await connection.close()
            raise refusal
        return connection

    async def take(self) -> Connection:
        """Return a connection that a session has left, or a new one. Raises what ``connect`` raises."""
        while self._idle:
            if not (connection := self._idle.pop()).closed:
                return connection
        return await self.connect()

    async def leave(self, connection: Connection) -> None:
        """Keep a connection for another session, or close it."""
        room = len(self._idle) < self._kept
        if room and connection.pgconn.transaction_status == psycopg.pq.TransactionStatus.IDLE:
            self._idle.append(connection)
        else:
            await connection.close()

    async def close(self) -> None:
        """Close the connections that are kept."""
        while self._idle:
            await self._idle.pop().close()

    def session(self) -> Session:
        """Return a new session; it connects when it is first used."""
        return Session(self)
