-- Legacy keys that are safe to delete. "reference" are the rows as they were read again: those that name the object by
-- now must all be in production, and none on neither side may mean it.
CREATE TABLE safe AS
SELECT legacy_bucket AS bucket, legacy_prefix || tail AS key, size_bytes, etag
FROM site, proved_key SEMI JOIN (
    SELECT tail FROM reference WHERE side <> 'neither' GROUP BY tail HAVING bool_and(side = 'production')
) AS named USING (tail)
WHERE tail NOT IN (SELECT tail FROM named_otherwise);
