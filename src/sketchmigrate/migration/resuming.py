"""Where the first pass of a run begins: behind the newest flip that an earlier run over the same tables has on record.

A second run would pass all that is finished before its first legacy row, up to a second for a million rows. So it goes
from that flip to the end, and then from the beginning to that flip, with a further pass if one has to come anyway. What
is on record only orders the work: the pass that ends a run has each key of each source, whatever a ledger says.
"""

from __future__ import annotations

import asyncio
import logging
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sketchmigrate.core.errors import MigrateError
from sketchmigrate.core.keys import key_from_stored
from sketchmigrate.core.reference import KeyRange
from sketchmigrate.ledger import past_runs
from sketchmigrate.migration.record import is_of, is_rollback
from sketchmigrate.postgres.statistics import estimate_rows

if TYPE_CHECKING:
    from sketchmigrate.core.reference import Key
    from sketchmigrate.ledger import PastFlip, PastRun
    from sketchmigrate.migration.site import Site
    from sketchmigrate.settings import Settings

MOST_RUNS = 20
"""So many of the newest ledgers are opened: runs over finished work have no flip, and may be many."""

log = logging.getLogger(__name__)


class Position(NamedTuple):
    """The key of a source, by its number, behind which the work begins.

    Before it there are about ``rows_before`` rows, of which ``rows_before_in_source`` are of that source, the others of
    those before it.
    """

    source: int
    key: Key
    rows_before: int = 0
    rows_before_in_source: int = 0


class Stretch(NamedTuple):
    """A range of a source, by its number: what is done without a break."""

    source: int
    key_range: KeyRange


def stretches_from(position: Position | None, sources: int) -> list[Stretch]:
    """Return the order of a pass over so many sources, in which each key of each is once. Pure."""
    if position is None:
        return [Stretch(number, KeyRange()) for number in range(sources)]
    at, key = position.source, position.key
    others = (*range(at + 1, sources), *range(at))
    return [
        Stretch(at, KeyRange(after=key)),
        *(Stretch(number, KeyRange()) for number in others),
        Stretch(at, KeyRange(until=key)),
    ]


async def newest_position(site: Site) -> Position | None:
    """Return where the newest run with a flip was, as far as that can be known and is a key of its table now.

    None otherwise, and where no ledger can be read: then the work begins at the beginning.
    """
    try:
        for past in await asyncio.to_thread(_newest_runs, site.settings):
            flip = await _newest_flip(past, site.settings)
            if flip is not None:
                return await _position(site, flip)
    except MigrateError as error:
        log.debug("Where an earlier run was is not known: %s", error)
    return None


def _newest_runs(settings: Settings) -> list[PastRun]:
    runs = past_runs(Path(settings.run_dir).expanduser(), settings)
    return list(islice(reversed(runs), MOST_RUNS))


async def _newest_flip(past: PastRun, settings: Settings) -> PastFlip | None:
    """Return the newest flip of a run; None where that was about other tables, or flipped nothing."""
    with past as run:
        if not run.flips or is_rollback(run) or not is_of(run, settings):
            return None
        page = await anext(run.newest_first(page_flips=1), None)
        return page[0] if page else None


async def _position(site: Site, flip: PastFlip) -> Position | None:
    """Return where a flip was; None where its key is of another type. Raises ``DatabaseError`` where it is no key."""
    if flip.source >= len(site.sources):
        return None
    table = site.sources[flip.source].table
    try:
        key = key_from_stored(flip.key, table.key.type_name)
    except ValueError:
        return None
    doing = "looking where an earlier run was"
    async with site.database.session() as session:
        rows = await session.run(estimate_rows, table, KeyRange(until=key), doing=doing)
    others = sum(each.table.estimated_rows or 0 for each in site.sources[: flip.source])
    return Position(flip.source, key, rows + others, rows)
