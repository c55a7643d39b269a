-- Legacy keys that are safe to delete. "proved" is the evidence of the verify: every row that named the object was in
-- production, and each was proved to have an equal object there. Objects that no row named, that are equal in size alone,
-- or that a row on neither side names in another way, are not among them.
CREATE TABLE proved_key AS
SELECT tail, any_value(legacy_bytes) AS size_bytes, any_value(legacy_etag) AS etag
FROM proved.verdict WHERE side <> 'neither'
GROUP BY tail
HAVING bool_and(standing = 'equal' AND proof <> '');

-- "reference" and the objects are as they were read and listed again: the rows that name the object by now must all be
-- in production, and neither object may have been stored anew.
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
WHERE legacy_prefix || tail NOT IN (SELECT legacy_key FROM proved.other_row);
