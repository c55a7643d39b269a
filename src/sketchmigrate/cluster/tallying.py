"""Counts what became of a pass by the ledgers of its workers, not by what they returned."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from sketchmigrate.cluster.count import by_reference, results
from sketchmigrate.core.keys import stored_key
from sketchmigrate.core.outcome import Outcome, Tally
from sketchmigrate.migration.record import key_of
from sketchmigrate.postgres.references import References

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sketchmigrate.ledger import Attempt, WholeLedger, Word
    from sketchmigrate.migration.site import Site
    from sketchmigrate.postgres.session import Session


async def count_pass(
    number: int,
    returned: Mapping[tuple[str, int], Tally],
    ledger: WholeLedger,
    site: Site,
    session: Session,
    *,
    dry_run: bool,
) -> Tally:
    """Return what became of all references of a pass, each counted once, and make it the run's own word.

    ``returned`` are the tallies of the attempts that were seen to end, by worker and number. Raises ``MigrateError``.
    """
    attempts: defaultdict[int, list[Attempt]] = defaultdict(list)
    for attempt in await ledger.attempts(number):
        attempts[attempt.range_number].append(attempt)
    tally = Tally()
    alone: list[Attempt] = []
    for made in attempts.values():
        ended = [attempt for attempt in made if attempt.tally is not None]
        # a dry run changes nothing, so every attempt that saw its range to the end saw the same
        if ended and (len(made) == 1 or dry_run):
            alone.append(ended[-1])
            tally += returned.get((ended[-1].worker, ended[-1].number), ended[-1].tally or Tally())
        else:
            tally += await _count_range(made, ledger, site, session)
    await ledger.take_over(alone)
    return tally


async def _count_range(attempts: Sequence[Attempt], ledger: WholeLedger, site: Site, session: Session) -> Tally:
    """Count a range that was begun more than once, key by key."""
    said = by_reference(_with_keys(await ledger.words(attempts), site))
    open_keys = [reference.key for reference, each in said.items() if each.is_open]
    now = await References(session, site.table).look_up(open_keys)
    counted = list(results(said, now))
    await ledger.record_not_flipped([each for each in counted if each.outcome is not Outcome.MIGRATED or each.reason])
    return Tally.of(counted)


def _with_keys(words: Sequence[Word], site: Site) -> list[Word]:
    """Give the keys the type that they have in the table: a ledger has no uuid."""
    return [
        word._replace(reference=word.reference._replace(key=key_of(site.table, stored_key(word.reference.key))))
        for word in words
    ]
