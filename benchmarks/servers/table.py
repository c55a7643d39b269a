"""The table that every contestant is to set: rows 1 to ``count``, each pointing at its legacy object."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.servers.databases import Database

from benchmarks import objects
from benchmarks.processes import family_cpu_seconds, parent_of
from sketchmigrate.demo.servers import postgres_server

if TYPE_CHECKING:
    from collections.abc import Iterator

OPTIONS = {
    # The disk of this machine is not what is compared; a script that commits each row gains most by it.
    "fsync": "off",
    "track_commit_timestamp": "on",  # tells afterwards when the first row was flipped
    "max_wal_size": "8GB",  # no checkpoint in the middle of one contestant's turn
    "log_statement": "none",
}

_NEW_PATH = f"'{objects.PRODUCTION_PREFIX}' || substr(path, {len(objects.LEGACY_PREFIX) + 1})"
SINGLE_UPDATE = f"UPDATE avatars SET path = {_NEW_PATH} WHERE path LIKE '{objects.LEGACY_PREFIX}%'"  # noqa: S608 # our own
"""How whoever copies with another tool sets the rows: all at once, afterwards."""


@dataclass(frozen=True, slots=True)
class Writing:
    """How a row's ``path`` names its object: the column's type, and SQL that makes the value of the key ``k``."""

    type: str
    value: str


KEY = Writing("text", "k")


@dataclass(frozen=True, slots=True)
class Table:
    """The table ``avatars`` in a running database."""

    database: Database

    def fill(
        self,
        count: int,
        writing: Writing = KEY,
        *,
        first: int = 1,
        finished: int = 0,
        prefix: str = objects.LEGACY_PREFIX,
    ) -> None:
        """Make the table anew, with ``count`` rows from the number ``first`` on.

        All of them are legacy, or have another prefix; but those up to the number ``finished`` are production's.
        """
        execute = self.database.execute
        execute("DROP TABLE IF EXISTS avatars")
        execute(f"CREATE TABLE avatars (id bigint PRIMARY KEY, path {writing.type} NOT NULL)")
        numbered = (
            "SELECT n, CASE WHEN n <= %s THEN %s ELSE %s END || 'avatar-' || lpad(n::text, 7, '0') || '.png'"
            " FROM generate_series(%s::int, %s::int) AS n"
        )
        insert = f"INSERT INTO avatars SELECT n, {writing.value} FROM named"  # noqa: S608 # our own
        sides = objects.PRODUCTION_PREFIX, prefix
        execute(f"WITH named (n, k) AS ({numbered}) {insert}", finished, *sides, first, first + count - 1)
        execute("VACUUM ANALYZE avatars")
        execute("CHECKPOINT")

    def server_cpu_seconds(self) -> float:
        """Return the CPU time that the whole server has used so far: every process that it has or had."""
        with self.database.connect() as connection:
            return family_cpu_seconds(parent_of(connection.info.backend_pid))

    def legacy_rows(self) -> int:
        """Count the rows that were not set."""
        return int(self.database.execute("SELECT count(*) FROM avatars WHERE path NOT LIKE 'avatar/avatar-%'")[0][0])

    def first_flip_at(self, *, behind: int = 0) -> float:
        """Return the Unix time at which the first row behind a key that points at production was committed."""
        statement = (
            "SELECT extract(epoch FROM min(pg_xact_commit_timestamp(xmin)))::float8 FROM avatars"
            " WHERE path LIKE 'avatar/%%' AND id > %s"
        )
        return float(self.database.execute(statement, behind)[0][0])


@contextlib.contextmanager
def table() -> Iterator[Table]:
    """Run a PostgreSQL with an empty database."""
    with postgres_server(options=OPTIONS) as server:
        yield Table(Database(server.host, server.port, server.dbname, server.user, server.password))
