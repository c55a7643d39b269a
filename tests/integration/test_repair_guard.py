"""Which condition keeps a repair from replacing what is not ours, tried on every store; nothing stays behind."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from sketch_migrate.model import Location
from sketch_migrate.reconcile.guard import Guard, find_guard
from sketch_migrate.s3 import CredentialSource, S3Client, S3Config
from sketch_migrate.s3.probe_folder import PROBE_FOLDER, ProbeFolder

if TYPE_CHECKING:
    import pytest

    from tests.servers.stores import Store

EXPECTED = {"rclone": Guard.LOOK, "moto": Guard.PUT, "ceph": Guard.PUT_BARE}


async def test_each_store_is_found_out(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setitem(os.environ, name, store.environ()[name])
    config = S3Config(endpoint_url=store.endpoint_url)
    async with S3Client(config, CredentialSource.from_environment()) as client:
        folder = ProbeFolder(client, Location(store.production_bucket, f"avatar/{PROBE_FOLDER}0/"))
        guard = await find_guard(folder)
        await folder.clear()
    assert guard is EXPECTED[store.name]
    assert folder.left_behind == []
    assert store.keys(store.production_bucket) == []
