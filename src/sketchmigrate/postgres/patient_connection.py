"""psycopg's connection, where it would cancel, or wait for a turn of the event loop, at the wrong moment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

import psycopg
from psycopg.waiting import wait_async

if TYPE_CHECKING:
    from psycopg.abc import PQGen

T = TypeVar("T")


class PatientConnection(psycopg.AsyncConnection):
    """A connection that never asks the server to cancel a COMMIT.

    One that waits for a standby would be done on this server alone, and reported as done.
    """

    is_committing = False
    is_queueing = False
    """What is asked for within a pipeline is only queued there: see ``pipeline``."""

    async def wait(self, gen: PQGen[T], interval: float = 0.1, *args: Any, **more: Any) -> T:  # noqa: ANN401 - psycopg's own
        """Await an answer, as psycopg does. An ``interval`` of 0 would ask without a pause."""
        if self.is_queueing:
            return _queued(gen)
        if self.is_committing:
            return await wait_async(gen, self.pgconn.socket, interval, *args, **more)
        return await super().wait(gen, interval, *args, **more)


def _queued(gen: PQGen[T]) -> T:
    """Have a statement put into the queue of its pipeline, after which psycopg would begin to send it."""
    next(gen)
    gen.close()
    return cast("T", None)  # an execute() within a pipeline has no answer yet
