-- What was found, side by side. A tail is what follows the prefix of its side: the two sides meet in it.
CREATE TABLE site (
    version VARCHAR, table_name VARCHAR, key_column VARCHAR, path_column VARCHAR, max_path_chars INTEGER,
    max_path_bytes INTEGER, endpoint_url VARCHAR, legacy_bucket VARCHAR, legacy_prefix VARCHAR,
    production_bucket VARCHAR, production_prefix VARCHAR
);
CREATE TABLE reading (what VARCHAR, began_at_utc TIMESTAMP, ended_at_utc TIMESTAMP, entries BIGINT);
CREATE TABLE reference (key VARCHAR, path VARCHAR, side VARCHAR, tail VARCHAR);
CREATE TABLE legacy_object (
    tail VARCHAR, size_bytes BIGINT, etag VARCHAR, modified_utc TIMESTAMP, storage_class VARCHAR
);
CREATE TABLE production_object (
    tail VARCHAR, size_bytes BIGINT, etag VARCHAR, modified_utc TIMESTAMP, storage_class VARCHAR
);
CREATE TABLE strange_key (side VARCHAR, key VARCHAR);                              -- not UTF-8: no row can name it
CREATE TABLE flip (key VARCHAR, new_path VARCHAR, etag VARCHAR, unix_time DOUBLE); -- from the ledgers of migrations
CREATE TABLE stored_otherwise (key VARCHAR);          -- rows in which a past run let the database store another path
CREATE TABLE archived (tail VARCHAR, reason VARCHAR);             -- legacy objects that cannot be read: see s3/archive.py
CREATE TABLE other_row (      -- some rows on neither side: what the path seems to be, which legacy object it may stand for
    key VARCHAR, path VARCHAR, seems VARCHAR, legacy_key VARCHAR
);
CREATE TABLE problem (kind VARCHAR, key VARCHAR, path VARCHAR, detail VARCHAR);
CREATE TABLE detail (key VARCHAR, words VARCHAR);     -- in what else than bytes two objects differ; why none were read
CREATE TABLE remark (key VARCHAR, words VARCHAR);              -- what is to be said of a row besides its problem
CREATE TABLE look (                                                               -- what a closer look at a row showed
    key VARCHAR, standing VARCHAR, proof VARCHAR, legacy_bytes BIGINT, legacy_etag VARCHAR, production_bytes BIGINT,
    production_etag VARCHAR
);
