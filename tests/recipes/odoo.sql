-- schema
CREATE TABLE ir_attachment (
    id serial PRIMARY KEY,
    name varchar NOT NULL,
    description text,
    res_model varchar,
    res_field varchar,
    res_id integer,
    company_id integer,
    type varchar NOT NULL DEFAULT 'binary',
    url varchar(1024),
    public boolean,
    access_token varchar,
    db_datas bytea,
    store_fname varchar,
    file_size integer,
    checksum varchar(40),
    mimetype varchar,
    index_content text,
    create_uid integer,
    create_date timestamp,
    write_uid integer,
    write_date timestamp
);
CREATE INDEX ir_attachment_res_idx ON ir_attachment (res_model, res_id);
CREATE INDEX ir_attachment_store_fname_index ON ir_attachment (store_fname);
CREATE INDEX ir_attachment_checksum_index ON ir_attachment (checksum);
-- rows
INSERT INTO ir_attachment (name, res_model, res_id, store_fname, checksum)
SELECT 'picture ' || n, 'product.template', n, 's3://old-bucket/' || sha, sha
FROM generate_series(1, 12) n, repeat((n % 4)::text, 40) sha;
INSERT INTO ir_attachment (id, name, type, url, db_datas, store_fname) VALUES
    (13, 'a link', 'url', 'https://example.com/', NULL, NULL),
    (14, 'in the database', 'binary', NULL, '\x00ff', NULL),
    (15, 'on disk', 'binary', NULL, NULL, '00/0000000000000000000000000000000000000000'),
    (16, 'already', 'binary', NULL, NULL, 's3://new-bucket/9999999999999999999999999999999999999999'),
    (17, 'another bucket', 'binary', NULL, NULL, 's3://old-bucket-2/0000000000000000000000000000000000000000'),
    (18, 'O''Brien "x" 100%', 'binary', NULL, NULL, 's3://old-bucket/1111111111111111111111111111111111111111');
-- migrated
UPDATE ir_attachment SET store_fname = 's3://new-bucket/' || right(store_fname, 40) WHERE id <= 12 OR id = 18;
