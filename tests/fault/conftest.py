"""Worlds to break, and proxies to break them with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.fault.promises import World, make_world
from tests.fault.scenes import Theatre
from tests.fault.stage import Stage
from tests.servers.postgres_fault_proxy import PostgresFaultProxy
from tests.servers.s3_fault_proxy import S3FaultProxy
from tests.servers.stores import fresh_buckets

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sketchmigrate.demo.servers import PostgresServer
    from tests.servers.databases import Database
    from tests.servers.stores import Store, StoreServer


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


@pytest.fixture(scope="module")
def theatre(
    postgres: PostgresServer, rclone: StoreServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Theatre]:
    """Scenes for each command, made once for a module."""
    with fresh_buckets(rclone) as store:
        yield Theatre(postgres, store, tmp_path_factory.mktemp("theatre"))


@pytest.fixture
def stage(
    request: pytest.FixtureRequest,
    theatre: Theatre,
    database: Database,
    postgres_proxy: PostgresFaultProxy,
    tmp_path: Path,
) -> Iterator[Stage]:
    """The scene of the command that a test names, set up in a fresh database."""
    scene = theatre.scene(request.param, database, tmp_path)
    with S3FaultProxy(scene.world.store.endpoint_url) as s3:
        yield Stage(scene, s3, postgres_proxy)
