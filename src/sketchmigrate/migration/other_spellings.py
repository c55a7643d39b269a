"""Looks for the first missing objects of a run under other spellings of their keys."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from sketchmigrate.core.errors import S3Error
from sketchmigrate.core.spelling import spellings, spelt_otherwise

if TYPE_CHECKING:
    from sketchmigrate.core.objects import Location
    from sketchmigrate.migration.stop import Stop
    from sketchmigrate.sides import Side

LOOKED_FOR = 20
"""So many missing objects are looked for, with up to twelve requests each; a listing finds more (``verify``, ``plan``),
and is not affordable here."""

GUESS_SECONDS = 3.0
"""The patience for an object that is only guessed to be there."""


class OtherSpellings:
    """Looks for missing objects, the first ``LOOKED_FOR`` of a run. The spellings keep the prefix."""

    def __init__(self, legacy: Side, stop: Stop) -> None:
        self._legacy, self._stop = legacy.retrying(GUESS_SECONDS), stop
        self._left = LOOKED_FOR

    async def probably_meant(self, missing: Location) -> str:
        """Say which object is probably meant; empty where none is found. What cannot be looked at there is none."""
        if not self._left:
            return ""
        self._left -= 1
        for key in spellings(missing.key, self._legacy.prefix):
            if self._stop.requested:
                break
            with suppress(S3Error):  # it was a guess
                if await self._legacy.store.find(missing._replace(key=key)):
                    return spelt_otherwise(missing.key, key)
        return ""
