-- Legacy objects that the verify proved. "proved" is its evidence: every reference that named the object, of whichever
-- source, was in production, and each was proved to have an equal object there. Objects that no row named, or that are
-- equal in size alone, are not among them.
CREATE TABLE proved_key AS
SELECT counted_route(tail, route := route) AS route, counted_tail(tail, route := route) AS tail,
       any_value(legacy_bytes) AS size_bytes, any_value(legacy_etag) AS etag,
       bool_and(proof = 'bytes' OR EXISTS (      -- what compares bytes compares these as well
           FROM metadata_compared AS m WHERE m.source = v.source AND m.key = v.key AND m.slot = v.slot
       )) AS headers_compared
FROM proved.verdict AS v WHERE side <> 'neither' AND route IS NOT NULL
GROUP BY counted_route(tail, route := route), counted_tail(tail, route := route)
HAVING bool_and(standing = 'equal' AND proof <> '');

-- those that a row on neither side may mean, such as one that is a URL
CREATE TABLE named_otherwise (route USMALLINT, tail VARCHAR);
-- those of a pair that the newest verify which compared it found to differ, and how. "pair_route" and "pair_tail" are its
-- production object: a legacy object has several where sources have chosen moves.
CREATE TABLE found_different (
    route USMALLINT, tail VARCHAR, pair_route USMALLINT, pair_tail VARCHAR, standing VARCHAR
);

-- The last segment of a path or key, without white space around it, and in one case.
CREATE TEMP MACRO last_name(path) AS lower(nfc_normalize(regexp_replace(
    regexp_extract(regexp_replace(path, '[\s\p{Z}/\\]+$', ''), '[^/\\]*$'), '^[\s\p{Z}]+', ''
)));
