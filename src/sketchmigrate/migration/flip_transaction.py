"""One flip as a transaction: sent at once where it may be, and in steps where something is to be known before COMMIT.

Which transaction is about to set the row of a copy that no condition guarded is on record before that: begin, ask for
the transaction's number, write it into the ledger, and only then UPDATE. Whoever finds the record after a crash can ask
the database what became of that transaction. So a committed one must have set all the rows that are on record for it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psycopg

from sketchmigrate.core.clock import SYSTEM, Clock
from sketchmigrate.postgres.flip import Answer, flip, flip_at_once
from sketchmigrate.postgres.pipeline import IS_SUPPORTED
from sketchmigrate.postgres.references import look_up
from sketchmigrate.postgres.transactions import current_transaction, transaction_status

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from psycopg import AsyncConnection

    from sketchmigrate.core.mapping import Move
    from sketchmigrate.core.reference import Key
    from sketchmigrate.ledger import Ledger
    from sketchmigrate.postgres.limits import Limits
    from sketchmigrate.postgres.patient_connection import PatientConnection
    from sketchmigrate.postgres.table import Table

IDLE_MS = 1_000
"""So long may a transaction pause that has locked a row: a process that is stopped then does not hold it for longer."""

LEDGER_SECONDS = 10.0
"""So long is the ledger waited for while a transaction is open that has locked nothing yet, but holds vacuum back."""


class LeftOut(Exception):
    """A flip is not to be committed with these rows in it."""

    def __init__(self, answer: Answer, keys: set[Key]) -> None:
        super().__init__()
        self.answer, self.keys = answer, keys


class LedgerSlow(Exception):
    """The ledger took too long while a transaction was open."""


def to_leave_out(answer: Answer, noted: Collection[Key]) -> set[Key]:
    """Return the rows without which a flip has to be made again before it can be committed. Pure.

    Those that came back as something else than was asked for; and those on record for this transaction that it did not
    set, as the record would say of them that it did.
    """
    return answer.stored.keys() | {key for key in noted if key not in answer.flipped}


@dataclass(slots=True)
class FlipTransaction:
    """A flip's unit of work. ``noted`` are to be on record before its UPDATE.

    ``seconds`` is for how long its rows were locked, of the flip that was committed, as far as that is known;
    ``failed_at_once`` says that the server refused it as a whole, or that the connection broke.
    """

    table: Table
    ledger: Ledger
    moves: Sequence[Move]
    noted: Sequence[Key]
    waits: bool
    clock: Clock = SYSTEM
    sent_at: float = 0.0
    seconds: float | None = None
    failed_at_once: bool = False
    tried: list[tuple[int, Answer]] = field(default_factory=list)
    """What was to be committed, and is not known to have been or not; 0 where the number was not asked for."""

    @property
    def may_be_at_once(self) -> bool:
        """Whether nothing is to be known of it before its COMMIT, but what the statement itself can tell."""
        return IS_SUPPORTED and not (self.noted or self.waits or self.table.fires_after_update)

    @property
    def unanswered(self) -> set[Key]:
        """What a COMMIT may have set that was not answered."""
        return {key for _, answer in self.tried for key in answer.flipped}

    async def at_once(self, connection: PatientConnection, limits: Limits) -> Answer:
        """Flip and commit, without an answer in between."""
        self.tried.append((0, Answer(frozenset(move.reference.key for move in self.moves))))
        self.sent_at = self.clock.monotonic()
        try:
            answer, self.seconds = await flip_at_once(connection, self.table, self.moves, limits)
        except psycopg.Error:
            self.failed_at_once = True
            if not connection.closed:  # it was refused, so nothing of it was committed
                self.tried.pop()
            raise
        return answer

    async def in_steps(self, connection: AsyncConnection) -> Answer:
        """Flip; where an earlier COMMIT turns out to be done, return the answer of that one. Raises ``LeftOut``."""
        self.seconds = None
        xid = 0
        if self.noted:
            if self.tried:
                number, answer = self.tried[-1]
                fate = await _decided(connection, number)
                if fate == "committed" and await self._is_done(connection, answer):
                    return answer
                if fate in {"committed", "aborted"}:
                    self.tried.pop()
            xid = await self._note(connection)
        self.sent_at = self.clock.monotonic()
        answer = await flip(connection, self.table, self.moves, waits=self.waits)
        if left_out := to_leave_out(answer, self.noted):
            raise LeftOut(answer, left_out)
        self.tried.append((xid, answer))
        return answer

    async def _is_done(self, connection: AsyncConnection, answer: Answer) -> bool:
        """Whether the rows of a transaction whose number was committed are set.

        A server that crashed gives numbers out again of which nothing had come to its disk: then it was another's.
        """
        paths = await look_up(connection, self.table, list(answer.flipped))
        old_paths = {move.reference.key: move.reference.path for move in self.moves}
        return all(paths.get(key) != old_paths[key] for key in answer.flipped)

    async def _note(self, connection: AsyncConnection) -> int:
        """Put on record that this transaction is about to set these rows. None is locked yet."""
        xid = await current_transaction(connection)
        try:
            async with asyncio.timeout(LEDGER_SECONDS):
                await self.ledger.note_transaction(self.noted, xid)
        except TimeoutError:
            raise LedgerSlow from None
        await connection.execute(f"SET LOCAL idle_in_transaction_session_timeout = {IDLE_MS}".encode())
        return xid


async def _decided(connection: AsyncConnection, xid: int) -> str | None:
    """Return what became of a transaction of ours whose COMMIT nobody answered. Raises ``TimeoutError``."""
    async with asyncio.timeout(LEDGER_SECONDS):
        while (status := await transaction_status(connection, xid)) == "in progress":  # noqa: ASYNC110 - nobody tells us
            await asyncio.sleep(0.1)
    return status
