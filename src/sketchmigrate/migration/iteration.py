"""One iteration: copy the objects of a batch, put the flips on record, flip the references, say what became of each.

The order is the safety of the whole tool: an object is in production before its flip is recorded, and the flip is on
disk before the database sees it. Whatever interrupts it leaves rows that are either flipped or legacy, and a legacy row
is simply taken up again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sketchmigrate.core.outcome import Outcome, Result
from sketchmigrate.core.reference import make_all
from sketchmigrate.ledger import Flip
from sketchmigrate.migration.bringing import OUTCOME_OF, bring
from sketchmigrate.migration.copier import Copied, Verdict
from sketchmigrate.migration.flip_outcome import standing
from sketchmigrate.migration.flipping import Flipping, play

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sketchmigrate.core.mapping import Move
    from sketchmigrate.core.reason import Reason
    from sketchmigrate.core.reference import Key, Reference
    from sketchmigrate.ledger import Ledger
    from sketchmigrate.migration.copier import Copier
    from sketchmigrate.migration.flipping import Brought
    from sketchmigrate.migration.planning import Planner, SourceTable

# Python 3.11 takes 0.3 µs to find a member by its name.
_MIGRATED = Outcome.MIGRATED
_COPIED = Verdict.COPIED


@dataclass(frozen=True, slots=True)
class Iteration:
    """What an iteration works with. The session in ``flipping`` is this iteration's own, the rest is shared."""

    planner: Planner
    source: SourceTable
    copier: Copier
    ledger: Ledger
    flipping: Flipping
    dry_run: bool

    async def run(
        self, references: Sequence[Reference], results: list[Result], *, again: bool = False, waits: bool = False
    ) -> None:
        """Migrate a batch, and append what becomes of each reference to ``results`` as soon as it is known.

        A reference whose row is locked gets no result, and is written into the ledger as locked. ``again`` says that
        it is there already: what was copied for it is looked for, and not copied once more. With ``waits`` each row
        is waited for. References that were not begun because the run is stopping get no result either. Raises
        ``MigrateError`` where the run cannot go on; the results until then are true.
        """
        moves, refused = await self.planner.plan(references, self.flipping.references)
        results += [Result(reference, Outcome.FAILED, reason) for reference, reason in refused]
        unguarded = bool(moves) and await self.copier.unguarded()
        if unguarded:
            await self.ledger.open_copies(moves)
        brought = await bring(self.copier, moves, self.source.mapping, look_first=again)
        ready = [entry for entry in brought if entry[1].may_flip]
        if again and ready:
            ready = await self._as_copied_before(ready)
        stuck: list[Brought] = []
        if len(ready) < len(brought):
            stuck = [(m, c) for m, c in brought if not c.may_flip and c.verdict is not Verdict.UNTOUCHED]
        try:
            if self.dry_run:
                results += await play(self.flipping.references, ready)
            elif ready:
                await self._flip(ready, results, unguarded=unguarded, again=again, waits=waits)
            if stuck and (locked := await self._look_again(stuck, results)) and not again:
                await self.ledger.record_locked(locked)
        finally:
            others = [result for result in results if result.outcome is not _MIGRATED or result.reason]
            if others:
                await self.ledger.record_not_flipped(others)
            if again and results:
                await self.ledger.forget_locked(result.reference.key for result in results)
        if unguarded and not again:  # of what is taken up again, the first copy may have replaced something
            await self.ledger.settle_copies(
                move.reference.key for move, copied in (*ready, *stuck) if is_harmless(copied)
            )

    async def _look_again(self, stuck: Sequence[Brought], results: list[Result]) -> list[Result]:
        """Say what became of references whose object cannot be brought: nobody is needed where the row has changed.

        Return those that a COMMIT of ours without an answer may yet set: they are locked, whatever their object is, as
        a word against the flip would keep a rollback from it.
        """
        locked: list[Result] = []
        looked = await self.flipping.references.look_again([move for move, _ in stuck])
        for move, copied in stuck:
            unanswered = move.reference.key in self.flipping.control.unanswered  # a flip of an earlier round
            outcome, reason = standing(move, looked, unanswered=unanswered, waited=False)
            if outcome is None and unanswered:
                locked.append(Result(move.reference, Outcome.FAILED, copied.reason))
                continue
            if outcome is None:
                outcome, reason = OUTCOME_OF[copied.verdict], naming(move, copied.reason)
            results.append(Result(move.reference, outcome, reason, copied.also_copied, move=move))
        return locked

    async def _flip(
        self, ready: Sequence[Brought], results: list[Result], *, unguarded: bool, again: bool, waits: bool
    ) -> None:
        """Put the flips on record, and flip; what is locked is put on record as well."""
        flips = [
            (
                m.reference.key,
                m.reference.path,
                m.new_path,
                copied.size_bytes,
                copied.etag,
                copied.verdict is _COPIED,
                copied.read_checksum,
            )
            for m, copied in ready
        ]
        clock = self.flipping.references.session.clock
        await self.ledger.record_flips(make_all(Flip, flips), unix_time=clock.unix_time())
        noted = await self._noted(ready, unguarded=unguarded, again=again)
        locked = await self.flipping.flip(ready, results, noted=noted, waits=waits)
        if locked and not again:
            await self.ledger.record_locked(locked)

    async def _as_copied_before(self, ready: Sequence[Brought]) -> list[Brought]:
        """Return what was found in place as copied, where this run copied it when it found the row locked."""
        before = await self.ledger.copied_before([move.reference.key for move, _ in ready])
        found: list[Brought] = []
        for move, copied in ready:
            if move.reference.key in before:
                size_bytes, reason = before[move.reference.key]
                copied = copied._replace(verdict=_COPIED, size_bytes=size_bytes, reason=reason)  # noqa: PLW2901 - as it was
            found.append((move, copied))
        return found

    async def _noted(self, ready: Sequence[Brought], *, unguarded: bool, again: bool) -> set[Key]:
        """Return the keys of the rows whose object was copied without a condition: their flips are noted."""
        if unguarded:
            return {move.reference.key for move, _ in ready}
        alone = [move for move, copied in ready if not copied.guarded]
        if alone:
            await self.ledger.open_copies(alone)  # large ones, for which the store has no condition
        noted = {move.reference.key for move in alone}
        if again:  # the copy that was made the first time
            noted |= await self.ledger.unsettled_among([move.reference.key for move, _ in ready])
        return noted


def naming(move: Move, reason: Reason | None) -> Reason | None:
    """Return the reason with the object that it is about, where the row's value is not its key and so does not say."""
    if reason is None or "which" in reason.details or move.source.key == move.reference.path:
        return reason
    return reason.adding(which=str(move.source))


def is_harmless(copied: Copied) -> bool:
    """Whether nothing was written for a reference that may have replaced anything unseen."""
    return copied.guarded and copied.verdict is not Verdict.FAILED
