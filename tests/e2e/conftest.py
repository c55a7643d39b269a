"""A site for each test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.site import Site

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.databases import Database
    from tests.servers.stores import Store


@pytest.fixture
def site(database: Database, rclone_store: Store, tmp_path: Path) -> Site:
    """An empty database and two empty buckets on rclone, the fast store."""
    return Site(database, rclone_store, tmp_path)


@pytest.fixture
def moto_site(database: Database, moto_store: Store, tmp_path: Path) -> Site:
    """The same on moto, which takes every key and knows multipart ETags."""
    return Site(database, moto_store, tmp_path)


@pytest.fixture
def any_site(database: Database, store: Store, tmp_path: Path) -> Site:
    """The same on every store in turn."""
    return Site(database, store, tmp_path)
