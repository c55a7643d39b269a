"""A transaction that is sent as a whole: from then on it is the server's alone, whatever becomes of its sender."""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING, Any, Self

import psycopg

from tests.simulation.server import Transaction

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.simulation.database import SimulatedConnection
    from tests.simulation.statements import SimulatedCursor

_SENT = ("refused", "reply lost", "sent at once, done late")
_IN_THE_WAY = (psycopg.errors.LockNotAvailable, psycopg.errors.QueryCanceled)


class SimulatedPipeline:
    """Keeps back what is asked for, and sends it at the end."""

    def __init__(self, connection: SimulatedConnection) -> None:
        self._connection = connection
        self._statements: list[tuple[SimulatedCursor, str, Any]] = []
        self.command_queue: deque[Callable[[], None]] = deque()  # psycopg's, of which nothing is needed here

    async def __aenter__(self) -> Self:
        self._connection.pipeline_under_way = self
        return self

    def add(self, cursor: SimulatedCursor, text: str, values: object) -> None:
        """Keep a statement back."""
        self._statements.append((cursor, text, values))

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Send all of it, and wait for the answer."""
        connection, world = self._connection, self._connection.world
        connection.pipeline_under_way = None
        if kind is not None:
            return
        try:
            await connection.arrive_or_break("sends a transaction at once")
        except psycopg.OperationalError:
            self._note_as_perhaps_set()
            raise
        fault = world.fault(*_SENT)
        if fault == "refused":
            connection.under_way = Transaction(world, 0)
            raise connection.failed(world.rng.choice(_IN_THE_WAY)("in the way"))
        if fault == "sent at once, done late":
            world.later(self._carry_out_unseen)
        else:
            self._carry_out()
        if fault:
            connection.break_off()
        await world.step("the answer to all of it")
        for cursor, text, _ in self._statements:
            cursor.statusmessage = text

    def _note_as_perhaps_set(self) -> None:
        """Nobody can tell it from a COMMIT that arrived (docs/safety.md, "Known gaps", 6)."""
        for _, text, values in self._statements:
            if text.startswith("WITH free"):
                keys, _, new_paths, _ = values
                self._connection.world.updated.update(zip(keys, new_paths, strict=True))

    def _carry_out_unseen(self) -> None:
        try:
            self._carry_out()
        except psycopg.Error:
            self._connection.end_transaction()

    def _carry_out(self) -> None:
        connection = self._connection
        begin, limits, *rest = self._statements
        found = re.search(r"'lock_timeout', '(\d+)'", limits[1])
        assert found
        assert begin[1] == "BEGIN ISOLATION LEVEL READ COMMITTED"
        connection.under_way = transaction = Transaction(connection.world, int(found[1]) / 1000)
        for cursor, text, values in rest:
            if text.startswith("WITH free"):
                connection.world.happened["flipped at once"] += 1
                cursor.flip_at_once(values)
            elif text == "COMMIT":
                connection.commit_at_once(transaction)
            elif text.startswith("SELECT extract"):
                cursor.answers(connection.world.clock.unix_time())
