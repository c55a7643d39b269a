"""What is to be said of single rows besides how they stand: another spelling that is there, the words of the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sketchmigrate.core.spelling import spellings, spelt_otherwise
from sketchmigrate.inspect.standing import Standing

if TYPE_CHECKING:
    from sketchmigrate.inspect.evidence import Evidence

MOST_MISSING = 10_000
"""So many rows a side are looked for in other spellings. Where there are more, these tell what they have in common."""

_MISSING = """
SELECT key, tail FROM verdict WHERE standing = ? AND side = ? AND tail <> '' ORDER BY key LIMIT ?
"""

# One pass over the listing. Case and normal form are folded on both sides, and so is white space at the end.
_FOUND = """
SELECT w.key, w.tail, min(o.tail)
FROM {side}_object AS o JOIN spelling AS w
    ON lower(nfc_normalize(rtrim(o.tail))) = lower(nfc_normalize(rtrim(w.other)))
WHERE o.tail <> w.tail GROUP BY w.key, w.tail
"""


async def remark_spellings(evidence: Evidence) -> None:
    """Look in the listings for missing objects in other spellings, and remark on their rows, dangling ones as well.

    Raises ``RunDirectoryError``.
    """
    rule = evidence.rule
    for side, standing, key_of in (
        ("legacy", Standing.MISSING, rule.legacy_key),
        ("production", Standing.DANGLING, rule.production_key),
    ):
        missing = await evidence.ask(_MISSING, [standing.value, side, MOST_MISSING])
        if not missing:
            continue
        await evidence.execute("CREATE TEMP TABLE spelling (key VARCHAR, tail VARCHAR, other VARCHAR)")
        await evidence.insert(
            "spelling", [(key, tail, other) for key, tail in missing for other in (tail, *spellings(tail))]
        )
        found = await evidence.ask(_FOUND.format(side=side))
        await evidence.insert(
            "remark", [(key, spelt_otherwise(key_of(tail), key_of(other))) for key, tail, other in found]
        )
        await evidence.execute("DROP TABLE spelling")
