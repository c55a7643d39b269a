"""The servers that rounds are played on, each started when a round first asks for it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Self

from sketchmigrate.demo.servers import postgres_server
from tests.servers import ceph
from tests.servers.databases import DEBIAN_PROGRAMS, FAST_AND_LOOSE, Databases, postgres_for_tests
from tests.servers.seaweed import seaweed_server
from tests.servers.stores import rclone_server

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from sketchmigrate.demo.servers import PostgresServer
    from tests.servers.stores import StoreServer

_STORES: dict[str, Callable[[], AbstractContextManager[StoreServer]]] = {
    "rclone": rclone_server,
    "seaweed": seaweed_server,
    "ceph": ceph.ceph_server,
}
_DATABASES: dict[str, Callable[[], AbstractContextManager[PostgresServer]]] = {
    "newest": postgres_for_tests,
    "Debian's": lambda: postgres_server(programs=DEBIAN_PROGRAMS, options=FAST_AND_LOOSE),
}


class Servers:
    """Use as a context manager. ``stores`` and ``databases`` are, unless given, all that this machine can run."""

    def __init__(self, stores: Sequence[str] = (), databases: Sequence[str] = ()) -> None:
        self.stores = stores or tuple(name for name in _STORES if name != "ceph" or not ceph.why_not())
        self.databases = databases or (tuple(_DATABASES) if DEBIAN_PROGRAMS.exists() else ("newest",))
        self._running = contextlib.ExitStack()
        self._stores: dict[str, StoreServer] = {}
        self._databases: dict[str, Databases] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def store(self, name: str) -> StoreServer:
        """Return one of the stores."""
        if name not in self._stores:
            self._stores[name] = self._running.enter_context(_STORES[name]())
        return self._stores[name]

    def databases_of(self, name: str) -> Databases:
        """Return the databases of a PostgreSQL."""
        if name not in self._databases:
            server = self._running.enter_context(_DATABASES[name]())
            self._databases[name] = self._running.enter_context(contextlib.closing(Databases(server)))
        return self._databases[name]
