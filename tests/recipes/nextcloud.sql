-- schema
CREATE TABLE oc_storages (
    numeric_id bigserial PRIMARY KEY,
    id varchar(64),
    available integer NOT NULL DEFAULT 1,
    last_checked integer
);
CREATE UNIQUE INDEX storages_id_index ON oc_storages (id);
CREATE TABLE oc_mimetypes (id bigserial PRIMARY KEY, mimetype varchar(255) NOT NULL DEFAULT '');
CREATE UNIQUE INDEX mimetype_id_index ON oc_mimetypes (mimetype);
CREATE TABLE oc_filecache (
    fileid bigserial PRIMARY KEY,
    storage bigint NOT NULL DEFAULT 0,
    path varchar(4000),
    path_hash varchar(32) NOT NULL DEFAULT '',
    parent bigint NOT NULL DEFAULT 0,
    name varchar(250),
    mimetype bigint NOT NULL DEFAULT 0,
    mimepart bigint NOT NULL DEFAULT 0,
    size bigint NOT NULL DEFAULT 0,
    mtime bigint NOT NULL DEFAULT 0,
    storage_mtime bigint NOT NULL DEFAULT 0,
    encrypted integer NOT NULL DEFAULT 0,
    unencrypted_size bigint NOT NULL DEFAULT 0,
    etag varchar(40),
    permissions integer DEFAULT 0,
    checksum varchar(255)
);
CREATE UNIQUE INDEX fs_storage_path_hash ON oc_filecache (storage, path_hash);
CREATE INDEX fs_storage_mimetype ON oc_filecache (storage, mimetype);
-- rows
INSERT INTO oc_storages (numeric_id, id) VALUES
    (1, 'object::store:amazon::old-bucket'), (2, 'object::user:ada'), (3, 'smb::ada@files//share//');
INSERT INTO oc_mimetypes VALUES (1, 'httpd'), (2, 'httpd/unix-directory'), (3, 'image'), (4, 'image/png');
INSERT INTO oc_filecache (fileid, storage, path, path_hash, parent, name, mimetype, mimepart, size, etag)
SELECT 100 + n, 2, 'files/' || n || '.png', md5(n::text), 91, n || '.png', 4, 3, n, 'etag' || n
FROM generate_series(1, 12) n;
INSERT INTO oc_filecache (fileid, storage, path, path_hash, name, mimetype, mimepart, etag) VALUES
    (90, 2, '', md5(''), '', 2, 1, 'root'),
    (91, 2, 'files', md5('files'), 'files', 2, 1, NULL),
    (92, 1, 'appdata_x/preview/a.png', md5('preview'), 'a.png', 4, 3, NULL),
    (93, 3, 'on a share.png', md5('share'), 'on a share.png', 4, 3, 'e'),
    (94, 2, 'files/O''Brien "x" é.png', md5('quoted'), 'O''Brien "x" é.png', 4, 3, 'e'),
    (95, 2, NULL, md5('null'), NULL, 4, 3, 'e'),
    (96, 2, 'files/new.png', md5('new'), 'new.png', 4, 3, 'e');
-- application
UPDATE oc_filecache SET object_moved = true WHERE fileid = 96;
-- migrated
UPDATE oc_filecache SET object_moved = true WHERE fileid BETWEEN 101 AND 112 OR fileid IN (92, 94, 95);
