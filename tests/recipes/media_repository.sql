-- schema
CREATE TABLE media (
    origin text NOT NULL,
    media_id text NOT NULL,
    upload_name text NOT NULL,
    content_type text NOT NULL,
    user_id text NOT NULL,
    sha256_hash text NOT NULL,
    size_bytes bigint NOT NULL,
    location text NOT NULL,
    creation_ts bigint NOT NULL,
    quarantined boolean NOT NULL DEFAULT false,
    datastore_id text NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX media_index ON media (media_id, origin);
CREATE INDEX idx_datastore_id_location_media ON media (datastore_id, location);
CREATE TABLE thumbnails (
    origin text NOT NULL,
    media_id text NOT NULL,
    width integer NOT NULL,
    height integer NOT NULL,
    method text NOT NULL,
    content_type text NOT NULL,
    size_bytes bigint NOT NULL,
    location text NOT NULL,
    creation_ts bigint NOT NULL,
    animated boolean NOT NULL DEFAULT false,
    sha256_hash text NULL,
    datastore_id text NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX thumbnails_index ON thumbnails (media_id, origin, width, height, method, animated);
CREATE INDEX idx_datastore_id_location_thumbnails ON thumbnails (datastore_id, location);
-- rows
INSERT INTO media
SELECT 'example.org', 'm' || n, 'picture.png', 'image/png', '@ada:example.org', repeat('a', 64), 10, 'ab/cd/loc' || n % 6,
    1700000000000, false, 'old-store' FROM generate_series(1, 12) n;
INSERT INTO media VALUES
    ('elsewhere.example', 'm1', 'same id', 'image/png', '', '', 1, 'ab/cd/far', 1, false, 'old-store'),
    ('example.org', 'quoted "m"', 'O''Brien é', 'image/png', '', '', 1, 'ab/cd/O''Brien "x"', 1, true, 'old-store'),
    ('example.org', 'disk', 'on disk', 'image/png', '', '', 1, 'ab/cd/loc1', 1, false, 'disk-store'),
    ('example.org', 'before', 'before datastores', 'image/png', '', '', 1, '/data/ab/cd', 1, false, ''),
    ('example.org', 'new', 'already', 'image/png', '', '', 1, 'ab/cd/new', 1, false, 'new-store');
INSERT INTO thumbnails
SELECT 'example.org', 'm' || n, size, size, 'crop', 'image/png', 5, 'ef/gh/thumb' || n || '-' || size, 1, animated, NULL,
    'old-store' FROM generate_series(1, 3) n, unnest(ARRAY[32, 96]) size, unnest(ARRAY[true, false]) animated;
INSERT INTO thumbnails VALUES
    ('example.org', 'm4', 32, 32, 'crop', 'image/png', 5, 'ef/gh/disk', 1, false, NULL, 'disk-store');
-- migrated
UPDATE media SET datastore_id = 'new-store' WHERE origin <> 'example.org' OR media_id NOT IN ('disk', 'before', 'new');
UPDATE thumbnails SET datastore_id = 'new-store' WHERE media_id IN ('m1', 'm2', 'm3');
