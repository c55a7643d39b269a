"""The statements about samples of a run in a ledger in PostgreSQL. Text alone."""

from __future__ import annotations

from typing import LiteralString

RECORD_SAMPLES: LiteralString = """
INSERT INTO sketch_ledger.sample (run, at, packed)
SELECT %s, at, packed FROM unnest(%b::bigint[], %b::bytea[]) AS v(at, packed)
ON CONFLICT (run, at) DO UPDATE SET packed = excluded.packed
"""
FORGET_SAMPLES: LiteralString = "DELETE FROM sketch_ledger.sample WHERE run = %s AND at = ANY(%s::bigint[])"

SAMPLES: LiteralString = "SELECT packed FROM sketch_ledger.sample WHERE run = %s ORDER BY at"

NEWEST_OBJECTS: LiteralString = """
SELECT f.new_path, f.size_bytes FROM sketch_ledger.attempt AS a, LATERAL (
    SELECT new_path, size_bytes FROM sketch_ledger.flip AS f
    WHERE attempt = a.number AND new_path IS NOT NULL ORDER BY number DESC LIMIT %s
) AS f WHERE a.run = %s
"""
OWN_GROUPS: LiteralString = """
SELECT count(*), outcome, reason, coalesce(about ->> 'code', '') AS code, coalesce(about ->> 'hint', '') AS hint
FROM sketch_ledger.not_flipped WHERE attempt IN (
    SELECT number FROM sketch_ledger.attempt WHERE run = %s AND worker = '' AND pass = 0
) AND (outcome = ANY(%s) OR reason = ANY(%s))
GROUP BY outcome, reason, code, hint ORDER BY count(*) DESC, outcome, reason, code, hint LIMIT %s
"""
