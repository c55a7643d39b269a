"""Looks at single objects, of which one may be refused: that is this object's finding, and ends nothing.

A store may refuse a key for what it is (over 1,024 bytes, with ``//`` or ``..``), or for whose it is. What it says then
holds for this one, if the store as a whole can be used; that is asked where no other look has shown it just now.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from sketchmigrate.core.errors import S3Error
from sketchmigrate.migration.access import Access
from sketchmigrate.migration.headers import MetadataReader, differing_headers
from sketchmigrate.migration.preflight import check_all_reading

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from sketchmigrate.core.objects import Location, ObjectInfo
    from sketchmigrate.s3 import S3Client
    from sketchmigrate.sides import Sides


class Refused(NamedTuple):
    """An object that cannot be looked at or copied, and the words of the store."""

    words: str

    @property
    def remark(self) -> str:
        """What is to be said of a row that names it."""
        return f"it cannot be looked at: {self.words}"


def looks_at(moves: Sequence[Sides]) -> Looks:
    """Return looks at both sides of moves, which can be used as long as all can be listed and legacy can be read."""
    return Looks(moves[0], partial(check_all_reading, moves))


class Looks:
    """Looks at objects of both sides. ``check_access`` raises ``S3Error`` where one cannot be used as a whole.

    ``metadata`` compares what describes two objects, and learns whether a store tells tags.
    """

    def __init__(self, sides: Sides, check_access: Callable[[], Awaitable[object]]) -> None:
        self.sides = sides
        self.metadata = MetadataReader(sides)
        self._access = Access(check_access)

    async def legacy(self, location: Location) -> ObjectInfo | Refused | None:
        """Return what a HEAD tells, None where there is no object. Raises ``S3Error`` where the store is to blame."""
        return await self._at(self.sides.legacy.store, location)

    async def production(self, location: Location) -> ObjectInfo | Refused | None:
        """Do the same in production."""
        return await self._at(self.sides.production.store, location)

    async def _at(self, store: S3Client, location: Location) -> ObjectInfo | Refused | None:
        began_at = time.monotonic()
        try:
            found = await store.find(location)
        except S3Error as error:
            return await self.refused(error, began_at)
        self._access.usable_at = time.monotonic()
        return found

    async def other_headers(
        self, source: Location, legacy: ObjectInfo, target: Location, production: ObjectInfo
    ) -> str | Refused:
        """Say in what else than bytes two objects differ (``differing_headers``). Raises as ``legacy`` does."""
        began_at = time.monotonic()
        try:
            return await differing_headers(self.sides, source, legacy, target, production)
        except S3Error as error:
            return await self.refused(error, began_at)

    async def refused(self, error: S3Error, began_at: float) -> Refused:
        """Return an error as a finding about one object, or raise it where the store is to blame.

        ``began_at`` is when the request was begun, on the monotonic clock.
        """
        await self._access.check(error, began_at)
        return Refused(str(error))
