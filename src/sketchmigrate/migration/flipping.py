"""Flips what an iteration has brought, a few rows at a time, and says what became of each row.

A flip is as large as ``FlipSize`` says, and takes the rows that are free. It is rolled back, and made again without
some rows, where the database stored something else in them. Where it fails as a whole it is halved until the row is
alone that it failed for. Nothing but the database is waited for while a row is locked.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from sketchmigrate.core.errors import DatabaseBusy, ReferenceRefused, TableLocked
from sketchmigrate.core.outcome import ANOTHER_PATH, LEFT_AS_IT_WAS, Outcome, Result
from sketchmigrate.core.reason import Reason, ReasonKind, because, refused_by_database
from sketchmigrate.core.reference import Key, Reference, make_all
from sketchmigrate.migration.breaker import Breaker, cause_of
from sketchmigrate.migration.copier import Copied, Verdict
from sketchmigrate.migration.flip_outcome import HELD_BACK, standing
from sketchmigrate.migration.flip_size import FlipSize
from sketchmigrate.migration.flip_transaction import IDLE_MS, LEDGER_SECONDS, FlipTransaction, LedgerSlow, LeftOut
from sketchmigrate.postgres.flip import Answer, free_rows, stored_otherwise
from sketchmigrate.postgres.limits import Limits
from sketchmigrate.postgres.privileges import inspect_table
from sketchmigrate.postgres.table import MOST_MOVED_ROWS

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from typing import TypeAlias

    from sketchmigrate.core.clock import Clock
    from sketchmigrate.core.mapping import Move
    from sketchmigrate.core.source import Source
    from sketchmigrate.ledger import Ledger
    from sketchmigrate.migration.pace import Pace
    from sketchmigrate.migration.stop import Stop
    from sketchmigrate.postgres.references import References
    from sketchmigrate.settings import Settings

    Brought: TypeAlias = tuple[Move, Copied]

LOCK_MS = 20
"""What SKIP LOCKED cannot avoid (an equal path in a unique index, a parent's row, a trigger) is waited for so long."""

STATEMENT_TARGETS = 10
"""A flip of several rows that takes so many times the target is cut short, and halved."""

IN_STEPS_SECONDS = 10.0
"""After a flip failed that was sent at once, flips are sent in steps for so long: so the server tells what it refuses,
and a pooler that does not bear a pipeline costs a connection now and then."""

LOCK_NOT_AVAILABLE = "55P03"

MOST_REFUSALS = 1_000
"""Of so many rows it is kept what the database said, which is for a person."""

INSPECT_SECONDS = 1.0
"""So often, at most, the catalogue is looked at while flips fail; and once before rows are called failed."""

# Python 3.11 takes 0.3 µs to find a member by its name.
_MIGRATED = Outcome.MIGRATED
_COPIED = Verdict.COPIED


@dataclass(slots=True)
class FlipControl:
    """What all iterations of a process share. ``unanswered`` are keys that a COMMIT without an answer may have set."""

    size: FlipSize
    unanswered: set[Key] = field(default_factory=set)
    inspected_at: float = 0.0
    in_steps_until: float = 0.0
    refusals: dict[Key, Reason] = field(default_factory=dict)
    """What the database said of rows that it did not set although nobody was seen to hold them: of some."""
    timed_flips: int = 0
    timed_rows: int = 0
    timed_seconds: float = 0.0
    """Of all flips that waited for nobody, together."""

    @classmethod
    def of(cls, settings: Settings, *, moves_rows: bool = False) -> FlipControl:
        """Return that of a process that begins; ``moves_rows``: a flip moves rows to other partitions."""
        return cls(FlipSize(settings.target_flip_ms / 1000, MOST_MOVED_ROWS if moves_rows else None))

    def took(self, rows: int, seconds: float, now: float, whole_seconds: float | None = None) -> None:
        """Take note of how long a flip of so many rows took, which waited for nobody. See ``FlipSize.took``."""
        self.size.took(rows, seconds, now, whole_seconds)
        self.timed_flips += 1
        self.timed_rows += rows
        self.timed_seconds += seconds

    def note_refusal(self, key: Key, error: DatabaseBusy | ReferenceRefused) -> None:
        """Keep what the database said last of a row that was tried alone, if it may be no matter of a lock."""
        self.refusals.pop(key, None)
        if error.sqlstate != LOCK_NOT_AVAILABLE and len(self.refusals) < MOST_REFUSALS:
            self.refusals[key] = refused_by_database(error)


@dataclass(frozen=True, slots=True)
class Flipping:
    """What flips work with. The session of ``references`` belongs to one iteration alone."""

    references: References
    ledger: Ledger
    control: FlipControl
    breaker: Breaker
    stop: Stop
    pace: Pace
    settings: Settings
    source: Source

    async def flip(
        self, brought: Sequence[Brought], results: list[Result], *, noted: Collection[Key] = (), waits: bool = False
    ) -> list[Result]:
        """Flip what was brought and is on record, append what became of it to ``results``; return what is locked.

        ``noted`` are those whose copies nothing guarded. With ``waits`` locked rows are waited for as long as
        LOCK_TIMEOUT_MS says, each alone. What was waiting for its turn when the run is to stop gets no result. Raises
        ``MigrateError`` where the run cannot go on; the results are true.
        """
        parts = [[each] for each in reversed(brought)] if waits else [list(brought)]
        left: list[Brought] = []  # the flip did not come back with these
        busy: set[Key] = set()
        refused: list[Result] = []
        while some := await self._next(parts):
            moves = [move for move, _ in some]
            try:
                answer = await self._flip_some(moves, noted, waits=waits)
            except TableLocked:
                raise
            except (ReferenceRefused, DatabaseBusy) as error:
                self.control.size.refused(len(some))
                if len(some) > 1:
                    parts += await self._halved(some, error)
                elif isinstance(error, DatabaseBusy) or (error.broke and await self.may_be_set(moves[0])):
                    left += some
                    busy.add(moves[0].reference.key)
                    self.control.note_refusal(moves[0].reference.key, error)
                else:
                    refused.append(await self._refused(some[0], error))
                continue
            if len(answer.flipped) == len(some):
                self._count(len(some), {})
                results += migrated(some)
            else:
                self._count(
                    len(answer.flipped), {ANOTHER_PATH: len(answer.stored), LEFT_AS_IT_WAS: len(answer.held_back)}
                )
                left += self._sort(some, answer, results)
            if noted and (struck_out := answer.flipped.intersection(noted)):
                await self.ledger.settle_copies(struck_out)
        if refused:  # by the table as it still is: else it is no matter of these rows
            await self._look_at_the_table()
            results += refused
        if not left:
            return []
        waited = {move.reference.key for move, _ in left if waits} - busy
        return await self._look_again(left, results, noted, waited)

    @property
    def _clock(self) -> Clock:
        return self.references.session.clock

    def _count(self, flipped: int, failed: dict[str, int]) -> None:
        """Tell the breaker of flips; it may end the run, whose other flips under way are finished all the same."""
        if ended := self.breaker.note(flipped, {cause: rows for cause, rows in failed.items() if rows}):
            self.stop.by_error(ended)

    async def _next(self, parts: list[list[Brought]]) -> list[Brought]:
        """Take about as much off the last part as one flip may have: what is cut is cut into equal pieces.

        Nothing where the run is to stop while they wait for their turn: they stay as they are, for the next run.
        """
        if not parts:
            return []
        some = parts.pop()
        pieces = self.control.size.pieces(len(some), self._clock.monotonic())
        rows = -(-len(some) // pieces) if pieces > 1 else len(some)
        rows = await self.pace.granted(rows)
        if rows < len(some):
            parts.append(some[rows:])
            del some[rows:]
        return some

    async def may_be_set(self, move: Move) -> bool:
        """Whether a COMMIT of ours that broke the connection may have set a row, or set it yet.

        It has not, and never will, once the row is free and holds the old path: a transaction that is not over would
        hold it. One that was sent at once may not have arrived yet (known gap 6).
        """
        key = move.reference.key
        if key not in self.control.unanswered:
            return False
        session, limits = self.references.session, limits_of_many(self.settings)
        doing = "looking whether the row is free"
        try:
            free = await session.run(
                free_rows, self.references.table, [move.reference], doing=doing, limits=limits, attempts=0
            )
        except TableLocked:
            raise
        except DatabaseBusy:
            return True
        self.control.unanswered -= free
        return key not in free

    async def _refused(self, one: Brought, error: ReferenceRefused) -> Result:
        """Take note of a row that was refused alone, unless the table itself is what refused it."""
        await self._look_at_the_table(not_since_seconds=INSPECT_SECONDS)
        self._count(0, {cause_of(error) or "": 1})
        return _result(*one, Outcome.FAILED, refused_by_database(error))

    async def _halved(self, some: list[Brought], error: Exception) -> list[list[Brought]]:
        """Cut a part that failed as a whole in two, the first half last, unless the table itself is what failed it."""
        if isinstance(error, ReferenceRefused):
            await self._look_at_the_table(not_since_seconds=INSPECT_SECONDS)
        middle = len(some) // 2
        return [some[middle:], some[:middle]]

    def _sort(self, some: Sequence[Brought], answer: Answer, results: list[Result]) -> list[Brought]:
        """Append what the answer says of each row to ``results``, and return the rows that it does not tell of."""
        left: list[Brought] = []
        for move, copied in some:
            key = move.reference.key
            if key in answer.flipped:
                results += migrated([(move, copied)])
            elif key in answer.held_back:
                results.append(_result(move, copied, Outcome.FAILED, HELD_BACK))
            elif key in answer.stored:
                results.append(_result(move, copied, Outcome.FAILED, stored_otherwise(move, answer.stored[key])))
            else:
                left.append((move, copied))
        return left

    async def _flip_some(self, moves: Sequence[Move], noted: Collection[Key], *, waits: bool) -> Answer:
        """Flip in one transaction, made again without the rows that must be left out of it.

        Raises what ``Session.run`` raises.
        """
        held_back: frozenset[Key] = frozenset()
        stored: dict[Key, str | None] = {}
        wanted = list(moves)
        while wanted:
            try:
                on_record = [move.reference.key for move in wanted if move.reference.key in noted] if noted else []
                answer = await self._commit(wanted, on_record, waits=waits)
            except LeftOut as left:
                held_back |= left.answer.held_back
                stored |= left.answer.stored
                wanted = [move for move in wanted if move.reference.key not in left.keys]
                continue
            if not stored and not held_back:
                return answer
            return Answer(answer.flipped, answer.held_back | held_back, stored)
        return Answer(frozenset(), held_back, stored)

    async def _commit(self, moves: Sequence[Move], noted: Sequence[Key], *, waits: bool) -> Answer:
        """Flip and commit, again if the connection broke. Raises ``LeftOut``, and what ``Session.run`` raises."""
        many = len(moves) > 1
        doing = f"flipping {len(moves)} references" if many else "flipping the row"
        session, table = self.references.session, self.references.table
        limits = limits_of_many(self.settings) if many else replace(session.limits, idle_ms=IDLE_MS)
        if noted:
            limits = replace(limits, idle_ms=round(2 * LEDGER_SECONDS * 1000))  # until a row is locked
        transaction = FlipTransaction(table, self.ledger, moves, noted, waits, self._clock)
        is_at_once = transaction.may_be_at_once and self._clock.monotonic() >= self.control.in_steps_until
        try:
            while True:
                with suppress(LedgerSlow):
                    answer = await session.run(
                        transaction.in_steps,
                        doing=doing,
                        limits=limits,
                        attempts=0,
                        is_flip=True,
                        watched=waits,
                        at_once=transaction.at_once if is_at_once else None,
                    )
                    transaction.tried.pop()  # that one was answered
                    break
                await self.ledger.note_transaction(noted, None)  # however long it takes: no transaction is open
        finally:
            self.control.unanswered |= transaction.unanswered
            if transaction.failed_at_once:
                self.control.in_steps_until = self._clock.monotonic() + IN_STEPS_SECONDS
        if self.control.unanswered:
            self.control.unanswered -= answer.flipped
        if not waits:
            now = self._clock.monotonic()
            whole_seconds = now - transaction.sent_at
            seconds = whole_seconds if transaction.seconds is None else transaction.seconds
            self.control.took(len(moves), seconds, now, whole_seconds)
        return answer

    async def _look_at_the_table(self, *, not_since_seconds: float = 0.0) -> None:
        """Look at the catalogue after a flip failed. Raises ``DatabaseRefused`` where a column or a right is gone."""
        now = self._clock.monotonic()
        if now - self.control.inspected_at < not_since_seconds:
            return
        self.control.inspected_at = now
        look = partial(inspect_table, source=self.source, for_writing=True)
        await self.references.session.run(look, doing="looking at the table")

    async def _look_again(
        self, left: Sequence[Brought], results: list[Result], noted: Collection[Key], waited: set[Key]
    ) -> list[Result]:
        """Say what became of the rows that the flip did not come back with; return those that are locked."""
        looked = await self.references.look_again([move for move, _ in left])
        locked: list[Result] = []
        ours: list[Key] = []
        for move, copied in left:
            key = move.reference.key
            outcome, reason = standing(move, looked, unanswered=key in self.control.unanswered, waited=key in waited)
            if outcome is None:
                locked.append(_result(move, copied, Outcome.FAILED, copied.reason))  # so far
                continue
            results.append(_result(move, copied, outcome, reason or copied.reason))
            if outcome is _MIGRATED and key in noted:
                ours.append(key)
            if reason == HELD_BACK:
                self._count(0, {LEFT_AS_IT_WAS: 1})
        if ours:
            await self.ledger.settle_copies(ours)
        return locked


def limits_of_many(settings: Settings) -> Limits:
    """Return the limits of a transaction that locks several rows."""
    return Limits(LOCK_MS, STATEMENT_TARGETS * settings.target_flip_ms, IDLE_MS)


async def play(references: References, brought: Sequence[Brought]) -> list[Result]:
    """Return what would become of references whose objects are brought, as far as the rows tell: for a dry run.

    A new path that another row holds already fails where no two rows may hold the same. Raises what ``Session.run``
    raises.
    """
    if not references.table.no_path_twice or not brought:
        return migrated(brought)
    held = await references.held([move.new_path for move, _ in brought])
    return [
        *migrated([each for each in brought if each[0].new_path not in held]),
        *(
            _result(move, copied, Outcome.FAILED, because(ReasonKind.PATH_HELD, path=move.new_path))
            for move, copied in brought
            if move.new_path in held
        ),
    ]


def migrated(all_flipped: Sequence[Brought]) -> list[Result]:
    """Return the results of references that were flipped, or in a dry run would be."""
    results = [
        (
            move.reference,
            _MIGRATED,
            copied.reason,
            (copied.verdict is _COPIED) + copied.also_copied,
            copied.size_bytes,
            copied.sampled,
            move.references,
            move,
        )
        for move, copied in all_flipped
    ]
    made = make_all(Result, results)
    if any([move.left for move, _ in all_flipped]):  # noqa: C419 - done for each batch, and faster
        pairs = zip(made, all_flipped, strict=True)
        made = [result if move.left is None else _in_part(result, move) for result, (move, _) in pairs]
    return made


def _in_part(result: Result, move: Move) -> Result:
    """Return the result of a row that was flipped in part: what is left of it decides, and it has another value now."""
    outcome, reason = move.left or (_MIGRATED, None)
    return result._replace(reference=Reference(move.reference.key, move.new_path), outcome=outcome, reason=reason)


def _result(move: Move, copied: Copied, outcome: Outcome, reason: Reason | None) -> Result:
    objects = (copied.verdict is _COPIED) + copied.also_copied
    references = move.references if outcome is _MIGRATED else 0
    result = Result(move.reference, outcome, reason, objects, copied.size_bytes, copied.sampled, references, move)
    return _in_part(result, move) if references and move.left is not None else result
