-- Legacy objects that are safe to delete, and why the other proved ones are not. "reference" and the objects are as they
-- were read and listed again: the references that name the object by now must all be in production, none on neither side
-- may mean it, neither of the two objects may have been stored anew, and no verify may have found them to differ.
CREATE TABLE unchanged AS
SELECT l.route, l.tail FROM legacy_object AS l
JOIN proved.legacy_object AS l_then USING (route, tail)
JOIN production_object AS p USING (route, tail)
JOIN proved.production_object AS p_then USING (route, tail)
WHERE (l.size_bytes, l.etag, l.modified_utc) IS NOT DISTINCT FROM (l_then.size_bytes, l_then.etag, l_then.modified_utc)
  AND (p.size_bytes, p.etag, p.modified_utc) IS NOT DISTINCT FROM (p_then.size_bytes, p_then.etag, p_then.modified_utc);

-- The legacy objects that are named now by references in production alone, whose pairs are all unchanged.
CREATE TABLE moved_away AS
SELECT counted_route(r.tail, route := r.route) AS route, counted_tail(r.tail, route := r.route) AS tail
FROM reference AS r LEFT JOIN unchanged AS u ON u.tail = r.tail AND u.route = r.route
WHERE r.route IS NOT NULL    -- those of rows that the settings leave out are on neither side, and name it all the same
GROUP BY counted_route(r.tail, route := r.route), counted_tail(r.tail, route := r.route)
HAVING bool_and(r.side = 'production' AND u.route IS NOT NULL);

-- The names of rows on neither side: the last segment of each path, and that of it percent-decoded, with and without what
-- looks like a query. What cannot be decoded stands as it is.
CREATE TABLE other_name AS
SELECT DISTINCT last_name(spelt) AS name
FROM (
    SELECT unnest([path, coalesce(try(url_decode(path)), path)]) AS path FROM reference
    WHERE side = 'neither' AND route IS NULL
), LATERAL (SELECT unnest([path, regexp_replace(path, '[?#].*$', '', 's')]) AS spelt)
WHERE last_name(spelt) <> '';

-- each object with the first reason that holds
CREATE TABLE left_out AS
SELECT route, tail, CASE
    WHEN EXISTS (FROM found_different AS f WHERE f.tail = p.tail AND f.route = p.route) THEN 'found_different'
    WHEN EXISTS (FROM named_otherwise AS n WHERE n.tail = p.tail AND n.route = p.route) THEN 'named_otherwise'
    WHEN NOT EXISTS (FROM moved_away AS m WHERE m.tail = p.tail AND m.route = p.route) THEN 'changed_since'
    WHEN last_name(key) IN (SELECT name FROM other_name)
        OR last_name(coalesce(try(url_decode(key)), key)) IN (SELECT name FROM other_name) THEN 'same_name'
    WHEN EXISTS (FROM reference AS r WHERE r.side = 'legacy' AND r.route IS NULL) THEN 'unreadable'
END AS reason
FROM (SELECT route, tail, legacy_key(tail, route := route) AS key FROM proved_key) AS p
WHERE reason IS NOT NULL;

CREATE TABLE safe AS
SELECT legacy_bucket(route := route) AS bucket, legacy_key(tail, route := route) AS key, size_bytes, etag,
       headers_compared
FROM proved_key ANTI JOIN left_out USING (route, tail);
