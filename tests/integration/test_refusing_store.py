"""A store that answers, and takes no request: what it refused last is said as long as nothing succeeds."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from sketchmigrate.core.errors import S3Error
from sketchmigrate.core.objects import Location
from sketchmigrate.migration import watch
from sketchmigrate.migration.watch import SilenceWatch
from sketchmigrate.s3 import CredentialSource, S3Client, S3Config
from tests.servers import s3_faults
from tests.servers.s3_fault_proxy import S3FaultProxy

if TYPE_CHECKING:
    import pytest

    from tests.servers.stores import Store


async def test_it_is_said_and_shown_until_a_request_succeeds(
    rclone_store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(watch, "REFUSED_SECONDS", 0.6)  # which is 30 s otherwise
    monkeypatch.setattr(watch, "LOOK_SECONDS", 0.05)
    rclone_store.put_all(rclone_store.legacy_bucket, {"image/1.png": b"picture"})
    place = Location(rclone_store.legacy_bucket, "image/1.png")
    source = CredentialSource.static(rclone_store.access_key, rclone_store.secret_key)
    with S3FaultProxy(rclone_store.endpoint_url) as proxy, caplog.at_level(logging.WARNING):
        proxy.on(s3_faults.status(503, "SlowDown"), operation="get")
        config = S3Config(endpoint_url=proxy.endpoint_url, retry_seconds=60)
        async with S3Client(config, source) as client, SilenceWatch([("the store", client)]) as watching:
            shown: asyncio.Future[str] = asyncio.get_running_loop().create_future()
            reading = asyncio.create_task(client.get(place, 0, 100))
            with watching.told_to(lambda note: shown.set_result(note) if note and not shown.done() else None):
                note = await asyncio.wait_for(shown, 20)
            assert note.startswith("the store has refused all requests for ")
            assert sum(proxy.hits.values()) >= 1
            assert "No progress: the store has refused all requests for" in caplog.text
            assert "; the last one, in attempt " in caplog.text
            assert "GetObject s3://" in caplog.text
            proxy.clear()
            assert await asyncio.wait_for(reading, 60) == b"picture"
            assert client.refused is None
            missing = Location(place.bucket, "image/none.png")
            with suppress(S3Error):
                await client.head(missing)
            assert client.refused is None, "that an object is missing is an answer"
