"""psycopg's connection, where it would cancel, or wait for a turn of the event loop, at the wrong moment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import psycopg
from psycopg.waiting import Ready, wait_async

if TYPE_CHECKING:
    from psycopg.abc import PQGen

T = TypeVar("T")


class PatientConnection(psycopg.AsyncConnection):
    """A connection that never asks the server to cancel a COMMIT.

    One that waits for a standby would be done on this server alone, and reported as done.
    """

    is_committing = False
    is_sending = False
    """What is asked for within a pipeline is sent, and not waited for: a turn of the event loop may take long."""

    async def wait(self, gen: PQGen[T], interval: float = 0.1, *args: Any, **more: Any) -> T:  # noqa: ANN401 - psycopg's own
        """Await an answer, as psycopg does. An ``interval`` of 0 would ask without a pause."""
        if self.is_sending:
            return _sent(gen)
        if self.is_committing:
            return await wait_async(gen, self.pgconn.socket, interval, *args, **more)
        return await super().wait(gen, interval, *args, **more)


def _sent(gen: PQGen[T]) -> T:
    """Return what a generator returns that puts a statement of a pipeline into libpq's buffer.

    It is told that the socket takes more. What that does not take stays in the buffer, and goes out while the answers
    are waited for.
    """
    try:
        next(gen)
        while True:
            gen.send(Ready.W)
    except StopIteration as done:
        value: T = done.value
        return value
