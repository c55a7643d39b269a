"""What has to be done for a reference, by the rule, and whether its new path is one that can be stored. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import repeat
from typing import TYPE_CHECKING, NamedTuple

from sketchmigrate.core.objects import Location
from sketchmigrate.core.reason import ReasonKind, because
from sketchmigrate.core.reference import Unreadable, make_all
from sketchmigrate.core.rule import Rule, SideName

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sketchmigrate.core.reason import Detail
    from sketchmigrate.core.reference import Reference

MAX_KEY_BYTES = 1024
"""S3 keys are at most 1 024 bytes of UTF-8 (S3 User Guide, "Naming Amazon S3 objects")."""


class Move(NamedTuple):
    """What is to be done for one reference: copy ``source`` to ``target``, then set the path to ``new_path``."""

    reference: Reference
    new_path: str
    source: Location
    target: Location


class Unmappable(ValueError):
    """This path cannot be moved, for this reason."""

    def __init__(self, kind: ReasonKind, **details: Detail) -> None:
        self.reason = because(kind, **details)
        super().__init__(str(self.reason))


@dataclass(frozen=True, slots=True)
class Mapping:
    """The rule, both sides' buckets, and how long a path may become; a rollback goes ``backwards``.

    ``max_path_chars`` and ``max_path_bytes`` are the length of the path column, or None where it has no such limit.
    """

    rule: Rule
    legacy_bucket: str
    production_bucket: str
    max_path_chars: int | None = None
    max_path_bytes: int | None = None
    backwards: bool = False

    def new_path(self, path: str) -> str:
        """Return the new path of a row.

        Raises ``Unmappable`` where the result could not be a key or would not fit the column, and ``ValueError``
        for a path of another side.
        """
        mapped = self.rule.backward(path) if self.backwards else self.rule.forward(path)
        if isinstance(path, Unreadable):
            raise Unmappable(ReasonKind.PATH_NOT_TEXT)
        if path == (self.rule.production_prefix if self.backwards else self.rule.legacy_prefix):
            raise Unmappable(ReasonKind.ONLY_PREFIX, prefix=path)
        size_bytes = len(mapped.encode())
        if size_bytes > MAX_KEY_BYTES:
            side = SideName.LEGACY if self.backwards else SideName.PRODUCTION
            raise Unmappable(ReasonKind.KEY_TOO_LONG, side=side, verb="would be", size=size_bytes, limit=MAX_KEY_BYTES)
        if self.max_path_chars is not None and len(mapped) > self.max_path_chars:
            limit = self.max_path_chars
            raise Unmappable(ReasonKind.COLUMN_TOO_SHORT, size=len(mapped), unit="characters", limit=limit)
        if self.max_path_bytes is not None and size_bytes > self.max_path_bytes:
            limit = self.max_path_bytes
            raise Unmappable(ReasonKind.COLUMN_TOO_SHORT, size=size_bytes, unit="bytes", limit=limit)
        return mapped

    def move(self, reference: Reference) -> Move:
        """Say what has to be done for a reference. Raises like ``new_path``."""
        (move,) = self.moves([reference])
        return move

    def moves(self, references: Sequence[Reference]) -> list[Move]:
        """Say what has to be done for a batch. Raises like ``new_path`` where that holds for any of them."""
        paths = [reference.path for reference in references]
        new_paths = [self.new_path(path) for path in paths]
        buckets = (self.legacy_bucket, self.production_bucket)
        source_bucket, target_bucket = reversed(buckets) if self.backwards else buckets
        sources = make_all(Location, zip(repeat(source_bucket), paths, strict=False))
        targets = make_all(Location, zip(repeat(target_bucket), new_paths, strict=False))
        return make_all(Move, zip(references, new_paths, sources, targets, strict=True))

    def back(self) -> Mapping:
        """Return what leads back, from production to legacy."""
        return replace(self, backwards=True)
