"""How far a migration is, and what rows on neither side look like. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OtherRow:
    """A row on neither side, and what its path ``seems`` to be.

    ``legacy_key`` is that of an object for which it stands, and which is there; or empty. ``refused`` says why none of
    those for which it may stand could be looked at, or is empty.
    """

    key: str
    path: str
    seems: str
    legacy_key: str = ""
    refused: str = ""


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """How far one source is: a count over its table. ``paths`` counts the rows whose text is not NULL, nor empty."""

    name: str
    legacy_rows: int
    production_rows: int
    total_rows: int
    paths: int

    @property
    def other_rows(self) -> int:
        """Rows on neither side."""
        return self.total_rows - self.legacy_rows - self.production_rows

    @property
    def is_unrecognised(self) -> bool:
        """Whether it has values, and none names either side."""
        return bool(self.paths and not self.legacy_rows and not self.production_rows)


@dataclass(frozen=True, slots=True)
class PlaceStatus:
    """What a place of objects holds."""

    place: str
    objects: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Status:
    """How far the migration is: complete listings of both sides, and one count over each source's table.

    ``paths`` counts the rows whose path is neither NULL nor empty; ``others`` are some of those on neither side.
    ``sources`` and the places say of what the sums are.
    """

    legacy_objects: int
    legacy_bytes: int
    production_objects: int
    production_bytes: int
    legacy_rows: int
    production_rows: int
    total_rows: int
    paths: int = 0
    others: tuple[OtherRow, ...] = ()
    sources: tuple[SourceStatus, ...] = ()
    legacy_places: tuple[PlaceStatus, ...] = ()
    production_places: tuple[PlaceStatus, ...] = ()

    @property
    def is_nothing_recognised(self) -> bool:
        """Whether there are paths and legacy objects, and no path is on either side."""
        return bool(self.paths and self.legacy_objects and not self.legacy_rows and not self.production_rows)

    @property
    def other_paths(self) -> int:
        """Rows on neither side that have a path."""
        return max(0, self.paths - self.legacy_rows - self.production_rows)

    @property
    def naming_legacy(self) -> tuple[OtherRow, ...]:
        """Those of ``others`` that name a legacy object."""
        return tuple(row for row in self.others if row.legacy_key)

    @property
    def refused(self) -> tuple[OtherRow, ...]:
        """Those of ``others`` that may name a legacy object which could not be looked at."""
        return tuple(row for row in self.others if row.refused)

    @property
    def is_nothing_in_legacy(self) -> bool:
        """Whether legacy has no row and no object, and rows have paths on neither side: a wrong place, or done."""
        return bool(self.other_paths and not self.legacy_rows and not self.legacy_objects)

    @property
    def other_rows(self) -> int:
        """Rows whose path is on neither side, NULL and empty ones included."""
        return self.total_rows - self.legacy_rows - self.production_rows

    @property
    def percent_done(self) -> float:
        """Share of the rows of both sides that are in production; 100 where there is nothing to move.

        Rows on neither side that were seen to name a legacy object are to be moved as well: where not all were looked
        at, it is less. 0 where nothing is recognised: a table that is not understood is not done.
        """
        if self.is_nothing_recognised:
            return 0.0
        rows = self.legacy_rows + self.production_rows + len(self.naming_legacy)
        return 100.0 * self.production_rows / rows if rows else 100.0
