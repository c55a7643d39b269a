"""A fresh database on a real PostgreSQL server: what a test works on."""

from __future__ import annotations

import contextlib
import secrets
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sketch_migrate.demo.servers import PostgresServer

DEBIAN_PROGRAMS = Path("/usr/lib/postgresql/15/bin")
FAST_AND_LOOSE = {"fsync": "off", "log_statement": "none"}
"""Server settings for tests: nothing here has to survive a power cut."""


@dataclass(frozen=True, slots=True)
class Database:
    """A database, and the user to connect as. ``via`` and ``as_user`` give variants of it."""

    host: str
    port: int
    name: str
    user: str
    password: str = field(repr=False)

    @property
    def conninfo(self) -> str:
        """The connection string for libpq, password included."""
        who = {"user": self.user, "password": self.password}
        return make_conninfo(host=self.host, port=self.port, dbname=self.name, connect_timeout=10, **who)

    def connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        """Connect, in autocommit."""
        return psycopg.connect(self.conninfo, autocommit=True)

    def execute(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Run one statement on a connection of its own; return its rows, if it gives any."""
        with self.connect() as connection:
            cursor = connection.execute(sql.SQL(statement), parameters or None)
            return cursor.fetchall() if cursor.description else []

    def create_avatars(self, paths: Iterable[str | None]) -> None:
        """Make the table ``avatars(id, path)`` and fill it: the first path is row 1."""
        with self.connect() as connection:
            connection.execute("CREATE TABLE avatars (id bigint PRIMARY KEY, path text)")
            with connection.cursor().copy("COPY avatars FROM STDIN") as copy:
                for number, path in enumerate(paths, start=1):
                    copy.write_row((number, path))
            connection.execute("ANALYZE avatars")

    def paths(self) -> dict[int, str | None]:
        """Return the whole table ``avatars``."""
        return dict(self.execute("SELECT id, path FROM avatars ORDER BY id"))

    def make_user(self, *grants: str) -> Database:
        """Make a user who may connect and what is granted, e.g. ``"SELECT ON avatars"``; return their database."""
        name, password = f"limited_{secrets.token_hex(4)}", secrets.token_urlsafe(12)
        self.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{password}'")
        for grant in grants:
            self.execute(f"GRANT {grant} TO {name}")
        return replace(self, user=name, password=password)

    def via(self, port: int) -> Database:
        """Return the same database by way of a proxy on a loopback port."""
        return replace(self, port=port)

    def environ(self) -> dict[str, str]:
        """Return the settings that point the tool at this database."""
        return {
            "SKETCH_DB_HOST": self.host,
            "SKETCH_DB_PORT": str(self.port),
            "SKETCH_DB_NAME": self.name,
            "SKETCH_DB_USER": self.user,
            "SKETCH_DB_PASS": self.password,
        }


@contextlib.contextmanager
def fresh_database(server: PostgresServer) -> Iterator[Database]:
    """Create a database that nobody else uses; drop it at the end, with whoever is still connected."""
    name = f"sketch_{secrets.token_hex(6)}"
    with server.connect() as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    yield Database(server.host, server.port, name, server.user, server.password)
    with contextlib.suppress(psycopg.OperationalError), server.connect() as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
