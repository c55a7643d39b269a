-- What is to be said of single rows goes behind what their problem says.
UPDATE problem SET detail = concat_ws('; ', nullif(problem.detail, ''), said.words)
FROM (SELECT key, string_agg(words, '; ' ORDER BY words) AS words FROM remark GROUP BY key) AS said
WHERE said.key = problem.key AND problem.kind IN (
    'dangling', 'missing', 'conflict', 'different', 'stale', 'missing object', 'dangling row', 'taken', 'only the prefix'
);
