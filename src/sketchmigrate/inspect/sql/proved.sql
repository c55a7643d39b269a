-- Legacy keys that the verify proved. "proved" is its evidence: every row that named the object was in production, and
-- each was proved to have an equal object there. Objects that no row named, or that are equal in size alone, are not
-- among them.
CREATE TABLE proved_key AS
SELECT tail, any_value(legacy_bytes) AS size_bytes, any_value(legacy_etag) AS etag,
       bool_and(proof = 'bytes') AS headers_compared    -- what compares bytes compares these as well
FROM proved.verdict WHERE side <> 'neither'
GROUP BY tail
HAVING bool_and(standing = 'equal' AND proof <> '');

CREATE TABLE named_otherwise (tail VARCHAR);     -- those that a row on neither side may mean, such as one that is a URL
CREATE TABLE found_different (tail VARCHAR);     -- those whose two objects the newest --deep of each found to differ

-- The last segment of a path or key, without white space around it, and in one case.
CREATE TEMP MACRO last_name(path) AS lower(nfc_normalize(regexp_replace(
    regexp_extract(regexp_replace(path, '[\s\p{Z}/\\]+$', ''), '[^/\\]*$'), '^[\s\p{Z}]+', ''
)));
