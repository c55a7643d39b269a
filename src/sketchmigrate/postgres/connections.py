"""The open connections to the database, which its sessions share where there are too few for each to have its own.

A failure to open another while one of ours is open is no outage: sessions then give their connection back after each
unit of work, and take turns. Somebody else's connection may be over by and by, so one more is tried now and then.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING

from psycopg.pq import TransactionStatus

from sketchmigrate.core.errors import DatabaseUnreachable

if TYPE_CHECKING:
    from sketchmigrate.postgres.database import Database
    from sketchmigrate.postgres.patient_connection import PatientConnection
    from sketchmigrate.postgres.session import Session

log = logging.getLogger(__name__)

TRY_AGAIN_SECONDS = 30.0

GIVEN_WAY_SECONDS = 0.2
"""So long a server takes, more or less, until it has room for another connection in the place of one that is closed."""


class Connections:
    """Those that are held by a session, and those that wait for one; ``kept`` of these, while there are enough.

    ``is_short``: there are fewer than sessions that want one.
    """

    def __init__(self, database: Database, kept: int) -> None:
        self.is_short = False
        self._database = database
        self._kept = kept
        self._held: dict[PatientConnection, Session] = {}
        self._idle: list[PatientConnection] = []
        self._opened: list[PatientConnection] = []  # held, idle, or on the way from one session to another
        self._waiting: deque[asyncio.Future[PatientConnection | None]] = deque()
        self._next_try = 0.0
        self._was_said = False

    async def take(self, session: Session) -> PatientConnection:
        """Return a connection that a session has left, or a new one, or one that another gives back.

        Raises ``DatabaseUnreachable`` or ``DatabaseRefused``.
        """
        connection = self._left() or await self._another()
        self._held[connection] = session
        return connection

    async def leave(self, connection: PatientConnection) -> None:
        """Hand a connection to whoever waits for one, keep it, or close it."""
        self._held.pop(connection, None)
        if connection not in self._opened:  # somebody opened it himself
            self._opened.append(connection)
        if connection.pgconn.transaction_status != TransactionStatus.IDLE:
            await self.lose(connection)
        elif not self._hand_over(connection):
            if self.is_short or len(self._idle) < self._kept:
                self._idle.append(connection)
            else:
                await connection.close()

    async def lose(self, connection: PatientConnection) -> None:
        """Close a connection that is of no use."""
        self._held.pop(connection, None)
        await connection.close()
        if not self._count():
            while self._waiting:  # nobody gives any back
                self._wake(self._waiting.popleft(), None)

    async def close(self) -> None:
        """Close those that nobody holds."""
        while self._idle:
            await self._idle.pop().close()

    def worked(self) -> None:
        """Take note that a session did a unit of work while there are too few: then it is that, and no outage."""
        if not self._was_said:
            self._was_said = True
            log.warning(
                "%s, %d were given; going on with those, and trying one more every %.0f s.",
                self._database.demand,
                self._count(),
                TRY_AGAIN_SECONDS,
            )

    def _count(self) -> int:
        self._opened = [connection for connection in self._opened if not connection.closed]
        return len(self._opened)

    def _left(self) -> PatientConnection | None:
        while self._idle:
            if not (connection := self._idle.pop()).closed:
                return connection
        return None

    async def _another(self) -> PatientConnection:
        """Open one; where that fails and others are open, wait for one of those. Raises what ``connect`` raises."""
        monotonic = self._database.clock.monotonic
        began = monotonic()
        failure: DatabaseUnreachable | None = None
        while True:
            now = monotonic()
            if not self.is_short or now >= self._next_try or not self._count():
                self._next_try = now + TRY_AGAIN_SECONDS
                try:
                    connection = await self._database.connect()
                except DatabaseUnreachable as error:
                    if await self._database.monitor.give_way():
                        await asyncio.sleep(GIVEN_WAY_SECONDS)
                        self._next_try = now
                        continue
                    if not self._count():
                        raise
                    failure, self.is_short = error, True
                else:
                    # a waiting session gets one only from those that give theirs back, and they do so while short
                    self.is_short = any(not waiter.done() for waiter in self._waiting)
                    self._opened.append(connection)
                    return connection
            self._call_in()
            if (given := self._left() or await self._given_back(self._next_try - monotonic())) is not None:
                return given
            over = monotonic() - began > self._database.settings.db_retry_seconds
            if failure is not None and (over or self._database.stopping.is_set()):
                raise failure

    def _call_in(self) -> None:
        """Take the connections of sessions that are not at work, and might not be for long."""
        for connection, session in list(self._held.items()):
            if session.give_up_idle():
                del self._held[connection]
                if not self._hand_over(connection):
                    self._idle.append(connection)

    async def _given_back(self, seconds: float) -> PatientConnection | None:
        """Wait for a connection that another session gives back, or until one may be tried again."""
        given: asyncio.Future[PatientConnection | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(given)
        try:
            await asyncio.wait({given}, timeout=max(0.0, seconds))
        except asyncio.CancelledError:
            if given.done() and (connection := given.result()) is not None:
                await self.leave(connection)
            given.cancel()
            raise
        if given.done():
            return given.result()
        given.cancel()
        return None

    def _hand_over(self, connection: PatientConnection) -> bool:
        while self._waiting:
            if self._wake(self._waiting.popleft(), connection):
                return True
        return False

    @staticmethod
    def _wake(waiter: asyncio.Future[PatientConnection | None], connection: PatientConnection | None) -> bool:
        if waiter.done():
            return False
        waiter.set_result(connection)
        return True
