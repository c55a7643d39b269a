-- What was found, side by side. A tail is what follows the prefix of its side: the two sides meet in it, by the number
-- of its route. A reference is known by its source, the key of its row, and its slot: its place in the row.
CREATE TABLE site (
    version VARCHAR, table_name VARCHAR, key_column VARCHAR, path_column VARCHAR, max_path_chars INTEGER,
    max_path_bytes INTEGER, endpoint_url VARCHAR, legacy_bucket VARCHAR, legacy_prefix VARCHAR,
    production_bucket VARCHAR, production_prefix VARCHAR
);
CREATE TABLE source (              -- "is_copied": its rows were read by SQL alone, each is a key, or on neither side
    source USMALLINT, name VARCHAR, table_name VARCHAR, max_path_chars INTEGER, max_path_bytes INTEGER,
    is_copied BOOLEAN
);
CREATE TABLE reading (what VARCHAR, began_at_utc TIMESTAMP, ended_at_utc TIMESTAMP, entries BIGINT);
CREATE TABLE inventory (side VARCHAR, manifest VARCHAR, created_at_utc TIMESTAMP);  -- what was read instead of a listing
-- The path is the object's key, or all that a row on neither side holds. Such a row has a route where the settings leave it
-- out by their condition, and it names a legacy object all the same.
-- "own_path" is the path where that is anything but the prefix of its side and route, and the tail.
-- "bucket" is one of 256 of tails, by their hash. Each loading is sorted by it, so that a few of them are read alone.
CREATE TABLE reference (
    source USMALLINT, key VARCHAR, slot UINTEGER, own_path VARCHAR, side VARCHAR, route USMALLINT, tail VARCHAR,
    bucket UTINYINT NOT NULL, path VARCHAR GENERATED ALWAYS AS (coalesce(own_path, {key_of})) VIRTUAL
);
CREATE TABLE rows_read (source USMALLINT, rows BIGINT, unnamed BIGINT);   -- "unnamed": those without any reference
CREATE TABLE unmovable (source USMALLINT, key VARCHAR, slot UINTEGER, words VARCHAR);    -- no slot: the row as a whole
-- "md5" is an ETag that looks like one, in small letters: 16 bytes, and no text is compared. Any other is "other_etag".
CREATE TABLE legacy_object (
    route USMALLINT, tail VARCHAR, size_bytes BIGINT, md5 UUID, other_etag VARCHAR, modified_utc TIMESTAMP,
    storage_class VARCHAR, bucket UTINYINT NOT NULL,
    etag VARCHAR GENERATED ALWAYS AS (coalesce(replace(md5::VARCHAR, '-', ''), other_etag)) VIRTUAL
);
CREATE TABLE production_object (
    route USMALLINT, tail VARCHAR, size_bytes BIGINT, md5 UUID, other_etag VARCHAR, modified_utc TIMESTAMP,
    storage_class VARCHAR, bucket UTINYINT NOT NULL,
    etag VARCHAR GENERATED ALWAYS AS (coalesce(replace(md5::VARCHAR, '-', ''), other_etag)) VIRTUAL
);
-- One verdict for each reference. "is_same_etag": production's ETag is that of legacy, and kept once. "own_path" and the
-- two kinds of an ETag are as in "reference" and in the objects.
CREATE TABLE verdict (
    source USMALLINT, key VARCHAR, slot UINTEGER, own_path VARCHAR, side VARCHAR, route USMALLINT, tail VARCHAR,
    legacy_bytes BIGINT, legacy_md5 UUID, legacy_other_etag VARCHAR, legacy_modified_utc TIMESTAMP,
    production_bytes BIGINT, is_same_etag BOOLEAN, production_md5 UUID, production_other_etag VARCHAR,
    production_modified_utc TIMESTAMP, same BOOLEAN, standing VARCHAR, proof VARCHAR,
    path VARCHAR GENERATED ALWAYS AS (coalesce(own_path, {key_of})) VIRTUAL,
    legacy_etag VARCHAR GENERATED ALWAYS AS (coalesce(replace(legacy_md5::VARCHAR, '-', ''), legacy_other_etag)) VIRTUAL,
    production_etag VARCHAR GENERATED ALWAYS AS (
        CASE WHEN is_same_etag THEN coalesce(replace(legacy_md5::VARCHAR, '-', ''), legacy_other_etag)
        ELSE coalesce(replace(production_md5::VARCHAR, '-', ''), production_other_etag) END
    ) VIRTUAL
);
CREATE TABLE strange_key (side VARCHAR, key VARCHAR);                              -- not UTF-8: no row can name it
CREATE TABLE flip (                  -- from the ledgers of migrations: the path is the production key of a reference
    source USMALLINT, key VARCHAR, path VARCHAR, etag VARCHAR, unix_time DOUBLE
);
CREATE TABLE stored_otherwise (source USMALLINT, key VARCHAR);   -- rows in which a past run let another path be stored
CREATE TABLE archived (                               -- legacy objects that have to be restored: see archived.py
    route USMALLINT, tail VARCHAR, reason VARCHAR, archive VARCHAR, is_being_restored BOOLEAN
);
CREATE TABLE other_row (      -- some rows on neither side: what the path seems to be, which legacy object it may stand for
    source USMALLINT, key VARCHAR, path VARCHAR, seems VARCHAR, legacy_key VARCHAR
);
CREATE TABLE problem (kind VARCHAR, source USMALLINT, key VARCHAR, path VARCHAR, detail VARCHAR);
-- in what else than bytes two objects differ; why none were read
CREATE TABLE detail (source USMALLINT, key VARCHAR, slot UINTEGER, words VARCHAR);
-- those whose content headers, user metadata and tags were compared, and are alike
CREATE TABLE metadata_compared (source USMALLINT, key VARCHAR, slot UINTEGER);
-- what is to be said of a reference besides its problem
CREATE TABLE remark (source USMALLINT, key VARCHAR, path VARCHAR, words VARCHAR);
CREATE TABLE look (                                                         -- what a closer look at a reference showed
    source USMALLINT, key VARCHAR, slot UINTEGER, standing VARCHAR, proof VARCHAR, legacy_bytes BIGINT,
    legacy_etag VARCHAR, production_bytes BIGINT, production_etag VARCHAR
);
