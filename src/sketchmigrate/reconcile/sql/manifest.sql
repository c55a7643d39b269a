-- Legacy keys that are safe to delete. "reference" and the objects are as they were read and listed again: the rows that
-- name the object by now must all be in production, none on neither side may mean it, and neither of the two objects may
-- have been stored anew.
CREATE TABLE unchanged AS
SELECT l.tail FROM legacy_object AS l
JOIN proved.legacy_object AS l_then USING (tail)
JOIN production_object AS p USING (tail)
JOIN proved.production_object AS p_then USING (tail)
WHERE (l.size_bytes, l.etag, l.modified_utc) IS NOT DISTINCT FROM (l_then.size_bytes, l_then.etag, l_then.modified_utc)
  AND (p.size_bytes, p.etag, p.modified_utc) IS NOT DISTINCT FROM (p_then.size_bytes, p_then.etag, p_then.modified_utc);

CREATE TABLE safe AS
SELECT legacy_bucket AS bucket, legacy_prefix || tail AS key, size_bytes, etag
FROM site, proved_key SEMI JOIN (
    SELECT tail FROM reference WHERE side <> 'neither' GROUP BY tail HAVING bool_and(side = 'production')
) AS named USING (tail)
SEMI JOIN unchanged USING (tail)
WHERE tail NOT IN (SELECT tail FROM named_otherwise);
