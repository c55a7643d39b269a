"""Worlds to break, and proxies to break them with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.fault.promises import World, make_world
from tests.servers.postgres_fault_proxy import PostgresFaultProxy
from tests.servers.s3_fault_proxy import S3FaultProxy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers.databases import Database
    from tests.servers.stores import Store


@pytest.fixture
def world(database: Database, rclone_store: Store, tmp_path: Path) -> World:
    """``ROWS`` legacy rows, and others."""
    return make_world(database, rclone_store, tmp_path)


@pytest.fixture
def s3_proxy(rclone_store: Store) -> Iterator[S3FaultProxy]:
    """A proxy in front of the world's store."""
    with S3FaultProxy(rclone_store.endpoint_url) as proxy:
        yield proxy


@pytest.fixture
def postgres_proxy(database: Database) -> Iterator[PostgresFaultProxy]:
    """A proxy in front of the world's database."""
    with PostgresFaultProxy(database.port) as proxy:
        yield proxy
