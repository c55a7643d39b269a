-- The ledgers know which ETag we wrote. Production still holds that: legacy was changed since ("stale"). Legacy still
-- holds that: what is in production now was written by somebody else after us ("rewritten").
UPDATE verdict SET standing = CASE
    WHEN ours.etag = verdict.production_etag THEN 'stale'
    WHEN ours.etag = verdict.legacy_etag THEN 'rewritten'
    ELSE verdict.standing
END
FROM (
    SELECT source, key, path, arg_max(etag, unix_time) AS etag FROM flip WHERE etag <> '' GROUP BY source, key, path
) AS ours
WHERE verdict.standing IN ('different', 'stale') AND ours.key = verdict.key AND ours.source = verdict.source
  AND ours.path = verdict.path AND verdict.legacy_etag <> verdict.production_etag;
