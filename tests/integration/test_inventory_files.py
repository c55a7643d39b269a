"""The data files of an inventory in a store: brought piece by piece, proved by their MD5, and deleted again."""

from __future__ import annotations

import asyncio
from hashlib import md5
from typing import TYPE_CHECKING

import pytest

from sketchmigrate.core.errors import InventoryDamaged
from sketchmigrate.core.objects import Location
from sketchmigrate.inspect.inventory import files
from sketchmigrate.inspect.inventory.document import DataFile
from sketchmigrate.inspect.inventory.files import StoreFiles
from sketchmigrate.s3 import CredentialSource, S3Client, S3Config

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.stores import Store

KEY = "inventories/data/part.csv.gz"
CONTENT = bytes(range(256)) * 4
FILE = DataFile(KEY, len(CONTENT), md5(CONTENT, usedforsecurity=False).hexdigest())


async def brought(store: Store, scratch: Path) -> tuple[bytes, int]:
    """Bring the file; return what is on the disk meanwhile, and how many requests that took."""
    credentials = CredentialSource.static(store.access_key, store.secret_key)
    async with S3Client(S3Config(endpoint_url=store.endpoint_url, retry_seconds=0), credentials) as client:
        manifest = Location(store.legacy_bucket, "inventories/manifest.json")
        async with StoreFiles(client, manifest, scratch).data_file(FILE) as path:
            content = await asyncio.to_thread(path.read_bytes)
            return content, client.requests_sent["GetObject"]


def test_a_file_comes_in_pieces_and_is_deleted(
    rclone_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "PIECE_BYTES", 300)
    rclone_store.put_all(rclone_store.legacy_bucket, {KEY: CONTENT})
    assert asyncio.run(brought(rclone_store, tmp_path / "scratch")) == (CONTENT, 4)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [CONTENT[:-1], CONTENT[:600], CONTENT[:-1] + b"!", b""], ids=len)
def test_what_is_not_the_file_of_the_manifest_is_refused(
    rclone_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    """Shorter, at the end of a piece as well; as long, but other; nothing."""
    monkeypatch.setattr(files, "PIECE_BYTES", 300)
    rclone_store.put_all(rclone_store.legacy_bucket, {KEY: content})
    with pytest.raises(InventoryDamaged, match=KEY):
        asyncio.run(brought(rclone_store, tmp_path / "scratch"))
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_gone_is_named(rclone_store: Store, tmp_path: Path) -> None:
    with pytest.raises(InventoryDamaged, match=f"{KEY}, a file of the inventory s3://.*, is not there"):
        asyncio.run(brought(rclone_store, tmp_path / "scratch"))
    assert list(tmp_path.iterdir()) == []
