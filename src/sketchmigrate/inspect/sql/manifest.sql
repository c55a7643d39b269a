-- Legacy keys that are safe to delete, and why the other proved ones are not. "reference" and the objects are as they were
-- read and listed again: the rows that name the object by now must all be in production, none on neither side may mean it,
-- neither of the two objects may have been stored anew, and no verify --deep may have found them to differ.
CREATE TABLE unchanged AS
SELECT l.tail FROM legacy_object AS l
JOIN proved.legacy_object AS l_then USING (tail)
JOIN production_object AS p USING (tail)
JOIN proved.production_object AS p_then USING (tail)
WHERE (l.size_bytes, l.etag, l.modified_utc) IS NOT DISTINCT FROM (l_then.size_bytes, l_then.etag, l_then.modified_utc)
  AND (p.size_bytes, p.etag, p.modified_utc) IS NOT DISTINCT FROM (p_then.size_bytes, p_then.etag, p_then.modified_utc);

-- The names of rows on neither side: the last segment of each path, and that of it percent-decoded, with and without what
-- looks like a query. What cannot be decoded stands as it is.
CREATE TABLE other_name AS
SELECT DISTINCT last_name(spelt) AS name
FROM (
    SELECT unnest([path, coalesce(try(url_decode(path)), path)]) AS path FROM reference WHERE side = 'neither'
), LATERAL (SELECT unnest([path, regexp_replace(path, '[?#].*$', '', 's')]) AS spelt)
WHERE last_name(spelt) <> '';

-- each key with the first reason that holds
CREATE TABLE left_out AS
SELECT tail, CASE
    WHEN tail IN (SELECT tail FROM found_different) THEN 'found_different'
    WHEN tail IN (SELECT tail FROM named_otherwise) THEN 'named_otherwise'
    WHEN tail NOT IN (
        SELECT tail FROM reference WHERE side <> 'neither' GROUP BY tail HAVING bool_and(side = 'production')
    ) OR tail NOT IN (SELECT tail FROM unchanged) THEN 'changed_since'
    WHEN last_name(key) IN (SELECT name FROM other_name)
        OR last_name(coalesce(try(url_decode(key)), key)) IN (SELECT name FROM other_name) THEN 'same_name'
END AS reason
FROM (SELECT tail, legacy_key(tail) AS key FROM proved_key)
WHERE reason IS NOT NULL;

CREATE TABLE safe AS
SELECT legacy_bucket AS bucket, legacy_key(tail) AS key, size_bytes, etag, headers_compared
FROM site, proved_key ANTI JOIN left_out USING (tail);
