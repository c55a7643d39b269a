-- schema
CREATE TABLE users (id bigserial PRIMARY KEY, name varchar, avatar varchar);
CREATE TABLE albums (id bigserial PRIMARY KEY, photos json);
-- rows
INSERT INTO users (name, avatar) SELECT 'User ' || n, 'me_' || n || '.png' FROM generate_series(1, 10) n;
INSERT INTO users VALUES (11, 'none', NULL), (12, 'empty', ''), (13, 'already', 'new.png'),
    (14, 'quoted', 'O''Brien "x".png');
INSERT INTO albums VALUES (1, '["a.jpg", "b.jpg"]'), (2, '[]'), (3, NULL), (4, 'null'), (5, '["é 1.jpg"]'),
    (6, '["new.jpg"]');
-- application
UPDATE users SET avatar_store = 'new' WHERE id = 13;
UPDATE albums SET photos_store = 'new' WHERE id = 6;
-- migrated
UPDATE users SET avatar_store = 'new' WHERE id BETWEEN 1 AND 10 OR id = 14;
UPDATE albums SET photos_store = 'new' WHERE id IN (1, 5);
