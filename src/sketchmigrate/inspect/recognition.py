"""Whether gathered references were recognised, and what some of those on neither side seem to be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sketchmigrate.core.appearance import LOOKED_AT, Legacy, other_row, readings
from sketchmigrate.core.rule import SideName

if TYPE_CHECKING:
    from sketchmigrate.core.status import OtherRow
    from sketchmigrate.inspect.evidence import Evidence

_COUNTS = """
SELECT count(*) FILTER (path <> '') + coalesce((SELECT sum(unnamed) FROM rows_read), 0)::BIGINT,
       count(*) FILTER (side <> 'neither'), (SELECT count(*) FROM legacy_object),
       count(*) FILTER (side = 'neither' AND route IS NULL AND path <> ''),
       count(*) FILTER (side = 'legacy') = 0 AND NOT EXISTS (FROM legacy_object)
           AND NOT EXISTS (FROM strange_key WHERE side = 'legacy')
FROM reference
"""

# by the hash of the key: spread over the table, and the same ones each time
_OTHERS = f"""
SELECT source, key, path FROM reference WHERE side = 'neither' AND route IS NULL AND path <> ''
ORDER BY hash(key), key, source LIMIT {LOOKED_AT}
"""  # noqa: S608 - a number of ours

# The object of each key that was read: the very one, else one in another case or normal form. The listing is read once.
_THERE = """
SELECT legacy_key(w.tail), legacy_key(coalesce(max(o.tail) FILTER (o.tail = w.tail), min(o.tail)))
FROM legacy_object AS o
JOIN (SELECT unnest(?) AS tail) AS w ON lower(nfc_normalize(w.tail)) = lower(nfc_normalize(o.tail))
WHERE o.route = 1
GROUP BY w.tail
"""


@dataclass(frozen=True, slots=True)
class Recognition:
    """``paths`` rows have a path, ``on_a_side`` of them are recognised; ``others`` are some of those that are not.

    These are ``other_paths``. With ``is_legacy_empty`` legacy has neither a row nor an object.
    """

    paths: int
    on_a_side: int
    legacy_objects: int
    other_paths: int
    is_legacy_empty: bool
    others: tuple[OtherRow, ...]

    @property
    def is_nothing(self) -> bool:
        """Whether there are paths and legacy objects, and no path is on either side."""
        return bool(self.paths and self.legacy_objects and not self.on_a_side)

    @property
    def is_nothing_in_legacy(self) -> bool:
        """Whether legacy is empty, and rows have paths on neither side: a wrong place, or a table that is done."""
        return bool(self.is_legacy_empty and self.other_paths)


async def look_at_neither(evidence: Evidence) -> Recognition:
    """Look at some rows on neither side, and take note of them in the evidence. Raises ``RunDirectoryError``.

    They are read as keys of the first move.
    """
    ((paths, on_a_side, objects, other_paths, is_empty),) = await evidence.ask(_COUNTS)
    legacy = Legacy(*evidence.site.moves[0].place(SideName.LEGACY))
    found = await evidence.ask(_OTHERS)
    keys = {each.legacy_key for *_, path in found for each in readings(path, legacy) if each.legacy_key}
    tails = [key.removeprefix(legacy.prefix) for key in keys]
    there = {key: other for key, other in await evidence.ask(_THERE, [tails]) if key and other} if tails else {}
    others = tuple(other_row(key, path, legacy, there) for _, key, path in found)
    await evidence.insert(
        "other_row",
        [
            (source, row.key, row.path, row.seems, row.legacy_key)
            for (source, *_), row in zip(found, others, strict=True)
        ],
    )
    return Recognition(paths, on_a_side, objects, other_paths, is_empty, others)
