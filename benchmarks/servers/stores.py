"""A store that holds the legacy objects, and gives each contestant an empty production bucket."""

from __future__ import annotations

import contextlib
import json
import pickle
import secrets
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError
from tests.servers import ceph
from tests.servers.seaweed import seaweed_server
from tests.servers.stores import StoreServer, rclone_server

from benchmarks import objects
from benchmarks.generator import REGION, Order
from benchmarks.pairs import PairOrder
from benchmarks.processes import PYTHON, PYTHON_ENVIRON, CommandFailed, measured, succeeded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager


@dataclass(frozen=True, slots=True)
class Generated:
    """What the bare generator took for an order."""

    seconds: float
    cpu_seconds: float
    succeeded: int
    failed: int
    example: str


@dataclass(frozen=True, slots=True)
class BenchStore:
    """A running server, and where a contestant is to copy to. ``ca_bundle`` is a certificate to trust, for TLS.

    ``legacy`` is the server that holds the legacy objects, where that is another. Objects have ``size_bytes``, and the
    generator so many ``connections`` where nobody says another number.
    """

    server: StoreServer
    production_bucket: str = ""
    ca_bundle: str = ""
    legacy: StoreServer | None = None
    size_bytes: int = objects.SIZE_BYTES
    connections: int = 32

    @property
    def name(self) -> str:
        """Which server it is, or which two, and what is special about the objects."""
        large = ", large objects" if self.size_bytes > objects.SIZE_BYTES else ""
        return f"{self.legacy.name} to {self.server.name}{large}" if self.legacy else self.server.name

    def store_objects(self, count: int) -> None:
        """Fill the legacy bucket with the objects 1 to ``count``."""
        self.server.client().create_bucket(Bucket=objects.LEGACY_BUCKET)
        self._whole(self._order("put", objects.LEGACY_BUCKET, objects.LEGACY_PREFIX, count))

    @contextlib.contextmanager
    def fresh_production(self, count: int) -> Iterator[BenchStore]:
        """Make an empty production bucket for one contestant, and delete its objects (up to ``count``) afterwards."""
        name = f"sketch-production-{secrets.token_hex(6)}"
        store = replace(self, production_bucket=name)
        self.server.client().create_bucket(Bucket=name)
        yield store
        order = self._order("delete", name, objects.PRODUCTION_PREFIX, count)
        _generated(order)  # what a contestant lost is not there to be deleted: rclone and Ceph answer 204 or 404
        with contextlib.suppress(ClientError):  # SeaweedFS keeps empty folders for a while; the server goes soon
            self.server.client().delete_bucket(Bucket=name)

    def copy_all(self, count: int, connections: int) -> Generated:
        """Have the bare generator copy the objects 1 to ``count`` to production."""
        order = self._order("copy", self.production_bucket, objects.PRODUCTION_PREFIX, count)
        return self._whole(replace(order, connections=connections))

    def bring_all(self, count: int, at_once: int) -> Generated:
        """Have the objects 1 to ``count`` read from legacy's server and put to production's, and nothing else."""
        assert self.legacy is not None
        return _generated(PairOrder(self.legacy, self.server, self.production_bucket, count, at_once))

    def lost(self, count: int) -> int:
        """Count the objects 1 to ``count`` that production does not hold in their size.

        By a HEAD for each: where rclone's server holds 60 000 objects, a page of a listing takes it seconds.
        """
        order = self._order("look", self.production_bucket, objects.PRODUCTION_PREFIX, count)
        return _generated(order).failed

    def _order(self, verb: str, bucket: str, prefix: str, count: int) -> Order:
        server = self.server
        keys = server.access_key, server.secret_key
        return Order(verb, server.endpoint_url, *keys, bucket, prefix, count, self.connections, self.size_bytes)

    def _whole(self, order: Order) -> Generated:
        done = _generated(order)
        if done.failed:
            message = f"{order.verb} failed for {done.failed} of {order.count} objects on {self.name}"
            raise CommandFailed(message, hint=done.example)
        return done


@contextlib.contextmanager
def rclone_store(count: int, *, size_bytes: int = objects.SIZE_BYTES, name: str = "") -> Iterator[BenchStore]:
    """Run rclone's S3 server with the legacy objects 1 to ``count``: in memory, or large ones in a folder.

    It may have another name in the tables.
    """
    is_large = size_bytes > objects.SIZE_BYTES
    with (
        tempfile.TemporaryDirectory(prefix="sketch-bench-") as home,
        rclone_server(Path(home) if is_large else None) as server,
    ):
        named = replace(server, name=name or server.name)
        store = BenchStore(named, size_bytes=size_bytes, connections=2 if is_large else 32)
        store.store_objects(count)
        yield store


@contextlib.contextmanager
def ceph_store(count: int) -> Iterator[BenchStore]:
    """Run a Ceph object gateway, with the legacy objects 1 to ``count``. See ``ceph.why_not``."""
    with ceph.ceph_server() as server:
        store = BenchStore(server)
        store.store_objects(count)
        yield store


@contextlib.contextmanager
def seaweed_store(count: int) -> Iterator[BenchStore]:
    """Run SeaweedFS, with the legacy objects 1 to ``count``."""
    with seaweed_server() as server:
        store = BenchStore(server)
        store.store_objects(count)
        yield store


@contextlib.contextmanager
def store_pair(
    count: int,
    production: Callable[[], AbstractContextManager[StoreServer]],
    *,
    size_bytes: int = objects.SIZE_BYTES,
) -> Iterator[BenchStore]:
    """Run rclone's S3 server with the legacy objects 1 to ``count``, and another one that they go to."""
    with rclone_store(count, size_bytes=size_bytes) as legacy, production() as server:
        yield replace(legacy, server=server, legacy=legacy.server)


def _generated(order: Order | PairOrder) -> Generated:
    with tempfile.TemporaryDirectory(prefix="sketch-bench-") as home:
        path = Path(home) / "order"
        path.write_bytes(pickle.dumps(order))
        module = "benchmarks.generator" if isinstance(order, Order) else "benchmarks.pairs"
        command = [*PYTHON, "-m", module, path]
        usage = succeeded(measured(command, environ=PYTHON_ENVIRON), "the generator")
        found: dict[str, Any] = json.loads(usage.out)
        return Generated(**found)


__all__ = ["REGION", "BenchStore", "Generated", "ceph_store", "rclone_store", "seaweed_store", "store_pair"]
