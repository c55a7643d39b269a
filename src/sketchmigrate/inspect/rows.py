"""What rows of a source name, as the evidence has it: each reference by the number of its route, and a tail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from sketchmigrate.core.keys import key_text
from sketchmigrate.core.mapping import NOTHING_COMPUTED
from sketchmigrate.core.named import in_production, named_by
from sketchmigrate.core.rule import SideName
from sketchmigrate.migration.planning import computed
from sketchmigrate.postgres.pages import LONGEST_PATH_CHARS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sketchmigrate.core.mapping import Computed
    from sketchmigrate.core.objects import Location
    from sketchmigrate.core.pairing import Pairing
    from sketchmigrate.inspect.evidence import NamedRow
    from sketchmigrate.ledger import PastFlip
    from sketchmigrate.migration.planning import SourceTable
    from sketchmigrate.postgres.pages import RowNow
    from sketchmigrate.postgres.references import References


class ReadRow(NamedTuple):
    """A row, its references, and why some cannot be moved: that of a slot, or None for the row as a whole."""

    key: str
    references: list[NamedRow]
    unmovable: list[tuple[int | None, str]]


@dataclass(frozen=True, slots=True)
class RowReader:
    """Reads rows of a source."""

    source: SourceTable
    pairing: Pairing

    @property
    def _family(self) -> int:
        return self.pairing.family_of(self.source.source.routes)

    async def read(self, references: References, rows: Sequence[RowNow]) -> list[ReadRow]:
        """Return what rows name, as they are. Raises ``DatabaseError``."""
        known = await self._computed(references, [row.value for row in rows])
        return [self._read(row, more) for row, more in zip(rows, known, strict=True)]

    async def moved(self, references: References, flips: Sequence[PastFlip]) -> list[list[str]]:
        """Return the keys of production to which flips have moved references. Raises ``DatabaseError``.

        What a value named in production before was not moved, as far as the texts tell: they may name a key on both
        sides.
        """
        after = await self._produced(references, [flip.new_path for flip in flips])
        mixed = [number for number, keys in enumerate(after) if len(keys) > 1]
        before = await self._produced(references, [flips[number].old_path for number in mixed])
        for number, there in zip(mixed, before, strict=True):
            after[number] = [key for key in after[number] if key not in set(there)] or after[number]
        return after

    async def _produced(self, references: References, values: Sequence[str]) -> list[list[str]]:
        known = await self._computed(references, values)
        return [
            list(
                dict.fromkeys(
                    each.place.key
                    for each in in_production(self.source.mapping, value, more)
                    if each.side is SideName.PRODUCTION
                )
            )
            for value, more in zip(values, known, strict=True)
        ]

    async def _computed(self, references: References, values: Sequence[str | None]) -> list[Computed]:
        if not self.source.source.expression or not values:
            return [NOTHING_COMPUTED] * len(values)
        return await computed(self.source.source, references, [value or "" for value in values])

    def _named(self, key: str, slot: int, side: SideName, place: Location, row_side: str) -> NamedRow:
        pair = self.pairing.pair_of(side, place, self._family) or (None, None)
        return key, slot, place.key, row_side, *pair

    def _read(self, row: RowNow, more: Computed) -> ReadRow:
        key = key_text(row.key)
        named = named_by(self.source.mapping, row.value, meets=row.meets, computed=more)
        is_neither = named.side is SideName.NEITHER
        found = [
            self._named(key, slot, side, place, (named.side if is_neither else side).value)
            for slot, (side, place) in enumerate(named.objects)
        ]
        if named.failure is not None:  # it stands for what cannot be read
            text = (row.value or "")[:LONGEST_PATH_CHARS]
            found.append((key, len(found), text, SideName.LEGACY.value, None, None))
        if named.refusal is not None:
            return ReadRow(key, found, [(None, str(named.refusal))])
        return ReadRow(key, found, [(len(found) - 1, str(named.failure))] if named.failure is not None else [])
