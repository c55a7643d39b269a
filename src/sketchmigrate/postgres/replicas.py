"""Standbys that are asked themselves how far they are (REPLICA_URLS), where the primary does not show it."""

from __future__ import annotations

import asyncio
import math
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import AsyncConnection, ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from sketchmigrate.core.errors import DatabaseError, DatabaseRefused, DatabaseUnreachable, SettingsError
from sketchmigrate.postgres.database import ALWAYS, KEPT_ALIVE, place_named
from sketchmigrate.postgres.faults import connect_failure, describe
from sketchmigrate.postgres.vitals import Standby
from sketchmigrate.postgres.watchdog import hung_up_after
from sketchmigrate.settings.values import REPLICA_URLS, without_passwords
from sketchmigrate.task_group import all_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sketchmigrate.core.clock import Clock
    from sketchmigrate.settings import Settings

ANSWER_SECONDS = 2.0
"""For a connection, and for an answer on it: a look at the database waits for that."""

AGAIN_SECONDS = 5.0
"""One that could not be asked is asked again after this time."""

SILENT_SECONDS = 60.0
"""One that says nothing is gone after this time, as it is for the primary (wal_sender_timeout)."""

_HINT = "Look at REPLICA_URLS: take out what is not to be watched."
_REPLAYED = b"SELECT pg_is_in_recovery(), (pg_last_wal_replay_lsn() - '0/0'::pg_lsn)::bigint"


def replica_parameters(settings: Settings, environ: Mapping[str, str] = os.environ) -> list[dict[str, Any]]:
    """Return libpq's parameters for each standby's URL, which has no password; that is the environment's.

    It is taken from SKETCH_REPLICA_URLS, if these are its URLs. What a URL does not say is as for the database, whose
    databases and roles a standby has: its name, DB_SSLMODE, user and password. Raises ``SettingsError``.
    """
    urls, whole = settings.replica_urls, environ.get(REPLICA_URLS, "")
    chosen = whole if without_passwords(whole) == urls else urls
    user, password = environ.get("SKETCH_DB_USER"), environ.get("SKETCH_DB_PASS")
    found: list[dict[str, Any]] = []
    for url in chosen.split():
        try:
            told = conninfo_to_dict(url)
        except ProgrammingError:
            # the text of the error may quote a password
            hint = "For example: postgresql://replica-1.example.com:5432/sketch"
            raise SettingsError("REPLICA_URLS has a URL that libpq does not understand", hint=hint) from None
        own = {"dbname": settings.db_name, "sslmode": settings.db_sslmode, "user": user}
        if told.get("user", user) == user:
            own["password"] = password
        found.append(KEPT_ALIVE | {name: value for name, value in own.items() if value} | told | ALWAYS)
    return found


class Replicas:
    """The standbys of REPLICA_URLS."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._replicas = [_Replica(parameters, clock) for parameters in replica_parameters(settings)]

    def __bool__(self) -> bool:
        return bool(self._replicas)

    async def check(self) -> None:
        """Ask each. Raises ``DatabaseUnreachable`` or ``DatabaseRefused`` for the first that does not answer."""
        for replica in self._replicas:
            await replica.replayed()

    @property
    def failures(self) -> dict[str, str]:
        """Why a standby could not be asked, by its name."""
        return {replica.name: replica.failure for replica in self._replicas if replica.failure}

    async def standbys(self) -> list[Standby]:
        """Ask all at once; those that are gone are left out. Takes twice ``ANSWER_SECONDS`` at most."""
        return [each for each in await all_of([replica.asked() for replica in self._replicas]) if each is not None]

    async def close(self) -> None:
        """Close the connections."""
        for replica in self._replicas:
            await replica.close()


class _Replica:
    """One standby, and the connection to it. ``failure`` is why it could not be asked; empty where it could."""

    def __init__(self, parameters: Mapping[str, Any], clock: Clock) -> None:
        self._parameters, self._monotonic = parameters, clock.monotonic
        self._where = place_named(parameters)
        self._connection: AsyncConnection | None = None
        self._not_before = self._answered_at = -math.inf
        self._last: Standby | None = None
        self.name = self._where.rpartition("/")[0]
        self.failure = ""

    async def asked(self) -> Standby | None:
        """Return how far it is, and where it is silent how far it was: None where it is gone, or for too long.

        A standby that is too busy to answer is the last one to be let down.
        """
        if self._monotonic() >= self._not_before:
            try:
                self._last, self.failure = Standby(self.name, await self.replayed()), ""
                self._answered_at = self._monotonic()
            except DatabaseError as error:
                self.failure = str(error)
                if not isinstance(error.__cause__, TimeoutError):
                    self._last = None
                self._not_before = self._monotonic() + AGAIN_SECONDS
                await self.close()
        is_gone = self.failure and self._monotonic() - self._answered_at > SILENT_SECONDS
        return None if is_gone else self._last

    async def replayed(self) -> int:
        """Return up to which byte of the WAL it has replayed. Raises ``DatabaseError``."""
        if self._connection is None or self._connection.closed:
            self._connection = await self._connected()
        try:
            with hung_up_after(ANSWER_SECONDS, self._connection):
                row: Any = await (await self._connection.execute(_REPLAYED)).fetchone()
        except TimeoutError as error:
            raise DatabaseUnreachable(f"the standby at {self._where} does not answer", hint=_HINT) from error
        except psycopg.Error as error:
            text = f"the standby at {self._where} cannot be asked: {describe(error)}"
            raise DatabaseUnreachable(text, hint=_HINT) from error
        if not row[0] or row[1] is None:
            hint = "List only streaming standbys there."
            raise DatabaseRefused(f"REPLICA_URLS: {self._where} is no standby", hint=hint)
        return int(row[1])

    async def _connected(self) -> AsyncConnection:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):  # for its name, and for all of its addresses
                return await AsyncConnection.connect(autocommit=True, prepare_threshold=None, **self._parameters)
        except TimeoutError as error:
            raise DatabaseUnreachable(f"REPLICA_URLS: {self._where} does not answer", hint=_HINT) from error
        except psycopg.Error as error:
            failure = connect_failure(error, self._where, "standby")
            raise type(failure)(f"REPLICA_URLS: {failure}", hint=_HINT) from error
        except OSError as error:  # psycopg resolves host names itself
            raise DatabaseUnreachable(f"REPLICA_URLS: {self._where}: {error}", hint=_HINT) from error

    async def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error):
                await connection.close()
