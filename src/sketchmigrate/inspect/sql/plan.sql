-- What a migration of these rows would meet. Each kind is explained in findings.py.
INSERT INTO problem
SELECT 'missing object', source, key, path, '' FROM verdict WHERE standing = 'missing' AND tail <> '';

INSERT INTO problem
SELECT 'archived', source, key, path, reason FROM verdict JOIN archived USING (route, tail)
WHERE standing = 'unmigrated' AND same IS DISTINCT FROM true;

INSERT INTO problem
SELECT 'dangling row', source, key, path, '' FROM verdict WHERE standing = 'dangling';

INSERT INTO problem
SELECT 'taken', source, key, path,
    coalesce(words, 'legacy has ' || legacy_bytes || ' bytes, production ' || production_bytes)
FROM verdict LEFT JOIN detail USING (source, key, slot) WHERE standing = 'conflict';

INSERT INTO problem
SELECT 'to compare', source, key, path, legacy_bytes || ' bytes on both sides' || coalesce('; ' || words, '')
FROM verdict LEFT JOIN detail USING (source, key, slot)
WHERE side = 'legacy' AND production_bytes IS NOT NULL AND legacy_bytes IS NOT NULL AND same IS NULL;

INSERT INTO problem
SELECT 'different', source, key, path, 'legacy has ' || legacy_bytes || ' bytes, production ' || production_bytes
FROM verdict WHERE standing IN ('different', 'stale');

INSERT INTO problem
SELECT 'only the prefix', source, key, path, '' FROM verdict WHERE side = 'legacy' AND tail = '';

-- of a source that was read with what the migration itself reads by, that has said why
INSERT INTO problem
SELECT 'cannot be moved', u.source, u.key, any_value(v.path), u.words
FROM unmovable AS u JOIN verdict AS v ON v.key = u.key AND v.source = u.source AND coalesce(u.slot, v.slot) = v.slot
GROUP BY u.source, u.key, u.words;

INSERT INTO problem
SELECT 'key too long', source, key, path, strlen(production_key(tail, route := route)) || ' bytes'
FROM verdict JOIN source USING (source)
WHERE is_copied AND side = 'legacy' AND strlen(production_key(tail, route := route)) > 1024;

INSERT INTO problem
SELECT 'path too long', source, key, path,
    length(production_key(tail, route := route)) || ' characters, the column holds ' || max_path_chars
FROM verdict JOIN source USING (source)
WHERE is_copied AND side = 'legacy' AND length(production_key(tail, route := route)) > max_path_chars;

INSERT INTO problem
SELECT 'path too long', source, key, path,
    strlen(production_key(tail, route := route)) || ' bytes, the column holds ' || max_path_bytes
FROM verdict JOIN source USING (source)
WHERE is_copied AND side = 'legacy' AND strlen(production_key(tail, route := route)) > max_path_bytes;

INSERT INTO problem
SELECT CASE WHEN coalesce(path, '') = '' THEN 'empty path' ELSE 'neither side' END, source, key, path, ''
FROM verdict WHERE standing = 'neither';

INSERT INTO problem
SELECT 'unrecognised', source, key, path, seems || ' of the legacy object ' || legacy_key || ', which is there'
FROM other_row WHERE legacy_key <> '';

-- references of both sides that mean the same production object
INSERT INTO problem
SELECT 'two rows, one key', v.source, v.key, v.path,
    'a row of production names ' || production_key(v.tail, route := v.route) || ' already'
FROM verdict AS v SEMI JOIN (
    SELECT produced_route(route) AS route, tail FROM reference WHERE side = 'production'
) AS done ON done.tail = v.tail AND done.route = produced_route(v.route)
WHERE v.side = 'legacy' AND v.tail <> '' AND v.same IS DISTINCT FROM true;

INSERT INTO problem
SELECT 'shared object', NULL, NULL, any_value(path), count(*) || ' rows name it'
FROM verdict WHERE side = 'legacy' AND tail <> ''
GROUP BY counted_route(tail, route := route), counted_tail(tail, route := route) HAVING count(*) > 1;

INSERT INTO problem
SELECT 'control character', source, key, path, '' FROM reference
WHERE side = 'legacy' AND route IS NOT NULL AND regexp_matches(path, '[\x00-\x08\x0B\x0C\x0E-\x1F\x{FFFE}\x{FFFF}]');

INSERT INTO problem
SELECT 'odd key', source, key, path, '' FROM reference
WHERE side = 'legacy' AND route IS NOT NULL AND regexp_matches(path, '//|(^|/)\.\.?(/|$)');

INSERT INTO problem
SELECT 'not UTF-8', NULL, NULL, key, side FROM strange_key;

INSERT INTO problem
SELECT 'twins', NULL, NULL, legacy_key(tail, route := route),
    count(*) OVER (PARTITION BY route, folded) || ' keys differ in case or normal form only'
FROM (
    SELECT DISTINCT counted_route(tail, route := route) AS route, counted_tail(tail, route := route) AS tail,
        nfc_normalize(lower(nfc_normalize(tail))) AS folded
    FROM reference WHERE side = 'legacy' AND tail <> ''
)
QUALIFY count(*) OVER (PARTITION BY route, folded) > 1;

INSERT INTO problem
SELECT 'legacy object without a row', NULL, NULL, legacy_key(tail, route := route), size_bytes || ' bytes'
FROM (
    FROM legacy_object AS o ANTI JOIN reference AS r
    ON counted_tail(r.tail, route := r.route) = o.tail AND counted_route(r.tail, route := r.route) = o.route
) AS unnamed
WHERE is_counted(route) AND NOT (size_bytes = 0 AND (tail = '' OR ends_with(tail, '/')));

INSERT INTO problem
SELECT 'production object without a row', NULL, NULL, production_key(tail, route := route), size_bytes || ' bytes'
FROM (
    FROM production_object AS o ANTI JOIN reference AS r ON r.tail = o.tail AND produced_route(r.route) = o.route
) AS unnamed
WHERE is_counted(route) AND NOT (size_bytes = 0 AND (tail = '' OR ends_with(tail, '/')));

INSERT INTO problem
SELECT 'large object', source, key, path, legacy_bytes || ' bytes'
FROM verdict WHERE side = 'legacy' AND legacy_bytes > 5368709120;
