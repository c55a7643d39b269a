-- One verdict for each reference, from the listings alone. As in s3/comparison.py: equal ETags prove equality,
-- different ones prove a difference only where both look like the MD5 of the content; else "same" is NULL.
CREATE TABLE verdict AS
WITH paired AS (
    SELECT r.source, r.key, r.slot, r.path, r.side, r.route, r.tail,
           l.size_bytes AS legacy_bytes, l.etag AS legacy_etag, l.modified_utc AS legacy_modified_utc,
           p.size_bytes AS production_bytes, p.etag AS production_etag, p.modified_utc AS production_modified_utc
    FROM reference AS r
    LEFT JOIN legacy_object AS l ON l.tail = r.tail AND l.route = r.route
    LEFT JOIN production_object AS p ON p.tail = r.tail AND p.route = r.route
), compared AS (
    SELECT *, CASE
        WHEN legacy_bytes IS NULL OR production_bytes IS NULL THEN NULL
        WHEN legacy_bytes <> production_bytes THEN false
        WHEN legacy_bytes = 0 OR (legacy_etag <> '' AND legacy_etag = production_etag) THEN true
        WHEN regexp_full_match(legacy_etag, '[0-9a-fA-F]{32}')
         AND regexp_full_match(production_etag, '[0-9a-fA-F]{32}') THEN false
    END AS same
    FROM paired
)
SELECT *, CASE side
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

UPDATE verdict SET standing = 'unrecognised'
FROM other_row AS o
WHERE verdict.side = 'neither' AND o.key = verdict.key AND o.source = verdict.source AND o.legacy_key <> '';
