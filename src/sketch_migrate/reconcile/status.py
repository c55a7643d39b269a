"""How far the migration is, from complete listings of both sides and a count of the table, page by page."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from sketch_migrate.model import Status
from sketch_migrate.postgres.cuts import parts
from sketch_migrate.postgres.histogram import spread_paths
from sketch_migrate.postgres.references import counted_pages
from sketch_migrate.reconcile.keyspace import tails_of
from sketch_migrate.reconcile.listing import Extent, list_all
from sketch_migrate.task_group import all_of, task_group

if TYPE_CHECKING:
    from collections.abc import Callable

    from sketch_migrate.model import KeyRange
    from sketch_migrate.postgres.database import Database
    from sketch_migrate.postgres.table import Table
    from sketch_migrate.s3 import S3Client
    from sketch_migrate.settings import Settings

COUNTED_AT_ONCE = 2
"""Parts of the table that are counted side by side, each by a process of the server, as one statement would have."""


async def read_status(
    store: S3Client,
    database: Database,
    table: Table,
    settings: Settings,
    told: Callable[[str, int, int | None], None],
) -> Status:
    """Count rows and objects of both sides at once. ``told`` hears how far the listing of each side and the count are.

    Raises ``S3Error`` or ``DatabaseError``.
    """
    prefixes = settings.legacy_prefix, settings.production_prefix

    legacy, production = Extent(), Extent()
    async with database.session() as session:
        tails = tails_of(await spread_paths(session, table), prefixes)
        counted = await parts(session, table, COUNTED_AT_ONCE)
    async with task_group() as group:
        counting = group.create_task(_count_rows(database, table, counted, prefixes, partial(told, "rows")))
        for side, bucket, prefix, extent in (
            ("legacy", settings.legacy_bucket, prefixes[0], legacy),
            ("production", settings.production_bucket, prefixes[1], production),
        ):
            cuts = [prefix + tail for tail in tails]
            rows, hear = table.estimated_rows, partial(told, side)
            group.create_task(list_all(store, bucket, prefix, extent, cuts=cuts, expected=rows, told=hear))
    legacy_rows, production_rows, total_rows = counting.result()
    return Status(
        legacy_objects=legacy.objects,
        legacy_bytes=legacy.size_bytes,
        production_objects=production.objects,
        production_bytes=production.size_bytes,
        legacy_rows=legacy_rows,
        production_rows=production_rows,
        total_rows=total_rows,
    )


async def _count_rows(
    database: Database,
    table: Table,
    ranges: list[KeyRange],
    prefixes: tuple[str, str],
    told: Callable[[int, int | None], None],
) -> tuple[int, int, int]:
    """Count the rows of the legacy side, of the production side, and all of them."""
    legacy = production = total = 0

    async def count(key_range: KeyRange) -> None:
        nonlocal legacy, production, total
        async with database.session() as session:
            async for page in counted_pages(session, table, key_range, prefixes):
                legacy, production, total = legacy + page.legacy, production + page.production, total + page.rows
                told(total, table.estimated_rows)

    await all_of([count(each) for each in ranges])
    return legacy, production, total
