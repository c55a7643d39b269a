"""The database as its sessions share it: how it is reached, its connections, whether it is away, what holds it up."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import psycopg

from sketchmigrate.core.clock import SYSTEM, Clock
from sketchmigrate.core.errors import DatabaseRefused, DatabaseUnreachable, SettingsError
from sketchmigrate.postgres.blocking import BlockingMonitor
from sketchmigrate.postgres.connections import Connections
from sketchmigrate.postgres.faults import connect_failure
from sketchmigrate.postgres.limits import Limits
from sketchmigrate.postgres.others import APPLICATION, application_name
from sketchmigrate.postgres.patient_connection import PatientConnection
from sketchmigrate.postgres.session import Session
from sketchmigrate.postgres.waits import Waits
from sketchmigrate.postgres.watchdog import StandbyBarrier, hung_up_after

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping, Sequence

    from sketchmigrate.settings import Settings

log = logging.getLogger(__name__)

CONNECT_TIMEOUT_SECONDS = 10

KEPT_ALIVE: dict[str, Any] = {
    "application_name": APPLICATION,
    "keepalives_idle": 20,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 50_000,
}
"""Notices within about a minute that the other machine is gone (PostgreSQL manual, section "Parameter Key Words")."""

ALWAYS = {"client_encoding": "UTF8"}
"""Sent as the connection is opened: it goes before PGCLIENTENCODING and the settings of role and database, and a pooler
keeps it."""

OLDEST_VERSION = 130000
"""PostgreSQL 13, as ``server_version`` counts. Tried are 15 and 18."""


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

    ``clock`` is what its sessions, and all that works with them, go by.
    ``for_writing`` says that it is away for as long as it takes no writes.
    ``reached_by`` are libpq's parameters, and ``name`` what messages call it, where it is not that of the references.
    ``kept`` connections of sessions that are over serve the next ones, until ``close``: one costs 5 ms of CPU.

    ``watched`` are the tables (as SQL names them) for whose lock is waited as long as for a database that is away;
    ``tables`` is what messages call them, where it is not the table of the references.
    ``run`` is the name of a run that is to set rows: its connections are known by it (see ``others``). ``identity``
    tells the database from others, however it is reached; empty where nobody has asked, or the server does not tell.
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
        clock: Clock = SYSTEM,
        watched: Sequence[str] = (),
        tables: str = "",
        run: str = "",
    ) -> None:
        self.settings, self.clock = settings, clock
        self.tables = tables or settings.db_table
        self.limits = Limits.usual(settings)
        self.for_writing = for_writing
        self.outage = Outage(name)
        self._name = name
        self.stopping = stopping
        self.watched = tuple(watched)
        self.identity = ""
        self.demand = "A connection for each session is wanted"
        self.notices: tuple[str, ...] = ()
        self.waits = Waits()
        self.barrier = StandbyBarrier()
        self.monitor = BlockingMonitor(self)
        self.connections = Connections(self, kept)
        self.units = self.losses = 0
        self.at_work: set[Session] = set()
        self._parameters = parameters(settings) if reached_by is None else dict(reached_by)
        if run:
            self._parameters["application_name"] = application_name(run)

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
        await self.monitor.close()
        await self.connections.close()

    def session(self) -> Session:
        """Return a new session; it connects when it is first used."""
        return Session(self)

    def oldest(self, now: float) -> tuple[str, float] | None:
        """Return what is under way for the longest time, and for how many seconds; None where nothing is."""
        session = min(self.at_work, key=lambda each: each.since, default=None)
        return None if session is None else (session.doing, now - session.since)

    def worked(self) -> None:
        """Take note that a session did a unit of work."""
        self.units += 1
        if self.connections.is_short:
            self.connections.worked()

    def told_wait(self, cause: object, what: str, text: str, *, since: float | None = None) -> bool:
        """Take note of what holds the run up, and say it when it is time; return whether it was said. See ``Waits``."""
        said = self.waits.seen(cause, what, text, self.clock.monotonic(), since=since)
        if said:
            log.warning("The run %s.", said) if said.startswith("waits") else log.warning("%s.", said)
        return bool(said)

    def _keep_below(self, deadlock_timeout_ms: int) -> None:
        """Wait for locks no longer than half of the server's time to look for deadlocks: else it ends somebody."""
        most = max(1, deadlock_timeout_ms // 2)
        wanted = self.settings.lock_timeout_ms
        if 0 < wanted <= most:
            return
        self.settings = replace(self.settings, lock_timeout_ms=most)
        self.limits = Limits.usual(self.settings)
        text = (
            f"LOCK_TIMEOUT_MS is {most}, not {wanted}: half of the server's deadlock_timeout, which else ends somebody."
        )
        self.notices = (*self.notices, text)


_DEADLOCK_TIMEOUT = b"SELECT (extract(epoch FROM current_setting('deadlock_timeout')::interval) * 1000)::bigint"


def parameters(settings: Settings, environ: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """Return libpq's parameters: only what is set, so that its own variables and files hold for the rest.

    Raises ``SettingsError`` where DB_PORT has several ports and PGHOST not as many hosts.
    """
    hosts, ports = environ.get("PGHOST", "").split(","), str(settings.db_port or "").split(",")
    if not settings.db_host and "PGSERVICE" not in environ and len(ports) not in {1, len(hosts)}:
        hint = "Give one port for all hosts, or one for each."
        raise SettingsError(f"DB_PORT has {len(ports)} ports, PGHOST {len(hosts)} hosts", hint=hint)
    chosen: dict[str, str | int | None] = {
        "host": settings.db_host,
        "port": settings.db_port,
        "dbname": settings.db_name,
        "sslmode": settings.db_sslmode,
        "user": environ.get("SKETCH_DB_USER"),
        "password": environ.get("SKETCH_DB_PASS"),
        "connect_timeout": None if environ.get("PGCONNECT_TIMEOUT") else CONNECT_TIMEOUT_SECONDS,
    }
    return {name: value for name, value in chosen.items() if value} | KEPT_ALIVE | ALWAYS


def too_old(server_version: int, where: str, name: str = "database") -> DatabaseRefused | None:
    """Return the refusal of a server that is older than the oldest one which is known to do."""
    if server_version >= OLDEST_VERSION:
        return None
    major, minor = divmod(server_version, 10000)
    message = (
        f"the {name} at {where} is PostgreSQL {major}.{minor}; {OLDEST_VERSION // 10000} is the oldest that will do"
    )
    return DatabaseRefused(
        message, hint="Upgrade the server: its own maintainers support none as old as that any more."
    )


def place_named(reached_by: Mapping[str, Any]) -> str:
    """Return host, port and database of libpq's parameters, as far as they are set, for messages."""
    host = reached_by.get("host") or os.environ.get("PGHOST") or "local socket"
    port = reached_by.get("port") or os.environ.get("PGPORT") or 5432
    name = reached_by.get("dbname") or os.environ.get("PGDATABASE") or "default database"
    return f"{host}:{port}/{name}"
