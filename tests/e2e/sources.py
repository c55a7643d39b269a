"""A site of seven sources: each shape, keys of two columns, rows that a column tells the side of, nested prefixes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.proved import keep_races
from tests.tool import run, run_directories

if TYPE_CHECKING:
    from pathlib import Path

    from psycopg import Connection

    from tests.e2e.site import Site
    from tests.tool import Finished

OLD, NEW = "https://old.example.com", "https://cdn.example.com"

SETTINGS = """
[[moves]]
name = "images"
legacy = "s3://{legacy}/image/"
production = "s3://{production}/avatar/"

[[moves]]
name = "thumbs"
legacy = "s3://{legacy}/image/thumb/"
production = "s3://{production}/thumb/"

[[moves]]
name = "blobs"
legacy = "s3://{legacy}/"
production = "s3://{production}/blob/"

[[urls]]
legacy = "https://old.example.com/{{key}}"
production = "https://cdn.example.com/{{key}}"

[[references]]
name = "documents"
table = "documents"
key = ["tenant", "id"]
column = "path"
shape = "key"
moves = ["images", "thumbs"]

[[references]]
name = "users"
table = "users"
key = "id"
column = "url"
shape = "url"
moves = ["images", "thumbs"]

[[references]]
name = "attachments"
table = "attachments"
key = "id"
column = "meta"
shape = "json"
paths = ["$.file", "$.more.*"]
moves = ["images", "thumbs"]

[[references]]
name = "galleries"
table = "galleries"
key = "id"
column = "pictures"
shape = "array"
moves = ["images", "thumbs"]

[[references]]
name = "posts"
table = "posts"
key = "id"
column = "body"
shape = "text"
moves = ["images", "thumbs"]

[[references]]
name = "blobs"
table = "blobs"
key = "id"
column = "key"
shape = "key"
where = "service = 'old'"
set = {{ service = "new" }}
moves = ["blobs"]

[[references]]
name = "avatars"
table = "people"
key = "id"
shape = "expression"
expression = "'image/' || file"
where = "storage = 'old'"
set = {{ storage = "new" }}
reads = ["file"]
moves = ["images"]
"""

TABLES = (
    "CREATE TABLE documents (tenant int, id int, path text, PRIMARY KEY (tenant, id))",
    "CREATE TABLE users (id int PRIMARY KEY, url text)",
    "CREATE TABLE attachments (id int PRIMARY KEY, meta jsonb)",
    "CREATE TABLE galleries (id int PRIMARY KEY, pictures text[])",
    "CREATE TABLE posts (id int PRIMARY KEY, body text)",
    "CREATE TABLE blobs (id int PRIMARY KEY, key text, service text)",
    "CREATE TABLE people (id int PRIMARY KEY, file text, storage text)",
)

NAMES = ("documents", "users", "attachments", "galleries", "posts", "blobs", "avatars")

_BUCKETS = ("SKETCH_LEGACY_BUCKET", "SKETCH_PRODUCTION_BUCKET", "SKETCH_LEGACY_PREFIX", "SKETCH_PRODUCTION_PREFIX")


@dataclass(frozen=True, slots=True)
class Sources:
    """The site, and the tool run with its settings."""

    site: Site

    @property
    def environ(self) -> dict[str, str]:
        """What the tool gets: moves name the buckets."""
        return {name: value for name, value in self.site.settings.items() if name not in _BUCKETS}

    def run(self, flags: str) -> Finished:
        """Run the tool."""
        keep_races(self.site.folder / "runs", self.site.store)
        return run(*flags.split(), "--config", "site.toml", environ=self.environ, cwd=self.site.folder)

    def last_run(self) -> Path:
        """Return the directory of the newest run."""
        return run_directories(self.site.folder)[-1]

    def document(self) -> dict[str, Any]:
        """Return the certificate of the last run."""
        found: dict[str, Any] = json.loads((self.last_run() / "certificate.json").read_text())
        return found

    def rows(self) -> dict[str, list[tuple[Any, ...]]]:
        """Return all rows of all tables."""
        tables = (statement.split()[2] for statement in TABLES)
        return {
            name: self.site.database.execute(f"SELECT * FROM {name} ORDER BY id")  # noqa: S608 - our own
            for name in tables
        }


def key_of(name: str) -> str:
    """Return the legacy key of an object."""
    return f"image/{name}.png"


def made(site: Site, rows: int = 4) -> Sources:
    """Make the tables, so many legacy rows in each, and an object for each reference; and rows on neither side.

    Each row of documents, users and avatars names one object, of attachments and galleries two, of posts two as well,
    one of which is that of the row of documents.
    """
    store = site.store
    buckets = {"legacy": store.legacy_bucket, "production": store.production_bucket}
    (site.folder / "site.toml").write_text(SETTINGS.format(**buckets))
    with site.database.connect() as connection:
        objects = _fill(connection, rows)
    store.put_all(store.legacy_bucket, {key: f"body of {key}".encode() for key in objects})
    return Sources(site)


def _fill(connection: Connection[tuple[Any, ...]], rows: int) -> set[str]:
    """Make the tables, and return the keys of the objects that their rows name."""
    execute = connection.execute
    for statement in TABLES:
        execute(statement)
    objects: set[str] = set()

    def named(name: str) -> str:
        objects.add(key_of(name))
        return key_of(name)

    for n in range(1, rows + 1):
        execute("INSERT INTO documents VALUES (%s, %s, %s)", (n % 2, n, named(f"document-{n}")))
        execute("INSERT INTO users VALUES (%s, %s)", (n, f"{OLD}/{named(f'user-{n}')}?v={n}"))
        meta = {"file": named(f"file-{n}"), "more": {"thumb": named(f"thumb/{n}"), "n": 1.50}}
        execute("INSERT INTO attachments VALUES (%s, %s::jsonb)", (n, json.dumps(meta)))
        execute("INSERT INTO galleries VALUES (%s, %s)", (n, [named(f"left-{n}"), "other", named(f"right-{n}")]))
        urls = f"{OLD}/{key_of(f'document-{n}')} and <img src='{OLD}/{named(f'post-{n}')}'>"
        execute("INSERT INTO posts VALUES (%s, %s)", (n, urls))
        objects.add(f"b{n}")
        execute("INSERT INTO blobs VALUES (%s, %s, 'old')", (n, f"b{n}"))
        named(f"person-{n}")
        execute("INSERT INTO people VALUES (%s, %s, 'old')", (n, f"person-{n}.png"))
    execute("INSERT INTO documents VALUES (0, 0, 'elsewhere/x.png')")
    execute("INSERT INTO posts VALUES (0, 'nothing here'), (-1, NULL)")
    return objects
