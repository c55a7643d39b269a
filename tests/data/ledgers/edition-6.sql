-- A ledger of edition 6 in a file: sqlite3's dump, and the edition, which that leaves out.
PRAGMA user_version = 6;
BEGIN TRANSACTION;
CREATE TABLE flip (
    key NOT NULL, old_path TEXT NOT NULL, new_path TEXT NOT NULL, size_bytes INTEGER, etag TEXT,
    unix_time REAL NOT NULL, copied INTEGER NOT NULL, attempt INTEGER NOT NULL, source INTEGER NOT NULL,
    read_checksum TEXT NOT NULL
);
INSERT INTO "flip" VALUES(1,'image/1.png','avatar/1.png',12,'etag',1.0,1,0,0,'');
INSERT INTO "flip" VALUES(2,'image/2.png','avatar/2.png',NULL,'etag',2.0,1,0,0,'');
CREATE TABLE locked (
    key NOT NULL, path TEXT NOT NULL, copied INTEGER NOT NULL, size_bytes INTEGER, reason TEXT NOT NULL,
    about TEXT, attempt INTEGER NOT NULL, source INTEGER NOT NULL, new_path TEXT, PRIMARY KEY (attempt, source, key)
) WITHOUT ROWID;
CREATE TABLE not_flipped (
    key NOT NULL, path TEXT NOT NULL, outcome TEXT NOT NULL, reason TEXT NOT NULL, about TEXT, attempt INTEGER NOT NULL,
    source INTEGER NOT NULL, packed BLOB, PRIMARY KEY (attempt, source, key)
) WITHOUT ROWID;
INSERT INTO "not_flipped" VALUES(3,'image/3.png','missing','no_legacy_object',NULL,0,0,NULL);
CREATE TABLE run (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO "run" VALUES('path_column','path');
INSERT INTO "run" VALUES('table','avatars');
CREATE TABLE unsettled (
    key NOT NULL, path TEXT NOT NULL, new_path TEXT NOT NULL, xid INTEGER, source INTEGER NOT NULL,
    PRIMARY KEY (source, key)
) WITHOUT ROWID;
CREATE TABLE upload (
    upload_id TEXT PRIMARY KEY, bucket TEXT NOT NULL, object_key TEXT NOT NULL, etag TEXT NOT NULL,
    has_ended INTEGER NOT NULL, part_bytes INTEGER NOT NULL, headers_sha256 TEXT NOT NULL, is_left INTEGER NOT NULL
) WITHOUT ROWID;
COMMIT;
