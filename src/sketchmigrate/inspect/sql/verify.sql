-- The references that are not as they should be, with what was seen of them.
INSERT INTO problem
SELECT standing, source, key, path, CASE standing
    WHEN 'dangling' THEN 'no such object in production' || CASE
        WHEN legacy_bytes IS NULL THEN ', nor in legacy' ELSE '; legacy has one of ' || legacy_bytes || ' bytes' END
    WHEN 'missing' THEN 'no such object in legacy' || CASE
        WHEN production_bytes IS NULL THEN '' ELSE '; production has one of ' || production_bytes || ' bytes' END
    WHEN 'unmigrated' THEN concat_ws('; ',
        'its object has ' || legacy_bytes || ' bytes',
        CASE WHEN production_bytes IS NOT NULL THEN 'production has one of the same size' END,
        (SELECT string_agg(u.words, '; ') FROM unmovable AS u
         WHERE u.source = v.source AND u.key = v.key AND (u.slot IS NULL OR u.slot = v.slot)))
    WHEN 'other headers' THEN words
    WHEN 'conflict' THEN coalesce(words || '; ', '') || 'legacy ' || legacy_bytes || ' bytes, ETag ' || legacy_etag
        || '; production ' || production_bytes || ' bytes, ETag ' || production_etag
    WHEN 'not read' THEN words
    ELSE 'legacy ' || legacy_bytes || ' bytes, ETag ' || legacy_etag || '; production ' || production_bytes
        || ' bytes, ETag ' || production_etag
END
FROM verdict AS v LEFT JOIN detail USING (source, key, slot)
WHERE standing IN ('dangling', 'missing', 'unmigrated', 'conflict', 'different', 'stale', 'other headers', 'not read');

INSERT INTO problem
SELECT 'unrecognised', source, key, path, seems || ' of the legacy object ' || legacy_key || ', which is there'
FROM other_row WHERE legacy_key <> '';
