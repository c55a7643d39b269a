"""How far the migration is, from complete listings of both sides and one count over the table."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from sketch_migrate.model import Status
from sketch_migrate.postgres.histogram import spread_paths
from sketch_migrate.postgres.references import count_sides
from sketch_migrate.postgres.session import Limits
from sketch_migrate.reconcile.keyspace import tails_of
from sketch_migrate.reconcile.listing import Extent, list_all
from sketch_migrate.task_group import task_group

if TYPE_CHECKING:
    from collections.abc import Callable

    from sketch_migrate.postgres.database import Database
    from sketch_migrate.postgres.session import Connection
    from sketch_migrate.postgres.table import Table
    from sketch_migrate.s3 import S3Client
    from sketch_migrate.settings import Settings


async def read_status(
    store: S3Client,
    database: Database,
    table: Table,
    settings: Settings,
    told: Callable[[str, int, int | None], None],
) -> Status:
    """Count rows and objects of both sides at once. ``told`` hears how far the listing of each side is.

    Raises ``S3Error`` or ``DatabaseError``.
    """
    prefixes = settings.legacy_prefix, settings.production_prefix

    async def spread(connection: Connection) -> list[str]:
        return await spread_paths(connection, table)

    async def count(connection: Connection) -> tuple[int, int, int]:
        return await count_sides(connection, table, *prefixes)

    legacy, production = Extent(), Extent()
    async with database.session() as session:
        tails = tails_of(await session.run(spread, doing="looking at the spread of the paths"), prefixes)
        async with task_group() as group:
            counting = group.create_task(
                session.run(
                    count,
                    doing=f"counting the rows of {settings.db_table}",
                    limits=Limits.of_a_long_statement(settings),
                )
            )
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
