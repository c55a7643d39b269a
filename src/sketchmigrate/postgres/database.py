"""The database as its sessions share it: its connections, whether it is away, and what holds it up."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

import psycopg

from sketchmigrate.core.errors import DatabaseUnreachable
from sketchmigrate.postgres.connections import Connections
from sketchmigrate.postgres.faults import connect_failure
from sketchmigrate.postgres.gate import Gate
from sketchmigrate.postgres.lookout import Lookout
from sketchmigrate.postgres.parameters import CONNECT_TIMEOUT_SECONDS, parameters, place_named, too_old
from sketchmigrate.postgres.session import Limits, PatientConnection, Session
from sketchmigrate.postgres.vigil import hung_up_after
from sketchmigrate.postgres.waits import Waits

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping, Sequence

    from sketchmigrate.settings import Settings

log = logging.getLogger(__name__)


class Outage:
    """Says once that the database (``name``, in messages) is away, and once that it is back.

    However many sessions notice, and whenever: ``ended`` counts the outages that are over, and a session that did its
    last work before the end of one learns of no other by a connection that broke then.
    """

    def __init__(self, name: str = "database") -> None:
        self.since: float | None = None
        self.ended = 0
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
            self.ended += 1


class Database:
    """How to reach the database, and what its sessions share. ``stopping`` ends every wait for it.

    ``for_writing`` says that it is away for as long as it takes no writes.
    ``reached_by`` are libpq's parameters, and ``name`` what messages call it, where it is not that of the references.
    ``kept`` connections of sessions that are over serve the next ones, until ``close``: one costs 5 ms of CPU.

    ``watched`` are the tables (as SQL names them) for whose lock is waited as long as for a database that is away;
    ``tables`` is what messages call them, where it is not the table of the references.
    ``demand`` says, for a person, how many connections are wanted. ``losses`` counts connections that broke at work.
    ``notices`` are facts of the server that a person should know. ``waits`` are what holds, or held, the run up.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        stopping: asyncio.Event,
        reached_by: Mapping[str, Any] | None = None,
        name: str = "database",
        for_writing: bool = False,
        kept: int = 0,
        watched: Sequence[str] = (),
        tables: str = "",
    ) -> None:
        self.settings = settings
        self.tables = tables or settings.db_table
        self.limits = Limits.usual(settings)
        self.for_writing = for_writing
        self.outage = Outage(name)
        self._name = name
        self.stopping = stopping
        self.watched = tuple(watched)
        self.demand = "A connection for each session is wanted"
        self.notices: tuple[str, ...] = ()
        self.waits = Waits()
        self.gate = Gate()
        self.lookout = Lookout(self)
        self.connections = Connections(self, kept)
        self.units = self.at_work = self.losses = 0
        self._parameters = parameters(settings) if reached_by is None else dict(reached_by)

    @property
    def where(self) -> str:
        """Host, port and database as far as they are set, for messages."""
        return place_named(self._parameters)

    async def connect(self) -> PatientConnection:
        """Open a connection and hear its first answer. Raises ``DatabaseUnreachable`` or ``DatabaseRefused``.

        A pooler that is full takes the connection, and lets the first question wait.
        """
        try:
            # prepared statements are session state, which a transaction pooler does not keep
            connection = await PatientConnection.connect(autocommit=True, prepare_threshold=None, **self._parameters)
        except psycopg.Error as error:
            raise connect_failure(error, self.where, self._name) from error
        except OSError as error:  # psycopg resolves host names itself
            raise DatabaseUnreachable(
                f"no connection to the {self._name} at {self.where}: {error}", hint="Look at DB_HOST and DB_PORT."
            ) from error
        if (refusal := too_old(connection.info.server_version, self.where, self._name)) is not None:
            await connection.close()
            raise refusal
        try:
            with hung_up_after(CONNECT_TIMEOUT_SECONDS, connection):
                row: Any = await (await connection.execute(_DEADLOCK_TIMEOUT)).fetchone()
        except psycopg.Error as error:
            await connection.close()
            raise connect_failure(error, self.where, self._name) from error
        except TimeoutError as error:
            await connection.close()
            raise DatabaseUnreachable(f"the {self._name} does not answer ({self.where})") from error
        except BaseException:
            await connection.close()
            raise
        self._keep_below(int(row[0]))
        return connection

    async def leave(self, connection: PatientConnection) -> None:
        """Keep a connection for another session, or close it."""
        await self.connections.leave(connection)

    async def close(self) -> None:
        """Close the connections that are kept."""
        await self.lookout.close()
        await self.connections.close()

    def session(self) -> Session:
        """Return a new session; it connects when it is first used."""
        return Session(self)

    def worked(self) -> None:
        """Take note that a session did a unit of work."""
        self.units += 1
        if self.connections.is_short:
            self.connections.worked()

    def told_wait(self, cause: object, what: str, text: str, *, since: float | None = None) -> bool:
        """Take note of what holds the run up, and say it when it is time; return whether it was said. See ``Waits``."""
        said = self.waits.seen(cause, what, text, time.monotonic(), since=since)
        if said:
            log.warning("The run %s.", said) if said.startswith("waits") else log.warning("%s.", said)
        return bool(said)

    def _keep_below(self, deadlock_timeout_ms: int) -> None:
        """Wait for locks no longer than half of the server's time to look for deadlocks: else it ends somebody."""
        most = max(1, deadlock_timeout_ms // 2)
        wanted = self.settings.lock_timeout_ms
        if 0 < wanted <= most:
            return
        self.settings = self.settings.model_copy(update={"lock_timeout_ms": most})
        self.limits = Limits.usual(self.settings)
        text = (
            f"LOCK_TIMEOUT_MS is {most}, not {wanted}: half of the server's deadlock_timeout, which else ends somebody."
        )
        self.notices = (*self.notices, text)


_DEADLOCK_TIMEOUT = b"SELECT (extract(epoch FROM current_setting('deadlock_timeout')::interval) * 1000)::bigint"
