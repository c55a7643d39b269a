-- schema
CREATE TABLE media_attachments (
    id bigint PRIMARY KEY,
    status_id bigint,
    file_file_name varchar,
    file_content_type varchar,
    file_file_size integer,
    file_updated_at timestamp,
    remote_url varchar NOT NULL DEFAULT '',
    created_at timestamp NOT NULL DEFAULT '2024-05-01',
    updated_at timestamp NOT NULL DEFAULT '2024-05-01',
    shortcode varchar,
    type integer NOT NULL DEFAULT 0,
    file_meta json,
    account_id bigint,
    description text,
    file_storage_schema_version integer,
    thumbnail_file_name varchar,
    thumbnail_remote_url varchar
);
CREATE UNIQUE INDEX index_media_attachments_on_shortcode ON media_attachments (shortcode) WHERE shortcode IS NOT NULL;
CREATE TABLE statuses (
    id bigint PRIMARY KEY,
    text text NOT NULL DEFAULT '',
    created_at timestamp NOT NULL DEFAULT '2024-05-01',
    account_id bigint NOT NULL DEFAULT 1,
    local boolean
);
-- rows
INSERT INTO media_attachments (id, file_file_name, file_content_type, file_storage_schema_version)
SELECT 109348684164012340 + n, '0a' || n || '.png', 'image/png', 1 FROM generate_series(1, 10) n;
INSERT INTO media_attachments (id, file_file_name, remote_url, file_storage_schema_version, file_meta) VALUES
    (7, 'old.jpeg', '', NULL, '{"focus": {"x": 0.0}}'),
    (109348684164012351, 'far.png', 'https://elsewhere.example/far.png', 1, NULL),
    (109348684164012352, 'far-old.png', 'https://elsewhere.example/far-old.png', NULL, NULL),
    (109348684164012353, NULL, 'https://elsewhere.example/never-fetched.png', 1, NULL),
    (109348684164012354, 'film.mp4', '', 1, NULL),
    (109348684164012355, 'new.png', '', 1, NULL);
UPDATE media_attachments SET thumbnail_file_name = 'cover.png' WHERE id IN (109348684164012351, 109348684164012354);
INSERT INTO statuses (id, text, local) VALUES
    (1, '', true),
    (2, 'Look: https://files.example.com/media_attachments/files/109/348/684/164/012/341/original/0a1.png, nice!', true),
    (3, 'https://files.example.com/site_uploads/files/000/000/001/@1x/about%20us.png#top and'
        ' https://elsewhere.example/media_attachments/files/1.png', true),
    (4, '<p><a href="https://FILES.example.com/cache/media_attachments/files/109/348/684/164/012/351/original/far.png">'
        'far</a> &amp; more</p>', false),
    (5, 'Nothing of ours: https://cdn.example.com/media_attachments/files/1.png', NULL);
-- application
UPDATE media_attachments SET file_store = 'new' WHERE id = 109348684164012355;
-- migrated
UPDATE media_attachments SET file_store = 'new'
WHERE file_file_name IS NOT NULL AND id <> 109348684164012355;
UPDATE statuses SET text = replace(replace(text, 'https://files.', 'https://cdn.'), 'https://FILES.', 'https://cdn.')
WHERE id IN (2, 3, 4);
