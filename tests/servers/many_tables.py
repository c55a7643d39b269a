"""A schema of 60 tables with legacy references in eight of them, and much that only looks like some in the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.servers.databases import Database

BUCKET = "sketch-legacy-s3"
S3_URL = f"https://{BUCKET}.s3.us-east-1.amazonaws.com/image"

HOLDING = """
CREATE TABLE avatars (id bigint PRIMARY KEY, path text, content_type text);
INSERT INTO avatars SELECT n, 'image/avatar-' || n || '.png', 'image/png' FROM generate_series(1, 30) AS n;

CREATE TABLE pictures (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), url varchar(300) UNIQUE);
INSERT INTO pictures (url) SELECT '{s3_url}/a%20b-' || n || '.png' FROM generate_series(1, 20) AS n;

CREATE TABLE documents (tenant_id int, id int, attachment jsonb, kind text, PRIMARY KEY (tenant_id, id));
INSERT INTO documents SELECT n % 3, n, jsonb_build_object(
    'file', jsonb_build_object('id', 'image/' || n || '.pdf', 'metadata', jsonb_build_object('mime_type', 'image/png')),
    'derivatives', jsonb_build_object('small', jsonb_build_object('id', 'image/s' || n), 'large',
        jsonb_build_object('id', 'image/l' || n, 'metadata', jsonb_build_object('mime_type', 'image/png')))), 'upload'
FROM generate_series(1, 25) AS n;

CREATE DOMAIN gallery_keys AS text[];
CREATE TABLE galleries (slug citext_or_text NOT NULL UNIQUE, keys gallery_keys);
INSERT INTO galleries SELECT 'g' || n, ARRAY[NULL, 'image/' || n || ',a.png', 'other'] FROM generate_series(1, 12) AS n;

CREATE TABLE posts (id int PRIMARY KEY, body text, bare text);
INSERT INTO posts SELECT n, '<p><img src="{s3_url}/' || n || '.png"> nice</p>',
    '![picture](image/' || n || '.png) of it' FROM generate_series(1, 15) AS n;

CREATE DOMAIN object_key AS varchar(200) CHECK (VALUE <> '');
CREATE TABLE "Odd ""Names"".100%%" ("The Id" serial PRIMARY KEY, "Object Key %%" object_key NOT NULL);
INSERT INTO "Odd ""Names"".100%%" ("Object Key %%") SELECT 'image/odd ' || n || '.png' FROM generate_series(1, 9) AS n;
CREATE INDEX "odd index" ON "Odd ""Names"".100%%" (lower("Object Key %%"));
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER "odd trigger" BEFORE UPDATE ON "Odd ""Names"".100%%" FOR EACH ROW EXECUTE FUNCTION touch();

CREATE TABLE events (day date, id bigint, payload json, PRIMARY KEY (day, id)) PARTITION BY RANGE (day);
CREATE TABLE events_2024 PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE events_2025 PARTITION OF events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
INSERT INTO events SELECT date '2024-12-20' + n, n,
    ('{{"shots": [{{"src": "https:\\/\\/{bucket}.s3.us-east-1.amazonaws.com\\/image\\/' || n || '.png"}}]}}')::json
FROM generate_series(1, 22) AS n;

CREATE SCHEMA app;
CREATE TABLE app.logs (line text, number int NOT NULL);
CREATE UNIQUE INDEX logs_number ON app.logs (number);
INSERT INTO app.logs SELECT 'GET s3://{bucket}/image/' || n || '.png done', n FROM generate_series(1, 7) AS n;
"""

# What begins, ends, or reads nearly as what is looked for.
INNOCENT = """
CREATE TABLE {name} (id int PRIMARY KEY, content_type varchar(100), path text, note text, tags text[], data jsonb);
INSERT INTO {name} SELECT n, 'image/jpeg', 'avatar/' || n || '.png', 'my-image/s are in thumbs/image/' || n,
    ARRAY['image/webp', 'images/' || n], jsonb_build_object('mime', 'image/svg+xml', 'src', '/image/' || n,
        'url', 'https://example.com/image/' || n || '.png')
FROM generate_series(1, 5) AS n;
"""

FOUND = {
    ("avatars", "path"): 30,
    ("pictures", "url"): 20,
    ("documents", "attachment"): 25,
    ("galleries", "keys"): 12,
    ("posts", "body"): 15,
    ("posts", "bare"): 15,
    ('"Odd ""Names"".100%"', "Object Key %"): 9,
    ("events", "payload"): 22,
    ("app.logs", "line"): 7,
}
"""How many rows each column with references has, by its table as settings name it."""

TABLES = 60


def make(database: Database) -> None:
    """Make the tables; those of the system, and views, come on top."""
    holding = HOLDING.replace("citext_or_text", "text").format(bucket=BUCKET, s3_url=S3_URL).replace("%%", "%")
    innocent = "".join(INNOCENT.format(name=f"innocent_{number}") for number in range(TABLES - 8))
    with database.connect() as connection:
        connection.execute(holding.encode())
        connection.execute(innocent.encode())
        connection.execute(b"ANALYZE")
