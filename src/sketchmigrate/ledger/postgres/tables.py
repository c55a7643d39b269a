"""The tables of a ledger in PostgreSQL, and the rights that its users need. Text alone.

One set of tables holds the runs of any number of sites. All is in a schema of its own.

``run``          what each run was about, by the name of its directory, and when it was last heard of, NULL once it has
                 ended. No secret.
``attempt``      each attempt of a worker at a key range, with its tally once it has ended. A run's own word on its
                 references is an attempt too: that with no worker.
``flip``         everything that undoes a flip; it may list a flip that the database then refused. ``read_checksum`` of
                 the bytes that were read, where nothing else of the legacy object proved them.
``not_flipped``  every other reference, with the latest word on each key; and a flipped one whose object's copy has
                 replaced another. ``reason`` is its kind, and ``about`` what is particular of it; up to the third
                 edition ``reason`` was a sentence.
``unsettled``    references whose object is or was copied without a condition, from before the copy to just after our
                 flip's COMMIT, by the worker who did it; ``xid`` is the flip's transaction, from before its UPDATE on.
``locked``       references whose rows somebody else holds, and what the last flip on record was to set them to: they
                 are taken up again later.
``upload``       uploads in parts of streamed objects, from before their first part on, and whether they have ended;
                 ``is_left`` are those of earlier runs, until somebody claims them.
``sample``       how each run stood at one moment after the other, by Unix seconds: see ``ledger.samples``.

A key is JSON, so that a number stays a number and is in order. ``source`` is the place of a row's source in the run's
settings; keys are unique in each. A long value is packed (see ``ledger.values``) and no text, and ``value_bytes`` is
the memory that it takes; in ``not_flipped`` its beginning is the path.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg.sql import Identifier

from sketchmigrate.ledger.contract import EDITION

if TYPE_CHECKING:
    from collections.abc import Sequence

SCHEMA_NAME = "sketch_ledger"

CHANGED_IN = 7
"""The edition in which these tables changed last: a run takes those of this edition or a later one."""

_KEYS = {
    "not_flipped": "attempt, source, key",
    "unsettled": "run, source, key, worker",
    "locked": "attempt, source, key",
}


def _with_a_source(table: str, key: str) -> str:
    """Return what adds the source to a table and to its primary key, where it is in neither."""
    return f"""DO $$ BEGIN IF NOT EXISTS (
    SELECT FROM pg_attribute WHERE attrelid = 'sketch_ledger.{table}'::regclass AND attname = 'source'
) THEN ALTER TABLE sketch_ledger.{table} ADD COLUMN source smallint NOT NULL DEFAULT 0,
    DROP CONSTRAINT {table}_pkey, ADD PRIMARY KEY ({key});
