"""A site with six sources, as people have them: what the issue's run goes over, small."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.e2e.site import Site, body_of

if TYPE_CHECKING:
    from tests.tool import Finished

SETTINGS = """
[[moves]]
legacy = "s3://{legacy}/image/"
production = "s3://{production}/avatar/"
name = "images"

[[moves]]
legacy = "s3://{legacy}/blob/"
production = "s3://{production}/blob/"
name = "blobs"

[[urls]]
legacy = "https://old.example.com/{{key}}"
production = "https://cdn.example.com/{{key}}"

[[references]]
name = "members"
table = "members"
key = ["tenant", "number"]
column = "path"
shape = "key"
moves = ["images"]

[[references]]
table = "links"
key = "id"
column = "url"
shape = "url"
moves = ["images"]

[[references]]
name = "documents"
table = "documents"
key = "id"
column = "attachment"
shape = "json"
paths = ["$.file.id", "$.derivatives.*.id"]
moves = ["images"]

[[references]]
name = "albums"
table = "albums"
key = "id"
column = "pictures"
shape = "array"
moves = ["images"]

[[references]]
name = "posts"
table = '"Posts"'
key = "id"
column = "body %"
shape = "text"
moves = ["images"]

[[references]]
name = "blobs"
table = "blobs"
key = "id"
column = "key"
shape = "key"
where = "service_name = 'legacy'"
set = {{ service_name = "production" }}
moves = ["blobs"]
"""

SCHEMA = """
CREATE TABLE members (tenant int, number int, path varchar(60), PRIMARY KEY (tenant, number));
CREATE TABLE links (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), url text);
CREATE TABLE documents (id bigint PRIMARY KEY, attachment jsonb, other int);
CREATE TABLE albums (id int PRIMARY KEY, pictures text[]);
CREATE TABLE "Posts" (id int PRIMARY KEY, "body %" text);
CREATE TABLE blobs (id int PRIMARY KEY, key text, service_name text NOT NULL, touched int DEFAULT 0);
"""

TABLES = ("members", "links", "documents", "albums", '"Posts"', "blobs")

UNUSED = {"SKETCH_LEGACY_BUCKET": "sketch-legacy-s3", "SKETCH_PRODUCTION_BUCKET": "sketch-production-s3"}
"""What the list of moves takes the place of is to be at its default."""


@dataclass(frozen=True, slots=True)
class Sources:
    """The site, and its settings' file."""

    site: Site

    def run(self, flags: str, *more: str) -> Finished:
        """Run the tool with that file."""
        return self.site.run(f"{flags} --config sources.toml", *more)

    def document(self, flags: str, *more: str) -> dict[str, Any]:
        """Run it, and return what it says for ``--json``."""
        done = self.run(f"{flags} --json", *more)
        assert done.out, done
        document: dict[str, Any] = json.loads(done.out)
        return document

    def rows(self) -> dict[str, list[tuple[Any, ...]]]:
        """Return all tables, whole, as text."""
        return {name: self.site.database.execute(f"SELECT t::text FROM {name} AS t ORDER BY 1") for name in TABLES}  # noqa: S608 - ours


def make(site: Site, rows: int) -> Sources:
    """Make the tables, with so many rows each, and the objects that they name."""
    store, execute = site.store, site.database.execute
    text = SETTINGS.format(legacy=store.legacy_bucket, production=store.production_bucket)
    (site.folder / "sources.toml").write_text(text, encoding="utf-8")
    for statement in filter(str.strip, SCHEMA.split(";")):
        execute(statement)
    execute("INSERT INTO members SELECT n %% 3, n, 'image/m' || n || '.png' FROM generate_series(1, %s) n", rows)
    execute(
        "INSERT INTO links (url) SELECT 'https://OLD.example.com/image/l%%20' || n || '.png?v=1#x' FROM"
        " generate_series(1, %s) n",
        rows,
    )
    document = (
        """{"file": {"id": "image/d%1$s.png", "size": 1.00}, "derivatives": {"small": {"id": "image/d%1$s-s.png"}}}"""
    )
    execute("INSERT INTO documents SELECT n, format(%s, n)::jsonb, 7 FROM generate_series(1, %s) n", document, rows)
    execute(
        "INSERT INTO albums SELECT n, ('[0:2]={image/a' || n || '.png,NULL,\"image/shared, 1.png\"}')::text[]"
        " FROM generate_series(1, %s) n",
        rows,
    )
    post = 'See ![x](https://old.example.com/image/p%1$s.png) and <img src="//old.example.com/image/shared,%%201.png">.'
    execute('INSERT INTO "Posts" SELECT n, format(%s, n) FROM generate_series(1, %s) n', post, rows)
    execute(
        "INSERT INTO blobs (id, key, service_name) SELECT n, 'blob/b' || n, 'legacy' FROM generate_series(1, %s) n",
        rows,
    )
    store.put_many(store.legacy_bucket, legacy_bodies(rows))
    return Sources(site.with_environ(**UNUSED))


def legacy_bodies(rows: int) -> dict[str, bytes]:
    """Return every legacy object of a site with so many rows in each table: seven for a row, and one that many name."""
    keys = ["image/shared, 1.png"]
    for n in range(1, rows + 1):
        keys += [f"image/{name}.png" for name in (f"m{n}", f"l {n}", f"d{n}", f"d{n}-s", f"a{n}", f"p{n}")]
        keys.append(f"blob/b{n}")
    return {key: body_of(key) for key in keys}
