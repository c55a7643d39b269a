"""The statements about uploads in parts of a ledger in PostgreSQL. Text alone."""

from __future__ import annotations

from typing import LiteralString

UPLOAD: LiteralString = """
INSERT INTO sketch_ledger.upload
    (run, is_left, bucket, object_key, upload_id, etag, part_bytes, headers_sha256, has_ended)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, false) ON CONFLICT DO NOTHING
"""
CLAIM_UPLOAD: LiteralString = """
UPDATE sketch_ledger.upload SET is_left = false WHERE run = %s AND upload_id = (
    SELECT upload_id FROM sketch_ledger.upload
    WHERE run = %s AND bucket = %s AND object_key = %s AND is_left AND NOT has_ended
    ORDER BY upload_id LIMIT 1 FOR UPDATE SKIP LOCKED
) RETURNING bucket, object_key, upload_id, etag, part_bytes, headers_sha256
"""
UPLOAD_ENDED: LiteralString = """
INSERT INTO sketch_ledger.upload (run, upload_id, bucket, object_key, etag, has_ended) VALUES (%s, %s, '', '', '', true)
ON CONFLICT (run, upload_id) DO UPDATE SET has_ended = true
"""
