"""How far the migration is, from complete listings of both sides and a count of the table, page by page."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from sketchmigrate.core.appearance import LOOKED_AT, Legacy, other_row, readings
from sketchmigrate.core.keys import key_text
from sketchmigrate.core.mapping import MAX_KEY_BYTES
from sketchmigrate.core.reference import KeyRange
from sketchmigrate.core.spelling import other_cases
from sketchmigrate.core.status import Status
from sketchmigrate.inspect.listing.complete import Extent, list_all
from sketchmigrate.inspect.listing.keyspace import tails_of
from sketchmigrate.inspect.looks import Refused, looks_at
from sketchmigrate.postgres.neither import Others
from sketchmigrate.postgres.references import References
from sketchmigrate.postgres.statistics import parts, spread_paths
from sketchmigrate.task_group import all_of, task_group

if TYPE_CHECKING:
    from collections.abc import Callable

    from sketchmigrate.core.objects import ObjectInfo
    from sketchmigrate.core.rule import Rule
    from sketchmigrate.core.status import OtherRow
    from sketchmigrate.inspect.looks import Looks
    from sketchmigrate.postgres.database import Database
    from sketchmigrate.postgres.table import Table
    from sketchmigrate.sides import Sides

LOOKS_AT_ONCE = 500

COUNTED_AT_ONCE = 2
"""Parts of the table that are counted side by side, each by a process of the server, as one statement would have."""


async def read_status(
    sides: Sides,
    database: Database,
    table: Table,
    rule: Rule,
    told: Callable[[str, int, int | None], None],
) -> Status:
    """Count rows and objects of both sides at once. ``told`` hears how far the listing of each side and the count are.

    Raises ``S3Error`` or ``DatabaseError``.
    """
    legacy, production = Extent(), Extent()
    others = Others(rule, LOOKED_AT)
    async with database.session() as session:
        tails = tails_of(await spread_paths(session, table), (sides.legacy.prefix, sides.production.prefix))
        counted = await parts(session, table, COUNTED_AT_ONCE)
    async with task_group() as group:
        counting = group.create_task(_count_rows(database, table, counted, others, partial(told, "rows")))
        for side, extent in ((sides.legacy, legacy), (sides.production, production)):
            cuts = [side.prefix + tail for tail in tails]
            rows, hear = table.estimated_rows, partial(told, side.name.value)
            listing = list_all(side.store, side.bucket, side.prefix, extent, cuts=cuts, expected=rows, told=hear)
            group.create_task(listing)
    legacy_rows, production_rows, total_rows, paths = counting.result()
    return Status(
        legacy_objects=legacy.objects,
        legacy_bytes=legacy.size_bytes,
        production_objects=production.objects,
        production_bytes=production.size_bytes,
        legacy_rows=legacy_rows,
        production_rows=production_rows,
        total_rows=total_rows,
        paths=paths,
        others=await _looked_at(sides, others),
    )


async def _looked_at(sides: Sides, others: Others) -> tuple[OtherRow, ...]:
    """Say what rows on neither side seem to be, and ask whether the legacy objects are there that they may mean.

    Raises ``S3Error`` where the store is to blame; that it refuses one object is said of its rows.
    """
    legacy, looks = Legacy(sides.legacy.bucket, sides.legacy.prefix), looks_at(sides)
    keys = [[each.legacy_key for each in readings(row.path, legacy) if each.legacy_key] for row in others.rows]
    found = await _look(looks, {key for some in keys for key in some})
    refused = {key: one.remark for key, one in found.items() if isinstance(one, Refused)}
    there = {key: key for key in found.keys() - refused.keys()}
    left = {key for some in keys if there.keys().isdisjoint(some) for key in some}  # of rows that name none as it is
    cases = {key: other_cases(key, legacy.prefix) for key in left}
    in_other_cases = await _look(looks, {other for some in cases.values() for other in some})
    there |= {
        key: other
        for key, some in cases.items()
        for other in some
        if other in in_other_cases and not isinstance(in_other_cases[other], Refused)
    }
    return tuple(other_row(key_text(row.key), row.path, legacy, there, refused) for row in others.rows)


async def _look(looks: Looks, wanted: set[str]) -> dict[str, ObjectInfo | Refused]:
    """Return what the keys have: those with no object are left out, as are those that none can have."""
    keys = sorted(key for key in wanted if len(key.encode()) <= MAX_KEY_BYTES)
    side = looks.sides.legacy
    found: dict[str, ObjectInfo | Refused] = {}
    for first in range(0, len(keys), LOOKS_AT_ONCE):
        some = keys[first : first + LOOKS_AT_ONCE]
        seen = await all_of([looks.legacy(side.at(key)) for key in some])
        found |= {key: one for key, one in zip(some, seen, strict=True) if one is not None}
    return found


async def _count_rows(
    database: Database,
    table: Table,
    ranges: list[KeyRange],
    others: Others,
    told: Callable[[int, int | None], None],
) -> tuple[int, int, int, int]:
    """Count the rows of the legacy side, of the production side, all of them, and those with a path."""
    legacy = production = total = paths = 0

    async def count(key_range: KeyRange) -> None:
        nonlocal legacy, production, total, paths
        async with database.session() as session:
            references = References(session, table)
            async for page in references.counted_pages(key_range, others.rule):
                legacy, production, total = legacy + page.legacy, production + page.production, total + page.rows
                paths += page.paths
                told(total, table.estimated_rows)
                await others.take(references, page, key_range)
                key_range = KeyRange(page.last_key, key_range.until)

    await all_of([count(each) for each in ranges])
    return legacy, production, total, paths
