-- A ledger of edition 4 in a file: sqlite3's dump, and the edition, which that leaves out.
PRAGMA user_version = 4;
BEGIN TRANSACTION;
CREATE TABLE flip (
    key NOT NULL, old_path TEXT NOT NULL, new_path TEXT NOT NULL, size_bytes INTEGER, etag TEXT,
    unix_time REAL NOT NULL, copied INTEGER NOT NULL, attempt INTEGER NOT NULL
);
INSERT INTO "flip" VALUES(1,'image/1','avatar/1',12,'etag',1.0,1,0);
INSERT INTO "flip" VALUES(2,'image/2','avatar/2',12,'etag',1.0,1,0);
INSERT INTO "flip" VALUES(3,'image/3','avatar/3',12,'etag',2.0,1,0);
INSERT INTO "flip" VALUES(4,'image/4','avatar/4',12,'etag',2.0,1,0);
CREATE TABLE locked (
    key NOT NULL, path TEXT NOT NULL, copied INTEGER NOT NULL, size_bytes INTEGER, reason TEXT NOT NULL,
    about TEXT, attempt INTEGER NOT NULL, PRIMARY KEY (attempt, key)
) WITHOUT ROWID;
INSERT INTO "locked" VALUES(4,'image/4',1,12,'',NULL,0);
CREATE TABLE not_flipped (
    key NOT NULL, path TEXT NOT NULL, outcome TEXT NOT NULL, reason TEXT NOT NULL, about TEXT, attempt INTEGER NOT NULL,
    PRIMARY KEY (attempt, key)
) WITHOUT ROWID;
INSERT INTO "not_flipped" VALUES(3,'image/3','superseded','',NULL,0);
INSERT INTO "not_flipped" VALUES(5,'image/5','already','perhaps_replaced','{"details": {"target": "s3://p/avatar/5"}}',0);
CREATE TABLE run (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO "run" VALUES('command','migrate');
INSERT INTO "run" VALUES('key_column','id');
INSERT INTO "run" VALUES('path_column','path');
INSERT INTO "run" VALUES('table','avatars');
CREATE TABLE unsettled (
    key NOT NULL PRIMARY KEY, path TEXT NOT NULL, new_path TEXT NOT NULL, xid INTEGER
) WITHOUT ROWID;
INSERT INTO "unsettled" VALUES(2,'image/2','avatar/2',77);
INSERT INTO "unsettled" VALUES(4,'image/4','avatar/4',NULL);
COMMIT;
