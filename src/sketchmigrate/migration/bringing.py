"""Brings the objects of rows: of a row with several, the verdict on the row is made of those on its objects."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING

from sketchmigrate.core.mapping import Left, Move
from sketchmigrate.core.outcome import Outcome
from sketchmigrate.ledger.etags import etags_text
from sketchmigrate.migration.copier import Copied, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sketchmigrate.core.mapping import Mapping, ObjectPair
    from sketchmigrate.migration.copier import Copier
    from sketchmigrate.migration.flipping import Brought

OUTCOME_OF = {
    Verdict.MISSING: Outcome.MISSING,
    Verdict.CONFLICT: Outcome.CONFLICT,
    Verdict.FAILED: Outcome.FAILED,
}

_WORST_FIRST = (Verdict.UNTOUCHED, Verdict.FAILED, Verdict.CONFLICT, Verdict.MISSING)


async def bring(copier: Copier, moves: Sequence[Move], mapping: Mapping, *, look_first: bool) -> list[Brought]:
    """Bring the objects of all moves into production, and return the moves with the verdict on each row.

    A move of a row that may be moved in part comes back for the references whose objects are there alone.
    """
    if not any([move.more for move in moves]) and not mapping.partial:  # noqa: C419 - done for each batch, and faster
        return list(zip(moves, await copier.copy_all(moves, look_first=look_first), strict=True))
    errands = [Move(move.reference, move.new_path, *pair[:2]) for move in moves for pair in move.pairs]
    verdicts = iter(await copier.copy_all(errands, look_first=look_first))
    brought: list[Brought] = []
    for move in moves:
        of_row = [next(verdicts) for _ in move.pairs]
        copied = no_better_than(move.left, together(move.pairs, of_row))
        brought.append((in_part(mapping, move, of_row, copied) if mapping.partial else None) or (move, copied))
    return brought


def together(pairs: Sequence[ObjectPair], verdicts: Sequence[Copied]) -> Copied:
    """Return the verdict on a row from those on its objects: the worst of them. Pure.

    A companion that is not in legacy holds nothing up.
    """
    if len(verdicts) == 1:
        return verdicts[0]
    counting = [
        (pair, verdict)
        for pair, verdict in zip(pairs, verdicts, strict=True)
        if not (pair.is_companion and verdict.verdict is Verdict.MISSING)
    ]
    guarded = all(verdict.guarded for verdict in verdicts)
    copied = [verdict for verdict in verdicts if verdict.verdict is Verdict.COPIED]
    for kind in _WORST_FIRST:
        for pair, verdict in counting:
            if verdict.verdict is kind:
                reason = verdict.reason and verdict.reason.adding(which=str(pair.source))
                return Copied(kind, reason, guarded=guarded, also_copied=len(copied))
    told = next((verdict.reason for _, verdict in counting if verdict.reason), None)
    sizes = [verdict.size_bytes for verdict in copied]
    size_bytes = None if None in sizes or not sizes else sum(size or 0 for size in sizes)
    kind = Verdict.COPIED if copied else Verdict.IN_PLACE
    etags, read = (
        etags_text({pair.target.key: text(verdict) for pair, verdict in counting})
        for text in (attrgetter("etag"), attrgetter("read_checksum"))
    )
    also_copied = max(0, len(copied) - 1)
    return Copied(kind, told, size_bytes, etags, guarded, also_copied=also_copied, read_checksum=read)


def no_better_than(left: Left | None, copied: Copied) -> Copied:
    """Return the verdict on a row that is not flipped, where a reference of it cannot be moved: it failed. Pure."""
    if left is None or copied.verdict not in {Verdict.CONFLICT, Verdict.MISSING}:
        return copied
    return copied._replace(verdict=Verdict.FAILED, reason=left.reason)


def in_part(mapping: Mapping, move: Move, verdicts: Sequence[Copied], copied: Copied) -> Brought | None:
    """Return what can be flipped of a row of which not all can; None where that is all or nothing. Pure."""
    if copied.may_flip or copied.verdict is Verdict.UNTOUCHED:
        return None
    for pair, verdict in zip(move.pairs, verdicts, strict=True):
        if pair.is_companion and not verdict.may_flip and verdict.verdict is not Verdict.MISSING:
            return None  # nobody knows to which of the references it belongs
    there = [verdict.may_flip for verdict in verdicts]
    part = mapping.partly(move, there)
    if part is None:
        return None
    pairs = [pair for pair, is_there in zip(move.pairs, there, strict=True) if is_there]
    left = Left(OUTCOME_OF[copied.verdict], copied.reason)
    guarded = copied.guarded and all(verdict.verdict is not Verdict.FAILED for verdict in verdicts)
    verdict = together(pairs, [each for each in verdicts if each.may_flip])
    return part._replace(left=left), verdict._replace(guarded=verdict.guarded and guarded)
