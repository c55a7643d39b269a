-- A ledger of edition 4 in PostgreSQL: the statements by which that version made its tables, and what one run wrote.
CREATE SCHEMA IF NOT EXISTS sketch_ledger;
CREATE TABLE IF NOT EXISTS sketch_ledger.edition (number integer PRIMARY KEY);
INSERT INTO sketch_ledger.edition SELECT 4 WHERE NOT EXISTS (SELECT FROM sketch_ledger.edition);
CREATE TABLE IF NOT EXISTS sketch_ledger.run (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, id text NOT NULL UNIQUE, began_at double precision NOT NULL,
    about jsonb NOT NULL
);
ALTER TABLE sketch_ledger.run ADD COLUMN IF NOT EXISTS alive_at timestamptz;
CREATE TABLE IF NOT EXISTS sketch_ledger.attempt (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, run bigint NOT NULL REFERENCES sketch_ledger.run,
    worker text NOT NULL, pass integer NOT NULL, range integer NOT NULL, after jsonb, until jsonb,
    began_at double precision NOT NULL, ended_at double precision, tally jsonb, is_clean boolean NOT NULL DEFAULT false
);
CREATE INDEX IF NOT EXISTS attempt_of_run ON sketch_ledger.attempt (run, pass);
CREATE TABLE IF NOT EXISTS sketch_ledger.flip (
    attempt bigint, number bigint, key jsonb NOT NULL, old_path text NOT NULL, new_path text NOT NULL,
    size_bytes bigint, etag text NOT NULL, unix_time double precision NOT NULL, copied boolean NOT NULL,
    PRIMARY KEY (attempt, number)
);
CREATE TABLE IF NOT EXISTS sketch_ledger.not_flipped (
    attempt bigint, key jsonb, path text NOT NULL, outcome text NOT NULL, reason text NOT NULL,
    PRIMARY KEY (attempt, key)
);
CREATE TABLE IF NOT EXISTS sketch_ledger.unsettled (
    run bigint, worker text, key jsonb, path text NOT NULL, new_path text NOT NULL,
    PRIMARY KEY (run, key, worker)
);
ALTER TABLE sketch_ledger.not_flipped ADD COLUMN IF NOT EXISTS about jsonb;
ALTER TABLE sketch_ledger.unsettled ADD COLUMN IF NOT EXISTS xid bigint;
CREATE TABLE IF NOT EXISTS sketch_ledger.locked (
    attempt bigint, key jsonb, path text NOT NULL, copied boolean NOT NULL, size_bytes bigint,
    reason text NOT NULL, PRIMARY KEY (attempt, key)
);
ALTER TABLE sketch_ledger.locked ADD COLUMN IF NOT EXISTS about jsonb;
UPDATE sketch_ledger.edition SET number = 4 WHERE number < 4;

INSERT INTO sketch_ledger.run (id, began_at, about) VALUES ('RUN', 0.5, '{"command": "migrate", "table": "avatars", "key_column": "id", "path_column": "path"}');
INSERT INTO sketch_ledger.attempt (run, worker, pass, range, began_at) VALUES (1, '', 0, 0, 0.5);
INSERT INTO sketch_ledger.flip (attempt, number, key, old_path, new_path, size_bytes, etag, unix_time, copied)
SELECT 1, n, to_jsonb(n), 'image/' || n, 'avatar/' || n, 12, 'etag', (n + 1) / 2, true FROM generate_series(1, 4) AS n;
INSERT INTO sketch_ledger.not_flipped (attempt, key, path, outcome, reason, about) VALUES
    (1, '3', 'image/3', 'superseded', '', NULL),
    (1, '5', 'image/5', 'already', 'perhaps_replaced', '{"details": {"target": "s3://p/avatar/5"}}');
INSERT INTO sketch_ledger.unsettled (run, worker, key, path, new_path, xid) VALUES
    (1, '', '2', 'image/2', 'avatar/2', 77), (1, '', '4', 'image/4', 'avatar/4', NULL);
INSERT INTO sketch_ledger.locked (attempt, key, path, copied, size_bytes, reason) VALUES
    (1, '4', 'image/4', true, 12, '');
