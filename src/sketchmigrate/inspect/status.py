"""How far the migration is, from complete listings of both sides and a count of the table, page by page."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from sketchmigrate.core.appearance import LOOKED_AT, Legacy, other_row, readings
from sketchmigrate.core.errors import S3Error
from sketchmigrate.core.keys import key_text
from sketchmigrate.core.reference import KeyRange
from sketchmigrate.core.spelling import other_cases
from sketchmigrate.core.status import Status
from sketchmigrate.inspect.listing.complete import Extent, list_all
from sketchmigrate.inspect.listing.keyspace import tails_of
from sketchmigrate.postgres.neither import Others
from sketchmigrate.postgres.references import References
from sketchmigrate.postgres.statistics import parts, spread_paths
from sketchmigrate.task_group import all_of, task_group

if TYPE_CHECKING:
    from collections.abc import Callable

    from sketchmigrate.core.rule import Rule
    from sketchmigrate.core.status import OtherRow
    from sketchmigrate.postgres.database import Database
    from sketchmigrate.postgres.table import Table
    from sketchmigrate.sides import Side, Sides

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
        others=await _looked_at(sides.legacy, others),
    )


async def _looked_at(side: Side, others: Others) -> tuple[OtherRow, ...]:
    """Say what rows on neither side seem to be, and ask whether the legacy objects are there that they may mean."""
    legacy = Legacy(side.bucket, side.prefix)
    keys = [[each.legacy_key for each in readings(row.path, legacy) if each.legacy_key] for row in others.rows]
    there = {key: key for key in await _existing(side, {key for some in keys for key in some})}
    left = {key for some in keys if there.keys().isdisjoint(some) for key in some}  # of rows that name none as it is
    cases = {key: other_cases(key, legacy.prefix) for key in left}
    found = await _existing(side, {other for some in cases.values() for other in some})
    there |= {key: other for key, some in cases.items() for other in some if other in found}
    return tuple(other_row(key_text(row.key), row.path, legacy, there) for row in others.rows)


async def _existing(side: Side, wanted: set[str]) -> set[str]:
    """Return those of the keys that have an object. Raises ``S3Error`` where the store is to blame."""
    there: set[str] = set()

    async def look(key: str) -> None:
        try:
            await side.store.head(side.at(key))
        except S3Error as error:
            if not error.is_client_error:
                raise  # else it is not there, or may not be read, or has a key that no object can have
        else:
            there.add(key)

    keys = sorted(wanted)
    for first in range(0, len(keys), LOOKS_AT_ONCE):
        await all_of([look(key) for key in keys[first : first + LOOKS_AT_ONCE]])
    return there


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
