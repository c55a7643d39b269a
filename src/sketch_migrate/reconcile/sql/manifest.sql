-- Legacy keys that are safe to delete: every row that names the object is in production, and each was proved to have an
-- equal object there. Objects that no row names, or that are equal in size alone, are not among them.
CREATE TEMP VIEW safe AS
SELECT legacy_bucket AS bucket, legacy_prefix || tail AS key, any_value(legacy_bytes) AS size_bytes,
       any_value(legacy_etag) AS etag
FROM verdict, site WHERE side <> 'neither'
GROUP BY legacy_bucket, legacy_prefix, tail
HAVING bool_and(standing = 'equal' AND proof <> '');
