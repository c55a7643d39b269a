-- schema
CREATE TABLE users (
    id bigserial PRIMARY KEY,
    email varchar NOT NULL DEFAULT '',
    avatar_file_name varchar,
    avatar_content_type varchar,
    avatar_file_size bigint,
    avatar_updated_at timestamp(6)
);
CREATE UNIQUE INDEX index_users_on_email ON users (email);
-- rows
INSERT INTO users (email, avatar_file_name, avatar_content_type, avatar_file_size, avatar_updated_at)
SELECT n || '@example.com', 'me ' || n || '.jpg', 'image/jpeg', 100, '2024-05-01' FROM generate_series(1, 12) n;
INSERT INTO users (id, email, avatar_file_name) VALUES
    (13, 'none@example.com', NULL),
    (14, 'empty@example.com', ''),
    (15, 'already@example.com', 'new.png'),
    (1234567, 'large@example.com', 'O''Brien "x".png'),
    (999999999, 'last-of-nine@example.com', 'nine'),
    (1000000000, 'ten@example.com', 'ten.tar.gz'),
    (109348684164012345, 'eighteen@example.com', 'eighteen.png');
-- application
UPDATE users SET avatar_store = 'new' WHERE id = 15;
-- migrated
UPDATE users SET avatar_store = 'new' WHERE id BETWEEN 1 AND 12 OR id >= 1234567;
