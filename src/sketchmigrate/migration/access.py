"""Whether an object that fails is to blame for it, or the store as a whole."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sketchmigrate.core.clock import SYSTEM, Clock
from sketchmigrate.core.errors import (
    BucketMissing,
    ConditionNotProved,
    CredentialsError,
    RedirectRefused,
    RunDirectoryError,
    S3Error,
    StoreFull,
    UsageError,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sketchmigrate.core.errors import MigrateError

PROOF_SECONDS = 0.2
"""So long a success proves that the store can be used. An object that failed for a while may have been begun before
the last success and still fail because the store has gone since."""

HOPELESS = (
    CredentialsError,
    BucketMissing,
    RedirectRefused,
    StoreFull,
    UsageError,
    RunDirectoryError,
    ConditionNotProved,
)
"""Errors that no other object of the run can escape."""


class Access:
    """Asks ``check``, which raises ``S3Error`` where the store as a whole cannot be used.

    It is asked when an object fails and no other has succeeded since that one was begun, or none just now: then it may
    not be the object's fault. ``usable_at`` is when one last succeeded, on the monotonic clock: set it for each.
    """

    def __init__(self, check: Callable[[], Awaitable[object]], clock: Clock = SYSTEM) -> None:
        self._check = check
        self._monotonic = clock.monotonic
        self._checking = asyncio.Lock()
        self._refusal: S3Error | None = None
        self.usable_at = 0.0

    async def check(self, error: MigrateError, began_at: float) -> None:
        """Raise what ends the whole run: the error itself, or what the store says of its use. Else it is the object's.

        ``began_at`` is when the object was begun. One question answers for all that failed until then, also where the
        answer is that the store cannot be used.
        """
        if isinstance(error, HOPELESS):
            raise error
        async with self._checking:
            if self._refusal is not None:
                raise self._refusal
            if began_at < self.usable_at and self._monotonic() - self.usable_at < PROOF_SECONDS:
                return
            try:
                await self._check()
            except S3Error as refusal:
                self._refusal = refusal
                raise
            self.usable_at = self._monotonic()
