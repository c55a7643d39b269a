-- schema
CREATE TABLE active_storage_blobs (
    id bigserial PRIMARY KEY,
    key varchar NOT NULL,
    filename varchar NOT NULL,
    content_type varchar,
    metadata text,
    service_name varchar NOT NULL,
    byte_size bigint NOT NULL,
    checksum varchar,
    created_at timestamp(6) NOT NULL
);
CREATE UNIQUE INDEX index_active_storage_blobs_on_key ON active_storage_blobs (key);
CREATE TABLE active_storage_attachments (
    id bigserial PRIMARY KEY,
    name varchar NOT NULL,
    record_type varchar NOT NULL,
    record_id bigint NOT NULL,
    blob_id bigint NOT NULL REFERENCES active_storage_blobs (id),
    created_at timestamp(6) NOT NULL
);
CREATE TABLE active_storage_variant_records (
    id bigserial PRIMARY KEY,
    blob_id bigint NOT NULL REFERENCES active_storage_blobs (id),
    variation_digest varchar NOT NULL
);
CREATE UNIQUE INDEX index_active_storage_variant_records_uniqueness
    ON active_storage_variant_records (blob_id, variation_digest);
-- rows
INSERT INTO active_storage_blobs (key, filename, content_type, metadata, service_name, byte_size, checksum, created_at)
SELECT 'xtapjjcjiudrlk3tmwyjgpuobab' || n, 'photo ' || n || '.jpg', 'image/jpeg', '{"identified":true}', 'amazon',
    100 * n, 'B/' || n || '==', timestamp '2024-05-01 12:00:00.123456' + n * interval '1 hour'
FROM generate_series(1, 12) n;
INSERT INTO active_storage_blobs VALUES
    (13, 'users/7/avatar "new" O''Brien.png', 'a.png', NULL, NULL, 'amazon', 1, NULL, '2024-05-02'),
    (14, 'héllo wörld 100%.txt', 'b.txt', 'text/plain', '{"width":1.0}', 'amazon', 1, 'x', '2024-05-02'),
    (15, 'ondiskondiskondiskondiskondi', 'c.png', NULL, NULL, 'local', 1, NULL, '2024-05-02'),
    (16, 'alreadythere1alreadythere1al', 'd.png', NULL, NULL, 'amazon_new', 1, NULL, '2024-05-02'),
    (17, 'variantvariantvariantvariant', 'photo.webp', 'image/webp', '{}', 'amazon', 1, 'y', '2024-05-02'),
    (18, 'mirroredmirroredmirroredmirr', 'e.png', NULL, NULL, 'mirror', 1, NULL, '2024-05-02');
INSERT INTO active_storage_attachments VALUES (1, 'image', 'Photo', 1, 1, '2024-05-01'),
    (2, 'image', 'ActiveStorage::VariantRecord', 1, 17, '2024-05-02');
INSERT INTO active_storage_variant_records VALUES (1, 1, 'Zm9v');
-- migrated
UPDATE active_storage_blobs SET service_name = 'amazon_new' WHERE id BETWEEN 1 AND 14 OR id = 17;
