-- What becomes of each reference of legacy rows: its object is to be copied, or why not. Each has one.
CREATE TABLE fate AS
SELECT v.source, v.route, v.tail, v.legacy_bytes AS size_bytes, CASE
    WHEN v.standing = 'changed' THEN 'changed'
    WHEN v.route IS NULL OR v.tail = '' OR EXISTS (
        FROM unmovable AS u WHERE u.source = v.source AND u.key = v.key AND coalesce(u.slot, v.slot) = v.slot
    ) THEN 'unmovable'
    WHEN v.standing = 'missing' THEN 'missing'
    WHEN v.production_bytes IS NOT NULL THEN 'in_production'
    WHEN s.is_copied AND (
        strlen(production_key(v.tail, route := v.route)) > 1024
        OR length(production_key(v.tail, route := v.route)) > s.max_path_chars
        OR strlen(production_key(v.tail, route := v.route)) > s.max_path_bytes
    ) THEN 'unmovable'
    WHEN EXISTS (FROM archived AS a WHERE a.tail = v.tail AND a.route = v.route) THEN 'archived'
    WHEN v.legacy_bytes > 5368709120 THEN 'too_large'  -- one CopyObject, which is all that a job makes
    ELSE 'to_copy'
END AS fate
FROM verdict AS v JOIN source AS s USING (source) WHERE v.side = 'legacy';

-- Each object once for each place in production that it goes to: "move" is the number of its route among all moves.
CREATE TABLE to_copy AS
SELECT produced_route(route) AS move, any_value(legacy_bucket(route := route)) AS bucket,
       any_value(legacy_key(tail, route := route)) AS key, any_value(size_bytes) AS size_bytes
FROM fate WHERE fate = 'to_copy' GROUP BY produced_route(route), tail;
