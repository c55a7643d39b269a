-- Closer looks take the place of what the listings said.
UPDATE verdict SET
    standing = look.standing, proof = look.proof, legacy_bytes = look.legacy_bytes, legacy_md5 = NULL,
    legacy_other_etag = look.legacy_etag, production_bytes = look.production_bytes, production_md5 = NULL,
    production_other_etag = look.production_etag, is_same_etag = false,
    same = CASE WHEN look.proof <> '' THEN true
                WHEN look.standing IN ('conflict', 'different', 'stale', 'other headers') THEN false END
FROM look WHERE look.key = verdict.key AND look.source = verdict.source AND look.slot = verdict.slot;
DELETE FROM look;
