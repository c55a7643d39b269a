"""How far the migration is, from complete listings of both sides and a count of each source's table, page by page."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from sketchmigrate.core.appearance import LOOKED_AT, Legacy, other_row, readings
from sketchmigrate.core.keys import key_text
from sketchmigrate.core.mapping import MAX_KEY_BYTES
from sketchmigrate.core.reference import KeyRange
from sketchmigrate.core.rule import SideName
from sketchmigrate.core.spelling import other_cases
from sketchmigrate.core.status import PlaceStatus, SourceStatus, Status
from sketchmigrate.inspect.listing.complete import Extent
from sketchmigrate.inspect.listing.places import list_places, places_of_keys
from sketchmigrate.inspect.looks import Refused, looks_at
from sketchmigrate.postgres.neither import Others
from sketchmigrate.postgres.references import References
from sketchmigrate.postgres.statistics import parts, spread_paths
from sketchmigrate.task_group import all_of, task_group

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sketchmigrate.core.objects import Location, ObjectInfo
    from sketchmigrate.core.routes import Place, Routes
    from sketchmigrate.core.status import OtherRow
    from sketchmigrate.inspect.looks import Looks
    from sketchmigrate.migration.planning import SourceTable
    from sketchmigrate.postgres.database import Database
    from sketchmigrate.sides import Sides

LOOKS_AT_ONCE = 500

COUNTED_AT_ONCE = 2
"""Parts of the table that are counted side by side, each by a process of the server, as one statement would have."""


async def read_status(
    sides: Sides,
    database: Database,
    sources: Sequence[SourceTable],
    routes: Routes,
    told: Callable[[str, int, int | None], None],
) -> Status:
    """Count rows of all sources and objects of both sides at once, the objects of each place that a move names.

    ``told`` hears how far the listings and the counts are. Raises ``S3Error`` or ``DatabaseError``.
    """
    legacy: dict[Place, Extent] = {place: Extent() for place in routes.places(SideName.LEGACY)}
    production: dict[Place, Extent] = {place: Extent() for place in routes.places(SideName.PRODUCTION)}
    others = [Others(each.mapping, LOOKED_AT if each.source.is_of_keys else 0) for each in sources]
    cuts = [cut for each in sources for cut in await _cuts(database, each)]
    estimated = sources[0].table.estimated_rows if len(sources) == 1 else None
    async with task_group() as group:
        counting = group.create_task(_count_all(database, sources, others, told))
        for side, extents in ((sides.legacy, legacy), (sides.production, production)):
            listing = list_places(side, extents, extents.__getitem__, cuts=cuts, expected=estimated, told=told)
            group.create_task(listing)
    counted = counting.result()
    looked_at = [
        row
        for each, some in zip(sources, others, strict=True)
        for row in await _looked_at(sides, each.source.routes, some)
    ]
    return Status(
        legacy_objects=sum(extent.objects for extent in legacy.values()),
        legacy_bytes=sum(extent.size_bytes for extent in legacy.values()),
        production_objects=sum(extent.objects for extent in production.values()),
        production_bytes=sum(extent.size_bytes for extent in production.values()),
        legacy_rows=sum(each.legacy_rows for each in counted),
        production_rows=sum(each.production_rows for each in counted),
        total_rows=sum(each.total_rows for each in counted),
        paths=sum(each.paths for each in counted),
        others=tuple(looked_at),
        sources=tuple(counted),
        legacy_places=_places(legacy),
        production_places=_places(production),
    )


def _places(extents: dict[Place, Extent]) -> tuple[PlaceStatus, ...]:
    return tuple(PlaceStatus(str(place), extent.objects, extent.size_bytes) for place, extent in extents.items())


async def _cuts(database: Database, source: SourceTable) -> list[Location]:
    """Return where the listings may be cut, by what rows hold that are keys and nothing more."""
    if not source.source.is_of_keys:
        return []
    async with database.session() as session:
        return list(places_of_keys(source.source.routes, await spread_paths(session, source.table)))


async def _looked_at(sides: Sides, routes: Routes, others: Others) -> tuple[OtherRow, ...]:
    """Say what rows on neither side seem to be, and ask whether the legacy objects are there that they may mean.

    They are read as keys of the first move. Raises ``S3Error`` where the store is to blame; that it refuses one object
    is said of its rows.
    """
    first, looks = routes.all[0], looks_at([sides])
    legacy = Legacy(first.legacy_bucket, first.legacy_prefix)
    keys = [[each.legacy_key for each in readings(row.path, legacy) if each.legacy_key] for row in others.rows]
    found = await _look(looks, legacy, {key for some in keys for key in some})
    refused = {key: one.remark for key, one in found.items() if isinstance(one, Refused)}
    there = {key: key for key in found.keys() - refused.keys()}
    left = {key for some in keys if there.keys().isdisjoint(some) for key in some}  # of rows that name none as it is
    cases = {key: other_cases(key, legacy.prefix) for key in left}
    in_other_cases = await _look(looks, legacy, {other for some in cases.values() for other in some})
    there |= {
        key: other
        for key, some in cases.items()
        for other in some
        if other in in_other_cases and not isinstance(in_other_cases[other], Refused)
    }
    return tuple(other_row(key_text(row.key), row.path, legacy, there, refused) for row in others.rows)


async def _look(looks: Looks, legacy: Legacy, wanted: set[str]) -> dict[str, ObjectInfo | Refused]:
    """Return what the keys have: those with no object are left out, as are those that none can have."""
    keys = sorted(key for key in wanted if len(key.encode()) <= MAX_KEY_BYTES)
    found: dict[str, ObjectInfo | Refused] = {}
    for first in range(0, len(keys), LOOKS_AT_ONCE):
        some = keys[first : first + LOOKS_AT_ONCE]
        seen = await all_of([looks.legacy(legacy.at(key)) for key in some])
        found |= {key: one for key, one in zip(some, seen, strict=True) if one is not None}
    return found


async def _count_all(
    database: Database,
    sources: Sequence[SourceTable],
    others: Sequence[Others],
    told: Callable[[str, int, int | None], None],
) -> list[SourceStatus]:
    """Count the rows of one source after the other."""
    counted: list[SourceStatus] = []
    for each, some in zip(sources, others, strict=True):
        part = "rows" if len(sources) == 1 else f"rows of {each.source.name}"
        counted.append(await _count_rows(database, each, some, partial(told, part)))
    return counted


async def _count_rows(
    database: Database, source: SourceTable, others: Others, told: Callable[[int, int | None], None]
) -> SourceStatus:
    """Count the rows of the legacy side, of the production side, all of them, and those with a path."""
    table = source.table
    legacy = production = total = paths = 0

    async def count(key_range: KeyRange) -> None:
        nonlocal legacy, production, total, paths
        async with database.session() as session:
            references = References(session, table)
            async for page in references.counted_pages(key_range, others.mapping):
                legacy, production, total = legacy + page.legacy, production + page.production, total + page.rows
                paths += page.paths
                told(total, table.estimated_rows)
                await others.take(references, page, key_range)
                key_range = KeyRange(page.last_key, key_range.until)

    async with database.session() as session:
        ranges = await parts(session, table, COUNTED_AT_ONCE)
    await all_of([count(each) for each in ranges])
    return SourceStatus(source.source.name, legacy, production, total, paths)
