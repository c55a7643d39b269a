-- The verdicts on a part of the references, from the listings alone. As in s3/comparison.py: equal ETags prove equality,
-- different ones prove a difference only where both look like the MD5 of the content; else "same" is NULL.
INSERT INTO verdict (
    source, key, slot, own_path, side, route, tail, legacy_bytes, legacy_md5, legacy_other_etag, legacy_modified_utc,
    production_bytes, is_same_etag, production_md5, production_other_etag, production_modified_utc, same, standing, proof
)
WITH paired AS (
    SELECT r.source, r.key, r.slot, r.own_path, r.side, r.route, r.tail,
           l.size_bytes AS legacy_bytes, l.md5 AS legacy_md5, l.other_etag AS legacy_other_etag,
           l.modified_utc AS legacy_modified_utc,
           p.size_bytes AS production_bytes, p.md5 AS production_md5, p.other_etag AS production_other_etag,
           p.modified_utc AS production_modified_utc
    FROM (FROM reference WHERE {is_of_part}) AS r
    LEFT JOIN (FROM legacy_object WHERE {is_of_part}) AS l ON l.tail = r.tail AND l.route = r.route
    LEFT JOIN (FROM production_object WHERE {is_of_part}) AS p ON p.tail = r.tail AND p.route = r.route
), alike AS (
    SELECT *, coalesce(legacy_md5 = production_md5 OR legacy_other_etag = production_other_etag, false) AS is_same_etag
    FROM paired
), compared AS (
    SELECT *, CASE
        WHEN legacy_bytes IS NULL OR production_bytes IS NULL THEN NULL
        WHEN legacy_bytes <> production_bytes THEN false
        WHEN legacy_bytes = 0 OR (is_same_etag AND legacy_other_etag IS DISTINCT FROM '') THEN true
        WHEN (legacy_md5 IS NOT NULL OR regexp_full_match(legacy_other_etag, '[0-9a-fA-F]{{32}}'))
         AND (production_md5 IS NOT NULL OR regexp_full_match(production_other_etag, '[0-9a-fA-F]{{32}}')) THEN false
    END AS same
    FROM alike
)
SELECT source, key, slot, own_path, side, route, tail, legacy_bytes, legacy_md5, legacy_other_etag, legacy_modified_utc,
    production_bytes, is_same_etag, CASE WHEN NOT is_same_etag THEN production_md5 END,
    CASE WHEN NOT is_same_etag THEN production_other_etag END, production_modified_utc, same, CASE side
    WHEN 'legacy' THEN CASE
        WHEN route IS NULL THEN 'unmigrated'                      -- what it names cannot be read: see "unmovable"
        WHEN legacy_bytes IS NULL THEN 'missing'
        WHEN same = false THEN 'conflict'
        ELSE 'unmigrated'
    END
    WHEN 'production' THEN CASE
        WHEN production_bytes IS NULL THEN 'dangling'
        WHEN legacy_bytes IS NULL THEN 'alone'
        WHEN same THEN 'equal'
        WHEN legacy_modified_utc > production_modified_utc THEN 'stale'
        WHEN same IS NULL THEN 'same size'
        ELSE 'different'
    END
    ELSE 'neither'
END AS standing,
CASE WHEN same THEN 'ETag' ELSE '' END AS proof
FROM compared;
