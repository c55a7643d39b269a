"""The servers that tests run against: one of each for a whole session, started when first asked for.

Under xdist each worker has its own; the tests that need Ceph form one group, so that ``--dist loadgroup`` runs them on
one worker and Ceph starts once.
"""

from __future__ import annotations

import contextlib
import gc
import signal
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings as hypothesis_settings

from sketchmigrate.demo.servers import PostgresServer, postgres_server
from tests.servers import ceph
from tests.servers.databases import (
    DEBIAN_PROGRAMS,
    FAST_AND_LOOSE,
    Cluster,
    Database,
    Databases,
    empty_cluster,
    postgres_for_tests,
)
from tests.servers.seaweed import seaweed_server
from tests.servers.stores import Store, StoreServer, fresh_buckets, moto_server, rclone_server

if TYPE_CHECKING:
    from collections.abc import Iterator

# Whoever starts the tests in the background hands an ignored SIGINT down to all that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

# How fast an example is, is no claim of a test: three tests share two cores.
hypothesis_settings.register_profile("untimed", deadline=None)
hypothesis_settings.load_profile("untimed")

STORES = ["rclone", "moto", "seaweed", pytest.param("ceph", marks=pytest.mark.ceph)]


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep Ceph's tests together."""
    for item in items:
        if item.get_closest_marker("ceph"):
            item.add_marker(pytest.mark.xdist_group("ceph"))


def pytest_unconfigure() -> None:
    """Let Python collect what a migration within this process has frozen, or DuckDB reports it as leaked."""
    gc.unfreeze()


@pytest.fixture(autouse=True)
def _settings_of_the_machine_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the credentials or the settings of whoever runs it."""
    import os  # noqa: PLC0415 # only here

    for name in os.environ:
        if name.startswith(("AWS_", "PG", "SKETCH_", "RCLONE_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")


@pytest.fixture(autouse=True)
def _signals_as_they_were() -> Iterator[None]:
    """A command that a test carries out in this process leaves SIGUSR1 ignored, which each child would inherit."""
    before = signal.getsignal(signal.SIGUSR1)
    yield
    signal.signal(signal.SIGUSR1, before)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """The session's PostgreSQL, newest version. Do not stop it: see ``private_postgres``."""
    with postgres_for_tests() as server:
        yield server


@pytest.fixture(scope="session")
def debian_postgres() -> Iterator[PostgresServer]:
    """Debian's PostgreSQL 15, where it is installed."""
    if not DEBIAN_PROGRAMS.exists():
        pytest.skip(f"Debian's PostgreSQL is not installed: no {DEBIAN_PROGRAMS}")
    with postgres_server(programs=DEBIAN_PROGRAMS, options=FAST_AND_LOOSE) as server:
        yield server


@pytest.fixture(scope="session")
def _cluster() -> Iterator[Cluster]:
    """What the PostgreSQL of each test that has its own is a copy of."""
    with empty_cluster() as cluster:
        yield cluster


@pytest.fixture
def private_postgres(_cluster: Cluster) -> Iterator[PostgresServer]:
    """A PostgreSQL of the test's own, to be stopped, killed and started again."""
    with _cluster.copy_at_work() as server:
        yield server


@pytest.fixture(scope="session")
def databases(postgres: PostgresServer) -> Iterator[Databases]:
    """The databases of the session's server."""
    with contextlib.closing(Databases(postgres)) as of_server:
        yield of_server


@pytest.fixture(scope="session")
def debian_databases(debian_postgres: PostgresServer) -> Iterator[Databases]:
    """The databases of Debian's server."""
    with contextlib.closing(Databases(debian_postgres)) as of_server:
        yield of_server


@pytest.fixture
def database(databases: Databases) -> Iterator[Database]:
    """A fresh, empty database on the session's server, as the superuser."""
    with databases.fresh() as fresh:
        yield fresh


@pytest.fixture(params=["databases", "debian_databases"])
def any_database(request: pytest.FixtureRequest) -> Iterator[Database]:
    """A fresh database on each flavour of PostgreSQL."""
    with request.getfixturevalue(request.param).fresh() as fresh:
        yield fresh


@pytest.fixture(scope="session")
def rclone() -> Iterator[StoreServer]:
    """The session's rclone, in memory."""
    with rclone_server() as server:
        yield server


@pytest.fixture(scope="session")
def moto() -> Iterator[StoreServer]:
    """The session's moto."""
    with moto_server() as server:
        yield server


@pytest.fixture(scope="session")
def seaweed() -> Iterator[StoreServer]:
    """The session's SeaweedFS."""
    with seaweed_server() as server:
        yield server


@pytest.fixture(scope="session")
def ceph_gateway() -> Iterator[StoreServer]:
    """The session's Ceph. A test that asks for it by name carries the marker ``ceph``."""
    if reason := ceph.why_not():
        pytest.skip(reason)
    with ceph.ceph_server() as server:
        yield server


@pytest.fixture
def rclone_store(rclone: StoreServer) -> Iterator[Store]:
    """Two fresh buckets on rclone: the fast one."""
    with fresh_buckets(rclone) as store:
        yield store


@pytest.fixture
def moto_store(moto: StoreServer) -> Iterator[Store]:
    """Two fresh buckets on moto: tags, versions, checksums, conditional puts."""
    with fresh_buckets(moto) as store:
        yield store


@pytest.fixture
def seaweed_store(seaweed: StoreServer) -> Iterator[Store]:
    """Two fresh buckets on SeaweedFS: conditions on copies, Object Lock, an order of its own in listings."""
    with fresh_buckets(seaweed) as store:
        yield store


@pytest.fixture
def ceph_store(ceph_gateway: StoreServer) -> Iterator[Store]:
    """Two fresh buckets on Ceph: users, policies, a production server. Needs the marker ``ceph``."""
    with fresh_buckets(ceph_gateway) as store:
        yield store


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest) -> Store:
    """Two fresh buckets on every server in turn."""
    chosen: Store = request.getfixturevalue(f"{request.param}_store")
    return chosen
