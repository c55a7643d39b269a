-- schema
CREATE TABLE uploads (
    id serial PRIMARY KEY,
    user_id integer NOT NULL DEFAULT 1,
    original_filename varchar NOT NULL DEFAULT 'x.png',
    filesize bigint NOT NULL DEFAULT 1,
    width integer,
    height integer,
    url varchar NOT NULL,
    created_at timestamp NOT NULL DEFAULT '2024-05-01',
    updated_at timestamp NOT NULL DEFAULT '2024-05-01',
    sha1 varchar(40),
    origin varchar(1000),
    extension varchar(10),
    etag varchar,
    secure boolean NOT NULL DEFAULT false
);
CREATE UNIQUE INDEX index_uploads_on_sha1 ON uploads (sha1);
CREATE INDEX index_uploads_on_url ON uploads (url);
CREATE TABLE optimized_images (
    id serial PRIMARY KEY,
    sha1 varchar(40) NOT NULL DEFAULT '',
    extension varchar(10) NOT NULL DEFAULT '.png',
    width integer NOT NULL,
    height integer NOT NULL,
    upload_id integer NOT NULL,
    url varchar NOT NULL
);
CREATE UNIQUE INDEX index_optimized_images_on_upload_id_and_width_and_height
    ON optimized_images (upload_id, width, height);
CREATE TABLE posts (
    id serial PRIMARY KEY,
    user_id integer,
    topic_id integer NOT NULL DEFAULT 1,
    raw text NOT NULL,
    cooked text NOT NULL,
    created_at timestamp NOT NULL DEFAULT '2024-05-01',
    updated_at timestamp NOT NULL DEFAULT '2024-05-01'
);
-- rows
INSERT INTO uploads (url, sha1)
SELECT '//old-bucket.s3.dualstack.eu-west-1.amazonaws.com/original/1X/' || n || '.png', n FROM generate_series(1, 10) n;
INSERT INTO uploads (id, url, sha1) VALUES
    (-1, '/images/discourse-logo-sketch.png', NULL),
    (11, '/uploads/default/original/1X/local.png', NULL),
    (12, '//new-bucket.s3.dualstack.eu-west-1.amazonaws.com/original/1X/new.png', 'new'),
    (13, 'https://old-bucket.s3.dualstack.eu-west-1.amazonaws.com/original/1X/a%20%22b%22.pdf', 'quoted');
INSERT INTO optimized_images (width, height, upload_id, url) VALUES
    (10, 10, 1, '//old-bucket.s3.dualstack.eu-west-1.amazonaws.com/optimized/1X/1_2_10x10.png'),
    (10, 10, 11, '/uploads/default/optimized/1X/local_2_10x10.png');
INSERT INTO posts (raw, cooked) VALUES
    ('![one|10x10](upload://qUm0DGR49PAZshIi7HxMd3cAlzn.png)',
     '<p><div class="lightbox-wrapper"><a href="//old-bucket.s3.dualstack.eu-west-1.amazonaws.com/original/1X/1.png"'
     ' data-download-href="/uploads/short-url/qUm0.png?dl=1"><img src="https://old-cdn.example.com/optimized/1X/1_2_10x10.png"'
     ' srcset="https://old-cdn.example.com/optimized/1X/1_2_10x10.png, https://old-cdn.example.com/original/1X/1.png 2x"></a>'
     '</div></p>'),
    ('Old: https://old-bucket.s3.dualstack.eu-west-1.amazonaws.com/original/1X/2.png.',
     '<p>Old: <img src="https://old-bucket.s3.dualstack.eu-west-1.amazonaws.com/original/1X/2.png"></p>'),
    ('No picture.', '<p>No picture &amp; no URL.</p>'),
    ('', ''),
    ('[a "b"](https://old-cdn.example.com/original/1X/a%20%22b%22.pdf)',
     '<a class="attachment" href="https://old-cdn.example.com/original/1X/a%20%22b%22.pdf">a &quot;b&quot;</a>'),
    ('https://new-cdn.example.com/original/1X/new.png', '<img src="https://new-cdn.example.com/original/1X/new.png">'),
    ('https://old-bucket.example.org/original/1X/1.png', '<p>https://example.org/?//old-bucket/original/1X/1.png</p>');
-- migrated
UPDATE uploads SET url = replace(url, '//old-bucket.s3.dualstack.', '//new-bucket.s3.dualstack.')
WHERE id BETWEEN 1 AND 10 OR id = 13;
UPDATE optimized_images SET url = replace(url, '//old-bucket.s3.dualstack.', '//new-bucket.s3.dualstack.') WHERE id = 1;
UPDATE posts SET
    raw = replace(replace(raw, '//old-bucket.s3.dualstack.', '//new-bucket.s3.dualstack.'), '//old-cdn.', '//new-cdn.'),
    cooked = replace(replace(cooked, '//old-bucket.s3.dualstack.', '//new-bucket.s3.dualstack.'),
        '//old-cdn.', '//new-cdn.')
WHERE id IN (1, 2, 5);
