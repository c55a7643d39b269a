"""Watches one attempt at a unit of work: hangs up on silence, and has asked why it waits (see ``blocking``)."""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import psycopg

from sketchmigrate.core.errors import DatabaseUnreachable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg import AsyncConnection

    from sketchmigrate.postgres.database import Database

COMMIT_SECONDS = 5.0
"""A COMMIT that takes longer is asked after: it may wait for a synchronous standby."""

BLOCKED_SECONDS = 0.05
LOOK_SECONDS = 1.0
CONFIRMED_SECONDS = 15.0
"""So long a COMMIT that was seen to wait for a standby is taken to do so still."""


class Watchdog:
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

    def __init__(self, database: Database, connection: AsyncConnection, deadline_seconds: float | None) -> None:
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
            self._database.barrier.open(self)

    def waits_for_standby(self, text: str) -> None:
        """Take note that the COMMIT was seen to wait for a synchronous standby: no new flip begins meanwhile."""
        if self._task is None or self.committing_since is None:
            return  # it has been answered
        self._confirmed_at = self._loop.time()
        self._database.barrier.close(self, text)
        self.causes.add(text)
        self._database.told_wait(text, text, text, since=self.committing_since)

    def _look(self) -> None:
        now, wait = self._loop.time(), LOOK_SECONDS
        if self.committing_since is not None:
            if now >= self.committing_since + COMMIT_SECONDS:
                self._database.monitor.ask_commit(self, self._connection.pgconn.backend_pid)
            else:
                wait = self.committing_since + COMMIT_SECONDS - now
        elif self.pid is not None:
            self._database.monitor.ask_blockers(self, self.pid)
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
            self.gave_up = self._database.barrier.reason
            self._database.barrier.give_up()
            self._task.cancel()


@contextmanager
def hung_up_after(seconds: float, connection: AsyncConnection) -> Iterator[None]:
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


def hang_up(connection: AsyncConnection) -> None:
    """Shut a connection's socket.

    A cancelled query would not do: psycopg then asks the server to cancel it, and waits for that server again.
    """
    with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.pgconn.socket)) as line:
        line.shutdown(socket.SHUT_RDWR)


class StandbyBarrier:
    """Lets no flip begin while a COMMIT of ours waits for a synchronous standby: it would only lock more rows.

    ``is_open`` is cheap to ask before each flip.
    """

    def __init__(self) -> None:
        self.is_open = True
        self.reason = ""
        self._holders: set[object] = set()
        self._opened = asyncio.Event()
        self._is_over = False

    def close(self, holder: object, reason: str) -> None:
        """Let no flip begin until this holder, and all others, open it."""
        self._holders.add(holder)
        self.reason, self.is_open = reason, False
        self._opened.clear()

    def open(self, holder: object) -> None:
        """Let flips begin, as far as this holder is concerned."""
        self._holders.discard(holder)
        if not self._holders:
            self.is_open = True
            self._opened.set()

    def give_up(self) -> None:
        """Take note that a holder waits no longer, in vain: those who wait to begin shall not begin."""
        self._is_over = True

    async def passed(self, doing: str) -> None:
        """Wait until a flip may begin. Raises ``DatabaseUnreachable`` where the wait was in vain."""
        while not self.is_open:
            await self._opened.wait()
        if self._is_over:
            raise standby_missing(doing, self.reason)


def standby_missing(doing: str, reason: str) -> DatabaseUnreachable:
    """Return the error of a run that waited for a synchronous standby in vain."""
    hint = (
        "Bring the standby back, or take it out of synchronous_standby_names, and run again. What was sent is on the"
        " server's own disk, keeps its rows locked until then, and counts from then on."
    )
    return DatabaseUnreachable(f"{doing}: {reason}", hint=hint)
