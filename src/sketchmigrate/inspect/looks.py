"""Looks at single objects, of which one may be refused: that is this object's finding, and ends nothing.

A store may refuse a key for what it is (over 1,024 bytes, with ``//`` or ``..``), or for whose it is. What it says then
holds for this one, if the store as a whole can be used; that is asked where no other look has shown it just now.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from sketchmigrate.core.errors import S3Error
from sketchmigrate.migration.access import Access
from sketchmigrate.s3.comparison import differing_headers

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sketchmigrate.core.objects import Location, ObjectInfo
    from sketchmigrate.s3 import S3Client


class Refused(NamedTuple):
    """An object that cannot be looked at or copied, and the words of the store."""

    words: str


class Looks:
    """Looks at objects of one store. ``check_access`` raises ``S3Error`` where that cannot be used as a whole."""

    def __init__(self, store: S3Client, check_access: Callable[[], Awaitable[object]]) -> None:
        self.store = store
        self._access = Access(check_access)

    async def at(self, location: Location) -> ObjectInfo | Refused | None:
        """Return what a HEAD tells, None where there is no object. Raises ``S3Error`` where the store is to blame."""
        began_at = time.monotonic()
        try:
            found = await self.store.find(location)
        except S3Error as error:
            return await self.refused(error, began_at)
        self._access.usable_at = time.monotonic()
        return found

    async def other_headers(
        self, source: Location, legacy: ObjectInfo, target: Location, production: ObjectInfo
    ) -> str | Refused:
        """Say in what else than bytes two objects differ (``differing_headers``). Raises as ``at`` does."""
        began_at = time.monotonic()
        try:
            return await differing_headers(self.store, source, legacy, target, production)
        except S3Error as error:
            return await self.refused(error, began_at)

    async def refused(self, error: S3Error, began_at: float) -> Refused:
        """Return an error as a finding about one object, or raise it where the store is to blame.

        ``began_at`` is when the request was begun, on the monotonic clock.
        """
        await self._access.check(error, began_at)
        return Refused(str(error))
