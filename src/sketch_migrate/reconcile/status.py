"""How far the migration is, from complete listings of both sides and one count over the table."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sketch_migrate.model import Status
from sketch_migrate.postgres.references import count_sides
from sketch_migrate.reconcile.listing import Extent, list_all

if TYPE_CHECKING:
    from sketch_migrate.postgres.connection import Connection, Database
    from sketch_migrate.postgres.references import Table
    from sketch_migrate.s3 import S3Client
    from sketch_migrate.settings import Settings


async def read_status(store: S3Client, database: Database, table: Table, settings: Settings) -> Status:
    """Count rows and objects of both sides at once. Raises ``S3Error`` or ``DatabaseError``."""

    async def count(connection: Connection) -> tuple[int, int, int]:
        return await count_sides(connection, table, settings.legacy_prefix, settings.production_prefix)

    legacy, production = Extent(), Extent()
    async with database.session() as session:
        *_, rows = await asyncio.gather(
            list_all(store, settings.legacy_bucket, settings.legacy_prefix, legacy),
            list_all(store, settings.production_bucket, settings.production_prefix, production),
            session.run(count, doing=f"counting the rows of {settings.db_table}", unlimited=True),
        )
    return Status(
        legacy_objects=legacy.objects,
        legacy_bytes=legacy.size_bytes,
        production_objects=production.objects,
        production_bytes=production.size_bytes,
        legacy_rows=rows[0],
        production_rows=rows[1],
        total_rows=rows[2],
    )
