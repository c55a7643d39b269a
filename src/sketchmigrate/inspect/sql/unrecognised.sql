UPDATE verdict SET standing = 'unrecognised'
FROM other_row AS o
WHERE verdict.side = 'neither' AND o.key = verdict.key AND o.source = verdict.source AND o.legacy_key <> '';
