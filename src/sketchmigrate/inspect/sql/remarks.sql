-- What is to be said of single references goes behind what their problem says.
UPDATE problem SET detail = concat_ws('; ', nullif(problem.detail, ''), said.words)
FROM (
    SELECT source, key, path, string_agg(words, '; ' ORDER BY words) AS words FROM remark GROUP BY source, key, path
) AS said
WHERE said.key = problem.key AND said.source = problem.source AND said.path = problem.path AND problem.kind IN (
    'dangling', 'missing', 'conflict', 'different', 'stale', 'missing object', 'dangling row', 'taken', 'only the prefix'
);