END IF; END $$"""


# A flip's reference to its attempt is not declared: checking it would cost more than the row.
TABLES: tuple[str, ...] = (
    "CREATE SCHEMA IF NOT EXISTS sketch_ledger",
    "CREATE TABLE IF NOT EXISTS sketch_ledger.edition (number integer PRIMARY KEY)",
    f"INSERT INTO sketch_ledger.edition SELECT {EDITION} WHERE NOT EXISTS (SELECT FROM sketch_ledger.edition)",  # noqa: S608 - ours
    """CREATE TABLE IF NOT EXISTS sketch_ledger.run (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, id text NOT NULL UNIQUE, began_at double precision NOT NULL,
    about jsonb NOT NULL
)""",
    "ALTER TABLE sketch_ledger.run ADD COLUMN IF NOT EXISTS alive_at timestamptz",
    """CREATE TABLE IF NOT EXISTS sketch_ledger.attempt (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, run bigint NOT NULL REFERENCES sketch_ledger.run,
    worker text NOT NULL, pass integer NOT NULL, range integer NOT NULL, after jsonb, until jsonb,
    began_at double precision NOT NULL, ended_at double precision, tally jsonb, is_clean boolean NOT NULL DEFAULT false
)""",
    "CREATE INDEX IF NOT EXISTS attempt_of_run ON sketch_ledger.attempt (run, pass)",
    """CREATE TABLE IF NOT EXISTS sketch_ledger.flip (
    attempt bigint, number bigint, key jsonb NOT NULL, old_path text NOT NULL, new_path text NOT NULL,
    size_bytes bigint, etag text NOT NULL, unix_time double precision NOT NULL, copied boolean NOT NULL,
    PRIMARY KEY (attempt, number)
)""",
    """CREATE TABLE IF NOT EXISTS sketch_ledger.not_flipped (
    attempt bigint, key jsonb, path text NOT NULL, outcome text NOT NULL, reason text NOT NULL,
    PRIMARY KEY (attempt, key)
)""",
    """CREATE TABLE IF NOT EXISTS sketch_ledger.unsettled (
    run bigint, worker text, key jsonb, path text NOT NULL, new_path text NOT NULL,
    PRIMARY KEY (run, key, worker)
)""",
    "ALTER TABLE sketch_ledger.not_flipped ADD COLUMN IF NOT EXISTS about jsonb",
    "ALTER TABLE sketch_ledger.unsettled ADD COLUMN IF NOT EXISTS xid bigint",
    """CREATE TABLE IF NOT EXISTS sketch_ledger.locked (
    attempt bigint, key jsonb, path text NOT NULL, copied boolean NOT NULL, size_bytes bigint,
    reason text NOT NULL, PRIMARY KEY (attempt, key)
)""",
    "ALTER TABLE sketch_ledger.locked ADD COLUMN IF NOT EXISTS about jsonb",
    """CREATE TABLE IF NOT EXISTS sketch_ledger.upload (
    run bigint, upload_id text, bucket text NOT NULL, object_key text NOT NULL, etag text NOT NULL,
    has_ended boolean NOT NULL, PRIMARY KEY (run, upload_id)
)""",
    "ALTER TABLE sketch_ledger.attempt ADD COLUMN IF NOT EXISTS source smallint NOT NULL DEFAULT 0",
    """ALTER TABLE sketch_ledger.flip ADD COLUMN IF NOT EXISTS source smallint NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS old_packed bytea, ADD COLUMN IF NOT EXISTS new_packed bytea,
    ADD COLUMN IF NOT EXISTS value_bytes integer,
    ALTER COLUMN old_path DROP NOT NULL, ALTER COLUMN new_path DROP NOT NULL""",
    """ALTER TABLE sketch_ledger.unsettled
    ADD COLUMN IF NOT EXISTS packed bytea, ADD COLUMN IF NOT EXISTS new_packed bytea,
    ADD COLUMN IF NOT EXISTS value_bytes integer,
    ALTER COLUMN path DROP NOT NULL, ALTER COLUMN new_path DROP NOT NULL""",
    """ALTER TABLE sketch_ledger.locked ADD COLUMN IF NOT EXISTS new_path text,
    ADD COLUMN IF NOT EXISTS packed bytea, ADD COLUMN IF NOT EXISTS new_packed bytea,
    ADD COLUMN IF NOT EXISTS value_bytes integer, ALTER COLUMN path DROP NOT NULL""",
    "ALTER TABLE sketch_ledger.not_flipped ADD COLUMN IF NOT EXISTS packed bytea",
    "ALTER TABLE sketch_ledger.flip ADD COLUMN IF NOT EXISTS read_checksum text NOT NULL DEFAULT ''",
    """ALTER TABLE sketch_ledger.upload ADD COLUMN IF NOT EXISTS part_bytes bigint NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS headers_sha256 text NOT NULL DEFAULT '',
    ADD COLUMN IF NOT EXISTS is_left boolean NOT NULL DEFAULT false""",
    """CREATE TABLE IF NOT EXISTS sketch_ledger.sample (
    run bigint, at bigint, packed bytea NOT NULL, PRIMARY KEY (run, at)
)""",
    *(_with_a_source(table, key) for table, key in _KEYS.items()),
    f"UPDATE sketch_ledger.edition SET number = {EDITION} WHERE number < {EDITION}",  # noqa: S608 - ours
)
"""What makes the tables, upgrades or leaves those that are there; each statement without its semicolon."""


_RIGHTS = {
    "run": "INSERT, UPDATE",
    "attempt": "INSERT, UPDATE",
    "flip": "INSERT",
    "not_flipped": "INSERT, UPDATE, DELETE",
    "unsettled": "INSERT, UPDATE, DELETE",
    "locked": "INSERT, UPDATE, DELETE",
    "upload": "INSERT, UPDATE",
    "sample": "INSERT, UPDATE, DELETE",
}
"""What writing takes, by table, besides SELECT. A flip on record is never changed."""

TABLE_NAMES = tuple(f"{SCHEMA_NAME}.{name}" for name in ("edition", *_RIGHTS))


def ledger_grants(role: str, database: str, *, writes: bool) -> Sequence[str]:
    """Return the statements that let a role use the ledger, each with its semicolon. ``database`` may be empty."""
    to = f"TO {Identifier(role).as_string(None)};"
    grants = [
        f"GRANT CONNECT ON DATABASE {Identifier(database).as_string(None)} {to}" if database else "",
        f"GRANT USAGE ON SCHEMA {SCHEMA_NAME} {to}",
        f"GRANT SELECT ON {', '.join(TABLE_NAMES)} {to}",
    ]
    if writes:
        grants += [f"GRANT {rights} ON {SCHEMA_NAME}.{table} {to}" for table, rights in _RIGHTS.items()]
    return [grant for grant in grants if grant]
