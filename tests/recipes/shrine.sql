-- schema
CREATE TABLE photos (
    id bigserial PRIMARY KEY,
    title varchar,
    image_data jsonb,
    created_at timestamp(6) NOT NULL DEFAULT '2024-05-01',
    updated_at timestamp(6) NOT NULL DEFAULT '2024-05-01'
);
-- rows
INSERT INTO photos (title, image_data)
SELECT 'Photo ' || n, format('{
    "id": "photo/%1$s/image/original-0a%1$s.jpg", "storage": "store",
    "metadata": {"filename": "photo/%1$s.jpg", "size": %1$s00, "mime_type": "image/jpeg", "ratio": 1.50},
    "derivatives": {
        "small": {"id": "photo/%1$s/image/small-0b%1$s.jpg", "storage": "store", "metadata": {"size": 10}},
        "large": {"id": "photo/%1$s/image/large-0c%1$s.jpg", "storage": "store", "metadata": {"size": 20}}
    }}', n)::jsonb
FROM generate_series(1, 10) n;
INSERT INTO photos (id, title, image_data) VALUES
    (11, 'none', NULL),
    (12, 'no derivatives', '{"id": "photo/12/image/a b \"c\" é.jpg", "storage": "store", "metadata": {"size": null}}'),
    (13, 'still in the cache', '{"id": "photo/13/image/cached.jpg", "storage": "cache", "metadata": {}}'),
    (14, 'already', '{"id": "media/photo/14/image/new.jpg", "storage": "store", "metadata": {}}'),
    (15, 'nested', '{"id": "photo/15/image/o.jpg", "storage": "store", "metadata": {}, "derivatives": {
        "thumbs": {"s": {"id": "photo/15/image/s.jpg", "storage": "store", "metadata": {}}},
        "pages": [{"id": "photo/15/image/p1.jpg", "storage": "store", "metadata": {}},
                  {"id": "photo/15/image/p2.jpg", "storage": "store", "metadata": {}}]}}'),
    (16, 'empty', '{}'),
    (17, 'JSON null', 'null');
-- migrated
UPDATE photos SET image_data = replace(image_data::text, '"id": "photo/', '"id": "media/photo/')::jsonb
WHERE id BETWEEN 1 AND 10 OR id IN (12, 15);
