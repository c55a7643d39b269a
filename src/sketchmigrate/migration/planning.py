"""A source with its table, and what is to be done for batches of its rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from sketchmigrate.core.layout import Layout
from sketchmigrate.core.mapping import Computed, Mapping
from sketchmigrate.core.notation import KeyNotation
from sketchmigrate.migration.flipping import FlipControl

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sketchmigrate.core.mapping import Move, Planned
    from sketchmigrate.core.reference import Reference
    from sketchmigrate.core.source import Source
    from sketchmigrate.postgres.references import References
    from sketchmigrate.postgres.table import Table
    from sketchmigrate.settings import Settings


@dataclass(frozen=True, slots=True)
class SourceTable:
    """A source, its table as the catalogue has it, and how its rows are mapped. ``control`` is that of its flips.

    ``sample`` are legacy rows from its first pages, as far as there are any.
    """

    source: Source
    table: Table
    mapping: Mapping
    control: FlipControl = field(compare=False)
    sample: tuple[Move, ...] = ()

    @classmethod
    def of(cls, source: Source, table: Table, settings: Settings) -> SourceTable:
        """Return that of a source whose table was looked at."""
        return cls(source, table, mapping_of(source, table), FlipControl.of(settings, moves_rows=table.moves_rows))


def mapping_of(source: Source, table: Table) -> Mapping:
    """Return how the rows of a source are mapped. Pure."""
    value = table.value
    layout = companions = None
    if not value.is_plain:
        layout = Layout(value.column is not None, table.set_texts, len(value.reads))
    if source.also_move:
        from sketchmigrate.core.shapes.array import Array  # noqa: PLC0415 - few need it
        from sketchmigrate.core.shapes.expression import Computed as ComputedShape  # noqa: PLC0415 - few need it

        companions = ComputedShape(Array(KeyNotation(source.routes)))
    return Mapping(
        source.shape,
        max_path_chars=table.max_path_chars,
        max_path_bytes=table.max_path_bytes,
        layout=layout,
        companions=companions,
        sides_by_row=source.sides_by_row,
        partial=source.partial,
    )


class Planner(Protocol):
    """Says what is to be done for rows."""

    async def plan(self, rows: Sequence[Reference], references: References) -> Planned:
        """Return the moves of a batch, and why others have none. Raises ``DatabaseError``."""


@dataclass(frozen=True, slots=True)
class Forward:
    """Plans the way from legacy to production."""

    source: SourceTable

    async def plan(self, rows: Sequence[Reference], references: References) -> Planned:
        """See ``Planner``. What SQL of the settings gives for the rows is asked for the batch."""
        mapping = self.source.mapping
        if not mapping.needs_computing:
            return mapping.plan(rows)
        return mapping.plan(rows, await computed(self.source.source, references, [row.path for row in rows]))


async def computed(source: Source, references: References, values: Sequence[str]) -> list[Computed]:
    """Return what the SQL of a source gives for values of its rows. Raises ``DatabaseError``."""
    expressions = [each for each in (source.expression, source.also_move) if each]
    found = await references.computed(values, expressions)
    if not source.expression:
        return [Computed(None, companions) for (companions,) in found]
    return [Computed(*texts) for texts in found]
