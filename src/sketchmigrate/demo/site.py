"""The demo's application: a bucket with avatars, a table that points at them, and a user with just enough rights.

The objects lie in a folder as plain files, one folder for each bucket, so that they can be looked at.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import shlex
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from sketchmigrate.core.objects import Location
from sketchmigrate.demo.avatars import avatar_name, avatar_png
from sketchmigrate.demo.process import LOOPBACK
from sketchmigrate.demo.servers import rclone_program
from sketchmigrate.s3 import CredentialSource, S3Client, S3Config

if TYPE_CHECKING:
    from pathlib import Path

    from sketchmigrate.demo.servers import PostgresServer, S3Server

LEGACY_BUCKET, LEGACY_PREFIX = "sketch-legacy-s3", "image/"
PRODUCTION_BUCKET, PRODUCTION_PREFIX = "sketch-production-s3", "avatar/"
_USER = "sketch_migrate"


@dataclass(frozen=True, slots=True)
class DemoSite:
    """Both servers, and how the tool gets at them. The password is for this one demo."""

    postgres: PostgresServer
    store: S3Server
    avatars: int
    password: str = field(repr=False, default_factory=lambda: secrets.token_urlsafe(12))

    def create_table(self) -> None:
        """Make the table that points at every avatar, and the user that may read it and change its paths."""
        with self.postgres.connect() as connection:
            connection.execute("CREATE TABLE avatars (id bigint PRIMARY KEY, path text NOT NULL)")
            with connection.cursor().copy("COPY avatars (id, path) FROM STDIN") as copy:
                for number in range(1, self.avatars + 1):
                    copy.write_row((number, _location(number, self.avatars).key))
            connection.execute("VACUUM ANALYZE avatars")
            role, password = sql.Identifier(_USER), sql.Literal(self.password)
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(role, password))
            # All that the tool needs, and no more.
            connection.execute(sql.SQL("GRANT SELECT (id, path), UPDATE (path) ON avatars TO {}").format(role))

    def secrets(self) -> dict[str, str]:
        """Return what no settings file holds: who the tool is for the database and the store."""
        return {
            "SKETCH_DB_USER": _USER,
            "SKETCH_DB_PASS": self.password,
            "AWS_ACCESS_KEY_ID": self.store.access_key,
            "AWS_SECRET_ACCESS_KEY": self.store.secret_key,
            "no_proxy": LOOPBACK,
        }

    def environ(self) -> dict[str, str]:
        """Return the settings that point the tool at this site, and the secrets."""
        return {
            **self.secrets(),
            "SKETCH_DB_HOST": self.postgres.host,
            "SKETCH_DB_PORT": str(self.postgres.port),
            "SKETCH_DB_NAME": self.postgres.dbname,
            "SKETCH_S3_ENDPOINT_URL": self.store.endpoint_url,
            "SKETCH_LEGACY_BUCKET": LEGACY_BUCKET,
            "SKETCH_LEGACY_PREFIX": LEGACY_PREFIX,
            "SKETCH_PRODUCTION_BUCKET": PRODUCTION_BUCKET,
            "SKETCH_PRODUCTION_PREFIX": PRODUCTION_PREFIX,
        }

    def write_environment(self, path: Path) -> None:
        """Write a file for a shell to source, so that the tool, psql and rclone reach this site. Mode 600."""
        variables = {
            **self.environ(),
            "PGHOST": self.postgres.host,
            "PGPORT": str(self.postgres.port),
            "PGDATABASE": self.postgres.dbname,
            "PGUSER": _USER,
            "PGPASSWORD": self.password,
            "RCLONE_S3_PROVIDER": "Rclone",
            "RCLONE_S3_ENDPOINT": self.store.endpoint_url,
            "RCLONE_S3_ENV_AUTH": "true",
        }
        folders = dict.fromkeys([sys.exec_prefix + "/bin", str(rclone_program().parent), str(self.postgres.programs)])
        lines = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
        lines.append(f"export PATH={':'.join(map(shlex.quote, folders))}:$PATH")
        path.touch(mode=0o600)
        path.write_text("\n".join(lines) + "\n")

    def broken_rows(self) -> list[str]:
        """Hold every row against the production bucket; return a line for each that does not have its own picture."""
        etags = asyncio.run(self._production_etags())
        with psycopg.connect(self.postgres.conninfo()) as connection:
            rows: list[tuple[int, str]] = connection.execute("SELECT id, path FROM avatars ORDER BY id").fetchall()
        broken = [
            f"row {number}: {path!r} does not have its own picture"
            for number, path in rows
            if etags.get(path) != hashlib.md5(avatar_png(number), usedforsecurity=False).hexdigest()
        ]
        if len(rows) != self.avatars:
            broken.append(f"there are {len(rows)} rows instead of {self.avatars}")
        return broken

    async def _production_etags(self) -> dict[str, str]:
        credentials = CredentialSource.static(self.store.access_key, self.store.secret_key)
        async with S3Client(S3Config(endpoint_url=self.store.endpoint_url), credentials) as client:
            pages = client.list_pages(PRODUCTION_BUCKET, PRODUCTION_PREFIX)
            return {found.key: found.etag async for page in pages for found in page.objects}


def store_avatars(folder: Path, avatars: int) -> None:
    """Make both buckets and every avatar's object, as files: the store is started over this folder afterwards."""
    (folder / LEGACY_BUCKET / LEGACY_PREFIX).mkdir(parents=True)
    (folder / PRODUCTION_BUCKET / PRODUCTION_PREFIX).mkdir(parents=True)
    for number in range(1, avatars + 1):
        location = _location(number, avatars)
        (folder / location.bucket / location.key).write_bytes(avatar_png(number))


def _location(number: int, avatars: int) -> Location:
    """Say where an avatar is at first: the first half is in production already, the second half is to be migrated."""
    if number > avatars // 2:
        return Location(LEGACY_BUCKET, LEGACY_PREFIX + avatar_name(number))
    return Location(PRODUCTION_BUCKET, PRODUCTION_PREFIX + avatar_name(number))
