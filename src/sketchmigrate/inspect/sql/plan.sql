-- What a migration of these rows would meet. Each kind is explained in plan.py.
INSERT INTO problem
SELECT 'missing object', key, path, '' FROM verdict WHERE standing = 'missing' AND tail <> '';

INSERT INTO problem
SELECT 'archived', key, path, reason FROM verdict JOIN archived USING (tail)
WHERE standing = 'unmigrated' AND same IS DISTINCT FROM true;

INSERT INTO problem
SELECT 'dangling row', key, path, '' FROM verdict WHERE standing = 'dangling';

INSERT INTO problem
SELECT 'taken', key, path, coalesce(words, 'legacy has ' || legacy_bytes || ' bytes, production ' || production_bytes)
FROM verdict LEFT JOIN detail USING (key) WHERE standing = 'conflict';

INSERT INTO problem
SELECT 'to compare', key, path, legacy_bytes || ' bytes on both sides' || coalesce('; ' || words, '')
FROM verdict LEFT JOIN detail USING (key)
WHERE side = 'legacy' AND production_bytes IS NOT NULL AND legacy_bytes IS NOT NULL AND same IS NULL;

INSERT INTO problem
SELECT 'different', key, path, 'legacy has ' || legacy_bytes || ' bytes, production ' || production_bytes
FROM verdict WHERE standing IN ('different', 'stale');

INSERT INTO problem
SELECT 'only the prefix', key, path, '' FROM verdict WHERE side = 'legacy' AND tail = '';

INSERT INTO problem
SELECT 'key too long', key, path, strlen(production_key(tail)) || ' bytes'
FROM verdict WHERE side = 'legacy' AND strlen(production_key(tail)) > 1024;

INSERT INTO problem
SELECT 'path too long', key, path, length(production_key(tail)) || ' characters, the column holds ' || max_path_chars
FROM verdict, site WHERE side = 'legacy' AND length(production_key(tail)) > max_path_chars;

INSERT INTO problem
SELECT 'path too long', key, path, strlen(production_key(tail)) || ' bytes, the column holds ' || max_path_bytes
FROM verdict, site WHERE side = 'legacy' AND strlen(production_key(tail)) > max_path_bytes;

INSERT INTO problem
SELECT CASE WHEN coalesce(path, '') = '' THEN 'empty path' ELSE 'neither side' END, key, path, ''
FROM verdict WHERE standing = 'neither';

INSERT INTO problem
SELECT 'unrecognised', key, path, seems || ' of the legacy object ' || legacy_key || ', which is there'
FROM other_row WHERE legacy_key <> '';

-- rows of both sides that mean the same production object
INSERT INTO problem
SELECT 'two rows, one key', key, path, 'a row of production names ' || production_key(tail) || ' already'
FROM verdict
WHERE side = 'legacy' AND tail <> '' AND same IS DISTINCT FROM true
  AND tail IN (SELECT tail FROM reference WHERE side = 'production');

INSERT INTO problem
SELECT 'shared object', NULL, any_value(path), count(*) || ' rows name it'
FROM verdict WHERE side = 'legacy' AND tail <> '' GROUP BY tail HAVING count(*) > 1;

INSERT INTO problem
SELECT 'control character', key, path, '' FROM reference
WHERE side = 'legacy' AND regexp_matches(path, '[\x00-\x08\x0B\x0C\x0E-\x1F\x{FFFE}\x{FFFF}]');

INSERT INTO problem
SELECT 'odd key', key, path, '' FROM reference
WHERE side = 'legacy' AND regexp_matches(path, '//|(^|/)\.\.?(/|$)');

INSERT INTO problem
SELECT 'not UTF-8', NULL, key, side FROM strange_key;

INSERT INTO problem
SELECT 'twins', NULL, legacy_key(tail), count(*) OVER (PARTITION BY folded) || ' keys differ in case or normal form only'
FROM (
    SELECT DISTINCT tail, nfc_normalize(lower(nfc_normalize(tail))) AS folded
    FROM reference WHERE side = 'legacy' AND tail <> ''
)
QUALIFY count(*) OVER (PARTITION BY folded) > 1;

INSERT INTO problem
SELECT 'legacy object without a row', NULL, legacy_key(tail), size_bytes || ' bytes'
FROM (FROM legacy_object AS o ANTI JOIN reference AS r ON r.tail = o.tail) AS unnamed
WHERE NOT (size_bytes = 0 AND (tail = '' OR ends_with(tail, '/')));

INSERT INTO problem
SELECT 'production object without a row', NULL, production_key(tail), size_bytes || ' bytes'
FROM (FROM production_object AS o ANTI JOIN reference AS r ON r.tail = o.tail) AS unnamed
WHERE NOT (size_bytes = 0 AND (tail = '' OR ends_with(tail, '/')));

INSERT INTO problem
SELECT 'large object', key, path, legacy_bytes || ' bytes'
FROM verdict WHERE side = 'legacy' AND legacy_bytes > 5368709120;
