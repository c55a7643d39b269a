"""A fresh database on a real PostgreSQL server: what a test works on."""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from sketchmigrate.demo.servers import PostgresServer, postgres_server, temporary_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

DEBIAN_PROGRAMS = Path("/usr/lib/postgresql/15/bin")
FAST_AND_LOOSE = {"fsync": "off", "log_statement": "none"}
"""Server settings for tests: nothing here has to survive a power cut."""

_EMPTY_IT = """
SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid();
DO $$ DECLARE made name; DECLARE of_whom text; BEGIN
    FOR made IN SELECT nspname FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema$)' LOOP
        EXECUTE format('DROP SCHEMA %I CASCADE', made);
    END LOOP;
    FOR of_whom IN
        SELECT CASE setrole WHEN 0 THEN format('DATABASE %I', datname)
                            ELSE format('ROLE %s IN DATABASE %I', setrole::regrole, datname) END
        FROM pg_db_role_setting AS s JOIN pg_database AS d ON d.oid = s.setdatabase WHERE datname = current_database()
    LOOP
        EXECUTE format('ALTER %s RESET ALL', of_whom);
    END LOOP;
END $$;
CREATE SCHEMA public AUTHORIZATION pg_database_owner;
GRANT USAGE ON SCHEMA public TO PUBLIC
"""

_CATALOGUES = (
    "pg_am pg_cast pg_class pg_collation pg_conversion pg_default_acl pg_event_trigger pg_extension"
    " pg_foreign_data_wrapper pg_foreign_server pg_init_privs pg_language pg_largeobject_metadata pg_namespace"
    " pg_opclass pg_operator pg_policy pg_proc pg_publication pg_rewrite pg_transform pg_trigger pg_ts_config"
    " pg_type"
)
"""The tables that have a row for each thing that was made or changed in a database."""


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
def postgres_for_tests() -> Iterator[PostgresServer]:
    """Run the newest PostgreSQL, which checks passwords as ever, but hashes them once and not 4 096 times."""
    with postgres_server(options={**FAST_AND_LOOSE, "scram_iterations": "1"}) as server:
        with server.connect() as connection:  # by the password as it was hashed when there were no settings yet
            change = sql.SQL("ALTER ROLE {} PASSWORD {}")
            connection.execute(change.format(sql.Identifier(server.user), sql.Literal(server.password)))
        yield server


@contextlib.contextmanager
def empty_cluster() -> Iterator[Cluster]:
    """Make the files of a PostgreSQL once, to be copied: to make them takes three times as long as to start it."""
    with temporary_folder() as home:
        server = PostgresServer(home, options=FAST_AND_LOOSE)
        server.start()
        server.stop()
        yield Cluster(home, server.programs, server.password)


@dataclass(frozen=True, slots=True)
class Cluster:
    """The files of a PostgreSQL that does not run, the programs that made them, and its superuser's password."""

    home: Path
    programs: Path
    password: str = field(repr=False)

    @contextlib.contextmanager
    def copy_at_work(self) -> Iterator[PostgresServer]:
        """Run a server on a copy of the files for the length of the block."""
        with temporary_folder() as home:
            subprocess.run(["cp", "--archive", self.home / "data", home], check=True)
            owner = self.home.stat()
            os.chown(home, owner.st_uid, owner.st_gid)
            server = PostgresServer(home, programs=self.programs, options=FAST_AND_LOOSE)
            server.password = self.password
            try:
                server.start()
                yield server
            finally:
                server.stop()


@contextlib.contextmanager
def fresh_database(server: PostgresServer, *, encoding: str = "UTF8") -> Iterator[Database]:
    """Create a database that nobody else uses; drop it at the end, with whoever is still connected."""
    with server.connect() as connection:
        database = _create(server, connection, encoding)
    yield database
    with contextlib.suppress(psycopg.OperationalError), server.connect() as connection:
        _drop(database, connection)


class Databases:
    """Fresh databases on a server that no test stops. To make one takes as long as three runs of the tool.

    So one that a test has done with is emptied, and is another's under another name: whoever of the first test still
    lives does not find it. One that cannot be made what it was when it was new is dropped.
    """

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self._connection = server.connect()
        self._empty: list[tuple[Database, int]] = []

    @contextlib.contextmanager
    def fresh(self) -> Iterator[Database]:
        """Give a database that is empty and that nobody else uses."""
        database, born = self._take()
        yield database
        if self._emptied(database, born):
            self._empty.append((database, born))
        else:
            _drop(database, self._connection)

    def close(self) -> None:
        """Leave the server."""
        self._connection.close()

    def _take(self) -> tuple[Database, int]:
        """Return a database, and the first transaction that can have changed anything in it."""
        if self._empty:
            used, born = self._empty.pop()
            database = replace(used, name=_new_name())
            rename = sql.SQL("ALTER DATABASE {} RENAME TO {}")
            self._connection.execute(rename.format(sql.Identifier(used.name), sql.Identifier(database.name)))
            return database, born
        database = _create(self._server, self._connection)
        (born,) = self._connection.execute("SELECT pg_current_xact_id()::text::bigint").fetchone() or (0,)
        return database, born

    def _emptied(self, database: Database, born: int) -> bool:
        """Empty a database; say whether nothing in it is newer than itself, and nothing is set for it."""
        newer = " UNION ALL ".join(
            f"SELECT '{table}' FROM {table} WHERE xmin::text::bigint >= {born}"  # noqa: S608 # names of our own
            for table in _CATALOGUES.split()
        )
        with contextlib.suppress(psycopg.Error), database.connect() as connection:
            connection.execute(_EMPTY_IT)
            left = connection.execute(
                f"""
                SELECT 1 FROM ({newer}) AS newer (name) HAVING count(*) > 1 -- the schema public is
                UNION ALL SELECT 1 FROM pg_db_role_setting AS s JOIN pg_database AS d ON d.oid = s.setdatabase
                    WHERE d.datname = current_database()
                UNION ALL SELECT 1 FROM pg_database WHERE datname = current_database()
                    AND (datacl IS NOT NULL OR datconnlimit <> -1 OR datdba <> current_user::regrole)
                UNION ALL SELECT 1 FROM pg_prepared_xacts WHERE database = current_database()
                UNION ALL SELECT 1 FROM pg_replication_slots WHERE database = current_database()
                """  # noqa: S608 # and none of anybody else
            )
            return not left.fetchall()
        return False


def _create(
    server: PostgresServer, connection: psycopg.Connection[tuple[Any, ...]], encoding: str = "UTF8"
) -> Database:
    name = _new_name()
    template = sql.SQL(" ENCODING {} TEMPLATE template0").format(encoding)
    created = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
    connection.execute(created if encoding == "UTF8" else created + template)
    return Database(server.host, server.port, name, server.user, server.password)


def _drop(database: Database, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
    connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(database.name)))


def _new_name() -> str:
    return f"sketch_{secrets.token_hex(6)}"
