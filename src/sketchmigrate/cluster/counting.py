"""Counts what became of a pass by the ledgers of its workers, not by what they returned: each reference once.

A single attempt that ended is counted by its own tally. Where a worker was lost, or the same range ran twice at once,
the ledgers are asked key by key. A flip that was made wins over one that was found made, and that over all else: twins
tell each other's flips as ``already``. What an attempt without an end only set out to do, the rows have to confirm.
``by_reference`` and ``results`` decide that, and are pure.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from sketchmigrate.core.keys import stored_key
from sketchmigrate.core.outcome import Outcome, Result, Tally
from sketchmigrate.migration.record import key_of
from sketchmigrate.postgres.references import References

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sketchmigrate.core.reason import Reason
    from sketchmigrate.core.reference import Key, Reference
    from sketchmigrate.ledger import Attempt, WholeLedger, Word
    from sketchmigrate.migration.planning import SourceTable
    from sketchmigrate.postgres.session import Session
    from sketchmigrate.postgres.table import Table


class Said(NamedTuple):
    """All that was put on record of one reference, by attempt, the oldest first. Outcome None is an intended flip."""

    new_path: str
    outcomes: list[tuple[Outcome | None, Reason | None]]
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


def _outcome(attempt: tuple[float, Attempt], words: Sequence[Word]) -> tuple[Outcome | None, Reason | None]:
    """Return what one attempt says: an intended flip came about if the attempt ended and says nothing else."""
    for word in words:
        if word.outcome is not None:
            return word.outcome, word.reason
    return (Outcome.MIGRATED if attempt[1].is_clean else None), None


def results(said: Mapping[Reference, Said], now: Mapping[Key, str | None]) -> Iterator[Result]:
    """Yield one result for each reference. ``now`` has the paths of the rows that are open, absent where deleted.

    What nobody brought to an end, because the run is stopping, has none.
    """
    for reference, each in said.items():
        outcome, reason = _decided(reference, each, now)
        if outcome is not None:
            moved = int(outcome is Outcome.MIGRATED)
            size_bytes = each.size_bytes if each.copied else None
            yield Result(reference, outcome, reason, each.copied, size_bytes, references=moved)


def _decided(reference: Reference, said: Said, now: Mapping[Key, str | None]) -> tuple[Outcome | None, Reason | None]:
    told = {outcome: reason for outcome, reason in said.outcomes if outcome is not None}
    if Outcome.MIGRATED in told:
        return Outcome.MIGRATED, told[Outcome.MIGRATED]
    path = now.get(reference.key)
    if said.is_open and path == said.new_path:
        return Outcome.MIGRATED, None
    if Outcome.ALREADY in told:
        return Outcome.ALREADY, told[Outcome.ALREADY]
    if told:
        outcome = list(told)[-1]
        return outcome, told[outcome]
    return (None if path == reference.path else Outcome.SUPERSEDED), None


async def count_pass(
    number: int,
    returned: Mapping[tuple[str, int], Tally],
    ledger: WholeLedger,
    sources: Sequence[SourceTable],
    session: Session,
    *,
    dry_run: bool,
) -> list[Tally]:
    """Return what became of all references of a pass, by source, each counted once, and make it the run's own word.

    ``sources`` are all of the site's, each with its table as the workers had it. ``returned`` are the tallies of the
    attempts that were seen to end, by worker and number. Raises ``MigrateError``.
    """
    attempts: defaultdict[int, list[Attempt]] = defaultdict(list)
    for attempt in await ledger.attempts(number):
        attempts[attempt.range_number].append(attempt)
    tallies = [Tally() for _ in sources]
    alone: list[Attempt] = []
    for made in attempts.values():
        ended = [attempt for attempt in made if attempt.tally is not None]
        # a dry run changes nothing, so every attempt that saw its range to the end saw the same
        if ended and (len(made) == 1 or dry_run):
            alone.append(ended[-1])
            found = returned.get((ended[-1].worker, ended[-1].number), ended[-1].tally or Tally())
        else:
            found = await _count_range(made, ledger, sources[made[0].source], session)
        tallies[made[0].source] += found
    await ledger.take_over(alone)
    return tallies


async def _count_range(
    attempts: Sequence[Attempt], ledger: WholeLedger, source: SourceTable, session: Session
) -> Tally:
    """Count a range that was begun more than once, key by key."""
    said = by_reference(_with_keys(await ledger.words(attempts), source.table))
    open_rows = {reference.key: each.new_path for reference, each in said.items() if each.is_open}
    now = await References(session, source.table).look_up_flipped(open_rows)
    counted = list(results(said, now))
    ledger.source = source.source.number
    await ledger.record_not_flipped([each for each in counted if each.outcome is not Outcome.MIGRATED or each.reason])
    return Tally.of(counted)


def _with_keys(words: Sequence[Word], table: Table) -> list[Word]:
    """Give the keys the type that they have in the table: a ledger has no uuid."""
    return [
        word._replace(reference=word.reference._replace(key=key_of(table, stored_key(word.reference.key))))
        for word in words
    ]
