"""Sits by one attempt at a unit of work: hangs up on silence, and sees why it waits (``lookout`` asks)."""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import psycopg

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sketchmigrate.postgres.database import Database
    from sketchmigrate.postgres.session import Connection

COMMIT_SECONDS = 5.0
"""A COMMIT that takes longer is asked after: it may wait for a synchronous standby."""

BLOCKED_SECONDS = 0.05
LOOK_SECONDS = 1.0
CONFIRMED_SECONDS = 15.0
"""So long a COMMIT that was seen to wait for a standby is taken to do so still."""


class Vigil:
    """One attempt, from its first statement to the answer to its COMMIT. ``end`` it.

    With ``pid``, the backend's, whoever blocks that is looked for. A COMMIT that waits for a synchronous standby is
    neither cancelled nor hung up on, until DB_RETRY_SECONDS are over or the run stops: ``gave_up`` then says why.
    """

    __slots__ = (
        "_confirmed_at",
        "_connection",
        "_database",
        "_deadline",
        "_loop",
        "_task",
        "_timer",
        "causes",
        "committing_since",
        "gave_up",
        "has_begun",
        "hung_up",
        "pid",
    )

    def __init__(self, database: Database, connection: Connection, deadline_seconds: float | None) -> None:
        self._database, self._connection = database, connection
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._deadline = None if deadline_seconds is None else self._loop.time() + deadline_seconds
        self._confirmed_at: float | None = None
        self.committing_since: float | None = None
        self.causes: set[object] = set()
        self.gave_up = ""
        self.has_begun = self.hung_up = False
        self.pid: int | None = None
        first = COMMIT_SECONDS if deadline_seconds is None else min(COMMIT_SECONDS, deadline_seconds)
        self._timer = self._loop.call_later(first, self._look)

    def watch(self, pid: int) -> None:
        """Look who blocks this backend, soon and then every second."""
        self.pid = pid
        self._timer.cancel()
        self._timer = self._loop.call_later(BLOCKED_SECONDS, self._look)

    def commits(self) -> None:
        """Take note that the COMMIT is sent."""
        self.committing_since = self._loop.time()

    def end(self) -> None:
        """Look no more: it has ended, in one way or the other."""
        self._timer.cancel()
        self._task = None
        if self._confirmed_at is not None:
            self._database.gate.open(self)

    def waits_for_standby(self, text: str) -> None:
        """Take note that the COMMIT was seen to wait for a synchronous standby: no new flip begins meanwhile."""
        if self._task is None or self.committing_since is None:
            return  # it has been answered
        self._confirmed_at = self._loop.time()
        self._database.gate.shut(self, text)
        self.causes.add(text)
        self._database.told_wait(text, text, text, since=self.committing_since)

    def _look(self) -> None:
        now, wait = self._loop.time(), LOOK_SECONDS
        if self.committing_since is not None:
            if now >= self.committing_since + COMMIT_SECONDS:
                self._database.lookout.ask_commit(self, self._connection.pgconn.backend_pid)
            else:
                wait = self.committing_since + COMMIT_SECONDS - now
        elif self.pid is not None:
            self._database.lookout.ask_blockers(self, self.pid)
        else:
            wait = COMMIT_SECONDS
        if self._is_waiting_for_standby(now):
            self._perhaps_give_up(now)
        elif self._deadline is not None:
            if now >= self._deadline:
                self.hung_up = True
                hang_up(self._connection)
                return
            wait = min(wait, self._deadline - now)
        self._timer = self._loop.call_later(wait, self._look)

    def _is_waiting_for_standby(self, now: float) -> bool:
        return self._confirmed_at is not None and now - self._confirmed_at <= CONFIRMED_SECONDS

    def _perhaps_give_up(self, now: float) -> None:
        """Leave a COMMIT to the server, which it will carry out by itself, where the wait for a standby is over."""
        since, patience = self.committing_since, self._database.settings.db_retry_seconds
        over = since is not None and now - since > patience
        if self._task is not None and not self.gave_up and (over or self._database.stopping.is_set()):
            self.gave_up = self._database.gate.reason
            self._database.gate.give_up()
            self._task.cancel()


@contextmanager
def hung_up_after(seconds: float, connection: Connection) -> Iterator[None]:
    """Shut a connection's socket after a time, and raise ``TimeoutError`` for what then fails."""
    hung_up = False

    def silence() -> None:
        nonlocal hung_up
        hung_up = True
        hang_up(connection)

    timer = asyncio.get_running_loop().call_later(seconds, silence)
    try:
        yield
    except psycopg.OperationalError as error:
        if hung_up:
            raise TimeoutError from error
        raise
    finally:
        timer.cancel()


def hang_up(connection: Connection) -> None:
    """Shut a connection's socket.

    A cancelled query would not do: psycopg then asks the server to cancel it, and waits for that server again.
    """
    with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.pgconn.socket)) as line:
        line.shutdown(socket.SHUT_RDWR)
