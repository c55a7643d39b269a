"""A site for each test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.site import Facts, Site
from tests.servers.databases import fresh_database
from tests.servers.stores import fresh_buckets
from tests.tool import Starts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sketchmigrate.demo.servers import PostgresServer
    from tests.servers.databases import Database, Databases
    from tests.servers.stores import Store, StoreServer


@pytest.fixture
def new_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each start of the tool is one as a person does it: what is claimed is about starting it."""
    monkeypatch.setattr(Starts, "new_interpreter", True)


@pytest.fixture
def site(database: Database, rclone_store: Store, tmp_path: Path) -> Site:
    """An empty database and two empty buckets on rclone, the fast store."""
    return Site(database, rclone_store, tmp_path)


@pytest.fixture(params=["files", "database"])
def ledgers_kept(request: pytest.FixtureRequest, site: Site, databases: Databases) -> Iterator[Site]:
    """The same, with the ledgers of its runs in files, and in a database."""
    if request.param == "files":
        yield site
        return
    with databases.fresh() as ledger:
        url = f"postgresql://{ledger.user}:{ledger.password}@{ledger.host}:{ledger.port}/{ledger.name}"
        kept = site.with_environ(SKETCH_LEDGER_URL=url)
        assert kept.run("ledger init").code == 0
        yield kept


@pytest.fixture
def moto_site(database: Database, moto_store: Store, tmp_path: Path) -> Site:
    """The same on moto, which takes every key and knows multipart ETags."""
    return Site(database, moto_store, tmp_path)


@pytest.fixture
def any_site(database: Database, store: Store, tmp_path: Path) -> Site:
    """The same on every store in turn."""
    return Site(database, store, tmp_path)


@pytest.fixture(scope="module")
def _untouched(
    postgres: PostgresServer, rclone: StoreServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Site, Facts]]:
    """The site of ``untouched_site``, and its facts."""
    with fresh_database(postgres) as database, fresh_buckets(rclone) as store:
        site = Site(database, store, tmp_path_factory.mktemp("untouched"))
        site.fill(["image/1.png", "image/2.png", "avatar/3.png"])
        yield site, site.facts()


@pytest.fixture
def untouched_site(_untouched: tuple[Site, Facts]) -> Iterator[Site]:
    """A small site that all tests of a module share, as none may change it: it is the same at the end of each."""
    site, before = _untouched
    yield site
    assert site.facts() == before
