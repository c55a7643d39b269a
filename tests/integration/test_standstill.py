"""For what a run without progress waits: the oldest request to a store, the oldest work in the database, or neither."""

from __future__ import annotations

import asyncio
import re
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from sketchmigrate.core.objects import Location
from sketchmigrate.migration import standstill
from sketchmigrate.migration.standstill import StandstillWatch
from sketchmigrate.report.progress import Progress, line
from sketchmigrate.s3 import CredentialSource, S3Client, S3Config
from tests.fault.shared import shared, until
from tests.servers.s3_fault_proxy import S3FaultProxy
from tests.servers.s3_faults import stall

if TYPE_CHECKING:
    import pytest
    from psycopg import AsyncConnection

    from tests.servers.databases import Database
    from tests.servers.stores import Store


async def sleep(connection: AsyncConnection, seconds: float) -> None:
    await connection.execute("SELECT pg_sleep(%s)", [seconds])


async def test_it_names_what_is_under_way_longest(
    database: Database, rclone_store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(standstill, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(standstill, "SAID_AFTER_SECONDS", 0.2)
    of = r"HeadObject of s3://\S+/image/1\.png at 127\.0\.0\.1:\d+, attempt 1"
    head = re.compile(rf"No progress for \d s: waiting for {of}, since \d s")
    loop = asyncio.get_running_loop()
    progress = Progress(None, loop.time, on_update=lambda: None)
    with S3FaultProxy(rclone_store.endpoint_url) as proxy:
        proxy.on(stall(30), operation="head")
        source = CredentialSource.static(rclone_store.access_key, rclone_store.secret_key)
        config = S3Config(endpoint_url=proxy.endpoint_url)
        async with shared(database) as ours, S3Client(config, source) as store:
            site: Any = SimpleNamespace(
                database=ours, sides=SimpleNamespace(stores=(store,)), silence=SimpleNamespace(refused="")
            )
            async with StandstillWatch(site, progress, progress.stand_still):
                await until(lambda: "nothing is asked of store or database" in line(progress.figures))
                async with ours.session() as session:
                    working = asyncio.create_task(session.run(sleep, 1.5, doing="reading references"))
                    await until(lambda: "reading references, since" in line(progress.figures))
                    looking = asyncio.create_task(store.head(Location(rclone_store.legacy_bucket, "image/1.png")))
                    await working
                    await until(lambda: any(head.fullmatch(record.getMessage()) for record in caplog.records))
                    looking.cancel()
                progress.update(1, progress.figures.tally)
                await until(lambda: "no progress" not in line(progress.figures))
