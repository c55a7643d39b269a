BEGIN TRANSACTION;
CREATE TABLE flip (
    key NOT NULL, old_path TEXT NOT NULL, new_path TEXT NOT NULL, size_bytes INTEGER, etag TEXT,
    unix_time REAL NOT NULL, copied INTEGER NOT NULL, attempt INTEGER NOT NULL
);
INSERT INTO "flip" VALUES(1,'image/Avatar-1.png','avatar/Avatar-1.png',144,'252b16867d530ea0a13ffe1978255242',1.79586541516217517854e+09,1,0);
INSERT INTO "flip" VALUES(2,'image/Avatar-2.png','avatar/Avatar-2.png',NULL,'cf3d056fa9e8011bee49c9abe643b39d',1.79586541516217517854e+09,1,0);
INSERT INTO "flip" VALUES(3,'image/Avatar-3.png','avatar/Avatar-3.png',NULL,'231b4332fe79358ee9eb59c0b18a9e89',1.79586541516217517854e+09,1,0);
INSERT INTO "flip" VALUES(4,'image/avatar-4.png','avatar/avatar-4.png',NULL,'66d0acad56ed31abbf796070fee148cf',1.79586541516217517854e+09,1,0);
INSERT INTO "flip" VALUES(5,'image/avatar-5.png','avatar/avatar-5.png',NULL,'d5f12390988f47bc15198c158898ceed',1.79586541516217517854e+09,1,0);
INSERT INTO "flip" VALUES(6,'image/avatar-6.png','avatar/avatar-6.png',NULL,'41206fad4e5e9074f8745719e2dcf66f',1.79586541516217517854e+09,1,0);
CREATE TABLE not_flipped (
    key NOT NULL, path TEXT NOT NULL, outcome TEXT NOT NULL, reason TEXT NOT NULL, attempt INTEGER NOT NULL,
    PRIMARY KEY (attempt, key)
) WITHOUT ROWID;
INSERT INTO "not_flipped" VALUES(1,'image/Avatar-1.png','failed','a trigger stored another path',0);
INSERT INTO "not_flipped" VALUES(2,'image/Avatar-2.png','failed','a trigger stored another path',0);
INSERT INTO "not_flipped" VALUES(3,'image/Avatar-3.png','failed','a trigger stored another path',0);
CREATE TABLE run (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO "run" VALUES('command','migrate');
INSERT INTO "run" VALUES('dry_run','false');
INSERT INTO "run" VALUES('ended','true');
INSERT INTO "run" VALUES('endpoint','ENDPOINT');
INSERT INTO "run" VALUES('key_column','id');
INSERT INTO "run" VALUES('legacy','s3://LEGACY_BUCKET/image/');
INSERT INTO "run" VALUES('no_clobber','check-first');
INSERT INTO "run" VALUES('no_clobber_reason','the store honours no condition on a write: neither on a copy nor on a put nor on a multipart upload');
INSERT INTO "run" VALUES('path_column','path');
INSERT INTO "run" VALUES('production','s3://PRODUCTION_BUCKET/avatar/');
INSERT INTO "run" VALUES('table','avatars');
INSERT INTO "run" VALUES('version','0.1.0');
CREATE TABLE unsettled (
    key NOT NULL PRIMARY KEY, path TEXT NOT NULL, new_path TEXT NOT NULL
) WITHOUT ROWID;
COMMIT;
