-- schema
CREATE TABLE media (
    id bigserial PRIMARY KEY,
    model_type varchar(255) NOT NULL,
    model_id bigint NOT NULL,
    uuid uuid NULL,
    collection_name varchar(255) NOT NULL,
    name varchar(255) NOT NULL,
    file_name varchar(255) NOT NULL,
    mime_type varchar(255) NULL,
    disk varchar(255) NOT NULL,
    conversions_disk varchar(255) NULL,
    size bigint NOT NULL,
    manipulations json NOT NULL,
    custom_properties json NOT NULL,
    generated_conversions json NOT NULL,
    responsive_images json NOT NULL,
    order_column integer NULL,
    created_at timestamp(0) NULL,
    updated_at timestamp(0) NULL,
    CONSTRAINT media_uuid_unique UNIQUE (uuid)
);
CREATE INDEX media_model_type_model_id_index ON media (model_type, model_id);
CREATE INDEX media_order_column_index ON media (order_column);
-- rows
INSERT INTO media SELECT n, 'App\Models\Post', n, NULL, 'images', 'Picture', 'pic-' || n || '.png', 'image/png', 's3',
    's3', 10, '[]', '[]', '{"thumb":true,"preview":false}', '[]', n, '2024-05-01', '2024-05-01'
FROM generate_series(1, 12) n;
INSERT INTO media VALUES
    (13, 'App\Models\Post', 1, NULL, 'images', 'Responsive', 'wide.jpg', NULL, 's3', NULL, 10, '[]', '{"a": 1.0}', '[]',
     '{"media_library_original":{"urls":["wide___media_library_original_800_600.jpg",
     "wide___media_library_original_400_300.jpg"],"base64svg":"data:image/svg+xml;base64,AA=="}}', NULL, NULL, NULL),
    (14, 'App\Models\Post', 1, '8f14e45f-ceea-467f-a8a6-000000000001', 'images', 'Quoted', 'O''Brien "x".tar.gz', NULL,
     's3', 's3', 10, '[]', '[]', '{"thumb":true}', '[]', NULL, NULL, NULL),
    (15, 'App\Models\Post', 1, NULL, 'images', 'Local', 'local.png', NULL, 'public', 'public', 1, '[]', '[]', '[]',
     '[]', NULL, NULL, NULL),
    (16, 'App\Models\Post', 1, NULL, 'images', 'New', 'new.png', NULL, 's3_new', 's3_new', 1, '[]', '[]',
     '{"thumb":true}', '[]', NULL, NULL, NULL),
    (17, 'App\Models\Post', 1, NULL, 'images', 'Two disks', 'two.png', NULL, 's3', 'public', 1, '[]', '[]', '[]', '[]',
     NULL, NULL, NULL);
-- migrated
UPDATE media SET disk = 's3_new', conversions_disk = 's3_new' WHERE id <= 14;
