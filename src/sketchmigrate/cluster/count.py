"""What became of a range that was begun more than once, each reference counted once. Pure.

A single attempt that ended is counted by its own tally. Where a worker was lost, or the same range ran twice at once,
the ledgers are asked key by key. A flip that was made wins over one that was found made, and that over all else: twins
tell each other's flips as ``already``. What an attempt without an end only set out to do, the rows have to confirm.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from sketchmigrate.core.outcome import Outcome, Result

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sketchmigrate.core.reference import Key, Reference
    from sketchmigrate.ledger import Attempt, Word


class Said(NamedTuple):
    """All that was put on record of one reference, by attempt, the oldest first. Outcome None is an intended flip."""

    new_path: str
    outcomes: list[tuple[Outcome | None, str]]
    copied: bool
    size_bytes: int | None

    @property
    def is_open(self) -> bool:
        """Whether only the row can tell if it was flipped."""
        outcomes = {outcome for outcome, _ in self.outcomes}
        return None in outcomes and Outcome.MIGRATED not in outcomes


def by_reference(words: Iterable[Word]) -> dict[Reference, Said]:
    """Bring together what several attempts said of each reference."""
    heard: defaultdict[Reference, dict[tuple[float, Attempt], list[Word]]] = defaultdict(dict)
    for word in words:
        heard[word.reference].setdefault((word.attempt.began_at, word.attempt), []).append(word)
    return {reference: _said(heard[reference]) for reference in heard}


def _said(by_attempt: Mapping[tuple[float, Attempt], Sequence[Word]]) -> Said:
    words = [word for said in by_attempt.values() for word in said]
    flips = [word for word in words if word.outcome is None]
    return Said(
        new_path=flips[-1].new_path if flips else "",
        outcomes=[_outcome(*each) for each in sorted(by_attempt.items(), key=lambda each: each[0][0])],
        copied=any(flip.copied for flip in flips),
        size_bytes=next((flip.size_bytes for flip in flips if flip.size_bytes is not None), None),
    )


def _outcome(attempt: tuple[float, Attempt], words: Sequence[Word]) -> tuple[Outcome | None, str]:
    """Return what one attempt says: an intended flip came about if the attempt ended and says nothing else."""
    for word in words:
        if word.outcome is not None:
            return word.outcome, word.reason
    return (Outcome.MIGRATED if attempt[1].is_clean else None), ""


def results(said: Mapping[Reference, Said], now: Mapping[Key, str | None]) -> Iterator[Result]:
    """Yield one result for each reference. ``now`` has the paths of the rows that are open, absent where deleted.

    What nobody brought to an end, because the run is stopping, has none.
    """
    for reference, each in said.items():
        outcome, reason = _decided(reference, each, now)
        if outcome is not None:
            yield Result(reference, outcome, reason, each.copied, each.size_bytes if each.copied else None)


def _decided(reference: Reference, said: Said, now: Mapping[Key, str | None]) -> tuple[Outcome | None, str]:
    told = {outcome: reason for outcome, reason in said.outcomes if outcome is not None}
    if Outcome.MIGRATED in told:
        return Outcome.MIGRATED, told[Outcome.MIGRATED]
    path = now.get(reference.key)
    if said.is_open and path == said.new_path:
        return Outcome.MIGRATED, ""
    if Outcome.ALREADY in told:
        return Outcome.ALREADY, told[Outcome.ALREADY]
    if told:
        outcome = list(told)[-1]
        return outcome, told[outcome]
    return (None if path == reference.path else Outcome.SUPERSEDED), ""
