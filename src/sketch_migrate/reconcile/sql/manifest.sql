-- Legacy keys that are safe to delete. "proved" is the evidence of the verify: every row that named the object was in
-- production, and each was proved to have an equal object there. Objects that no row named, that are equal in size alone,
-- or that a row on neither side names in another way, are not among them.
CREATE TABLE proved_key AS
SELECT tail, any_value(legacy_bytes) AS size_bytes, any_value(legacy_etag) AS etag
FROM proved.verdict WHERE side <> 'neither'
GROUP BY tail
HAVING bool_and(standing = 'equal' AND proof <> '');

-- "reference" are the rows as they were read again: those that name the object by now must all be in production, too.
CREATE TABLE safe AS
SELECT legacy_bucket AS bucket, legacy_prefix || tail AS key, size_bytes, etag
FROM site, proved_key SEMI JOIN (
    SELECT tail FROM reference WHERE side <> 'neither' GROUP BY tail HAVING bool_and(side = 'production')
) AS named USING (tail)
WHERE legacy_prefix || tail NOT IN (SELECT legacy_key FROM proved.other_row);
