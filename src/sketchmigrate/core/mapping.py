"""What has to be done for a row: which objects go where, and what its value is to be then. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING, NamedTuple

from sketchmigrate.core.objects import Location
from sketchmigrate.core.outcome import Outcome
from sketchmigrate.core.reason import Reason, ReasonKind, because
from sketchmigrate.core.reference import Unreadable, make_all
from sketchmigrate.core.rule import SideName
from sketchmigrate.core.shapes.contract import replace

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Self

    from sketchmigrate.core.layout import Layout
    from sketchmigrate.core.reason import Detail
    from sketchmigrate.core.reference import Reference
    from sketchmigrate.core.routes import Route
    from sketchmigrate.core.shapes.contract import Reading, Shape, Slot

MAX_KEY_BYTES = 1024
"""S3 keys are at most 1 024 bytes of UTF-8 (S3 User Guide, "Naming Amazon S3 objects")."""

MOST_CHARS = 2**30
"""No value of PostgreSQL is as long (PostgreSQL manual, appendix "PostgreSQL Limits")."""


class ObjectPair(NamedTuple):
    """An object and where it goes. A companion belongs to a row that does not name it, and may be missing."""

    source: Location
    target: Location
    is_companion: bool = False


class Left(NamedTuple):
    """What is left of a row that is moved in part, and why."""

    outcome: Outcome
    reason: Reason | None


class Move(NamedTuple):
    """What is to be done for one row: copy ``source`` to ``target``, and ``more``, then set its value to ``new_path``.

    ``references`` is how many references of the row that moves; ``left`` tells of others, which do not hold these up.
    """

    reference: Reference
    new_path: str
    source: Location
    target: Location
    more: tuple[ObjectPair, ...] = ()
    references: int = 1
    left: Left | None = None

    @property
    def pairs(self) -> tuple[ObjectPair, ...]:
        """All its objects."""
        return (ObjectPair(self.source, self.target), *self.more)


class Computed(NamedTuple):
    """What SQL gives for a row's value: its keys where they are computed, and its companions' keys, as ``text[]``."""

    keys: str | None = None
    companions: str | None = None


NOTHING_COMPUTED = Computed()


class Planned(NamedTuple):
    """What is to be done for some rows, and why nothing can be done for others."""

    moves: list[Move]
    refused: list[tuple[Reference, Reason]]


class Unmappable(ValueError):
    """This path cannot be moved, for this reason."""

    def __init__(self, kind: ReasonKind, **details: Detail) -> None:
        self.reason = because(kind, **details)
        super().__init__(str(self.reason))

    @classmethod
    def because(cls, reason: Reason) -> Self:
        """Return that of a reason which is there already."""
        unmappable = cls(reason.kind, **reason.details)
        unmappable.reason = reason
        return unmappable


@dataclass(frozen=True, slots=True)
class Mapping:
    """How the rows of one source are read, and what may become of their values.

    ``shape`` finds the references in the text of the column, or in what SQL computes; ``companions`` finds keys in what
    SQL computes. ``layout`` is None where the value is that text itself. ``sides_by_row``: which rows are legacy is
    told by the row. ``max_path_chars`` and ``max_path_bytes`` are the length of the column, or None where it has no
    such limit.
    """

    shape: Shape
    max_path_chars: int | None = None
    max_path_bytes: int | None = None
    layout: Layout | None = None
    companions: Shape | None = None
    sides_by_row: bool = False
    partial: bool = False

    @property
    def needs_computing(self) -> bool:
        """Whether SQL has to be asked before a row can be planned."""
        return self.companions is not None or (self.layout is not None and not self.layout.has_column)

    def plan(self, references: Sequence[Reference], computed: Iterable[Computed] | None = None) -> Planned:
        """Say what has to be done for a batch of legacy rows."""
        moves: list[Move] = []
        refused: list[tuple[Reference, Reason]] = []
        if computed is None and self.layout is None and self.max_path_bytes is None:
            if (route := self.shape.only_route) is not None and (moved := self._all_along(route, references)):
                return Planned(moved, [])
            references = self._plan_plain(references, moves)
        for reference, more in zip(references, computed or [NOTHING_COMPUTED] * len(references), strict=True):
            planned = self._planned(reference, more)
            if isinstance(planned, Move):
                moves.append(planned)
            else:
                refused.append((reference, planned))
        return Planned(moves, refused)

    def _all_along(self, route: Route, references: Sequence[Reference]) -> list[Move] | None:
        """Return the moves of rows that hold a key of this route and nothing else; None where any needs a closer look.

        That is the usual case, and a batch takes a sixth of the time that its rows take one by one.
        """
        values = [reference.path for reference in references]
        old, new = route.legacy_prefix, route.production_prefix
        cut, lengths = len(old), list(map(len, values))
        longest = MAX_KEY_BYTES if self.max_path_chars is None else min(MAX_KEY_BYTES, self.max_path_chars)
        if (
            not values
            or min(lengths) <= cut
            or max(lengths) > MAX_KEY_BYTES
            or max(lengths) - cut + len(new) > longest
            or set(map(type, values)) != {str}
            or not all(map(str.isascii, values))
            or not all([value.startswith(old) for value in values])  # noqa: C419 - a generator takes twice the time
        ):
            return None
        new_values = [new + value[cut:] for value in values]
        sources = make_all(Location, zip(repeat(route.legacy_bucket), values, strict=False))
        targets = make_all(Location, zip(repeat(route.production_bucket), new_values, strict=False))
        return make_all(Move, zip(references, new_values, sources, targets, repeat(()), repeat(1), repeat(None)))

    def _plan_plain(self, references: Sequence[Reference], moves: list[Move]) -> list[Reference]:
        """Append the moves of rows that have one reference and nothing against it; return the others."""
        read = self.shape.read
        longest = MOST_CHARS if self.max_path_chars is None else self.max_path_chars
        others: list[Reference] = []
        for reference in references:
            value = reference.path
            slots, failure = read(value)
            if failure is None and len(slots) == 1 and type(value) is str:
                start, stop, side_of_it, bucket, key, other_bucket, other_key, text = slots[0]
                new = value[:start] + text + value[stop:]
                if side_of_it is SideName.LEGACY and len(new) <= longest:
                    source, target = _place(Location, (bucket, key)), _place(Location, (other_bucket, other_key))
                    moves.append(_place(Move, (reference, new, source, target, (), 1, None)))
                    continue
            others.append(reference)
        return others

    def move(self, reference: Reference, computed: Computed = NOTHING_COMPUTED) -> Move:
        """Say what has to be done for one row. Raises ``Unmappable``."""
        planned = self._planned(reference, computed)
        if isinstance(planned, Reason):
            raise Unmappable.because(planned)
        return planned

    def read(self, value: str, computed: Computed = NOTHING_COMPUTED) -> Reading:
        """Return the references of a row that is legacy, or may be."""
        text: str | None = value
        if self.layout is not None:
            text = self.layout.column(value) if self.layout.has_column else computed.keys
        return self.shape.read(text or "", SideName.LEGACY if self.sides_by_row else None)

    def is_legacy(self, value: str | None) -> bool:
        """Whether a row of which SQL says that it may be legacy is so. Where the row itself tells, SQL knows."""
        if value is None:
            return False
        if self.sides_by_row:
            return self.layout is None or not self.layout.has_column or bool(self.layout.column(value))
        slots, failure = self.read(value)
        return failure is not None or any(slot.side is SideName.LEGACY for slot in slots)

    def side_of(self, value: str | None, *, meets: bool) -> SideName:
        """Return the side that a row is on, which meets the condition of the settings or does not."""
        if value is None or not (meets or self.sides_by_row):
            return SideName.NEITHER
        if meets and self.is_legacy(value):
            return SideName.LEGACY
        is_production = self._is_set(value) if self.sides_by_row else bool(self.read(value).slots)
        return SideName.PRODUCTION if is_production and not (meets and self.sides_by_row) else SideName.NEITHER

    def _is_set(self, value: str) -> bool:
        """Whether a row that tells its side holds what a flip sets, and a production key where it holds any."""
        layout = self.layout
        if layout is None or not layout.is_set(value):
            return False
        if not layout.has_column:
            return True
        column = layout.column(value)
        return column is not None and bool(self.shape.read(column, SideName.PRODUCTION).slots)

    def partly(self, move: Move, brought: Sequence[bool]) -> Move | None:
        """Return a move for those references alone whose objects were brought (by ``pairs``); None where none was."""
        there = {pair.source for pair, is_there in zip(move.pairs, brought, strict=True) if is_there}
        legacy = legacy_slots(self.read(move.reference.path))
        slots = [slot for slot in legacy if _places(slot)[0] in there]
        if not slots:
            return None
        return move._replace(new_path=self._new_value(move.reference.path, slots), references=len(slots))

    def moved_to(self, move: Move, value: str) -> Move | None:
        """Return the part of a move that makes this value; None where none does."""
        old = move.reference.path
        slots = legacy_slots(self.read(old))
        if self.layout is None:
            text, new_text = old, value
        else:
            text, new_text = self.layout.column(old) or "", self.layout.column(value) or ""
        moved: list[Slot] = []
        longer = 0  # so many characters more than in the old text are before this place in the new one
        for slot in slots:
            if new_text.startswith(slot.text + text[slot.stop : slot.stop + 1], slot.start + longer):
                moved.append(slot)
                longer += len(slot.text) - (slot.stop - slot.start)
        if not moved or self._new_value(old, moved) != value:
            return None
        there = {Location(slot.bucket, slot.key) for slot in moved}
        first, *more = [pair for pair in move.pairs if pair.source in there or pair.is_companion]
        return Move(move.reference, value, first.source, first.target, tuple(more), len(moved))

    def _planned(self, reference: Reference, computed: Computed) -> Move | Reason:
        value = reference.path
        if isinstance(value, Unreadable):
            return because(ReasonKind.PATH_NOT_TEXT)
        slots, failure = self.read(value, computed)
        legacy = [slot for slot in slots if slot.side is SideName.LEGACY]
        if failure is not None and not (self.partial and legacy):
            return failure
        if not legacy:
            return because(ReasonKind.NO_MOVE)
        new = self._new_value(value, legacy)
        if too_long := self._too_long(new):
            return too_long
        pairs = [ObjectPair(*_places(slot)) for slot in legacy]
        if self.companions is not None and computed.companions is not None:
            found, impossible = self.companions.read(computed.companions, SideName.LEGACY)
            if impossible is not None:
                return impossible
            pairs += [ObjectPair(*_places(slot), is_companion=True) for slot in found]
        # an object that is named twice is brought once, and as no companion where it is a reference
        unique: dict[Location, ObjectPair] = {}
        for pair in pairs:
            unique.setdefault(pair.source, pair)
        first, *more = unique.values()
        left = Left(Outcome.FAILED, failure) if failure is not None else None
        return Move(reference, new, first.source, first.target, tuple(more), len(legacy), left)

    def _new_value(self, value: str, legacy: Sequence[Slot]) -> str:
        if self.layout is None:
            return replace(value, legacy)
        column = self.layout.column(value)
        return self.layout.flipped(value, None if column is None else replace(column, legacy))

    def _too_long(self, new_value: str) -> Reason | None:
        text = new_value if self.layout is None else self.layout.column(new_value) or ""
        chars, limit = len(text), self.max_path_chars
        if limit is not None and chars > limit:
            return because(ReasonKind.COLUMN_TOO_SHORT, size=chars, unit="characters", limit=limit)
        if self.max_path_bytes is not None and (size_bytes := len(text.encode())) > self.max_path_bytes:
            return because(ReasonKind.COLUMN_TOO_SHORT, size=size_bytes, unit="bytes", limit=self.max_path_bytes)
        return None


_place = tuple.__new__
"""Makes a named tuple of all its fields in their order, as ``core.reference.make_all`` does, for each row."""


def _places(slot: Slot) -> tuple[Location, Location]:
    return Location(slot.bucket, slot.key), Location(slot.other_bucket, slot.other_key)


def legacy_slots(reading: Reading) -> list[Slot]:
    """Return the references of a value that are on the legacy side."""
    return [slot for slot in reading.slots if slot.side is SideName.LEGACY]
