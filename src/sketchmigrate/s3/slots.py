"""Callers that wait for a slot of the limiter, on the event loop's clock."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from sketchmigrate.flow.lane import Lane
    from sketchmigrate.flow.limiter import Limiter
    from sketchmigrate.s3.wire.messages import Request

Caller: TypeAlias = "asyncio.Future[Lane[Any] | None]"
"""Who waits: told which lane the slot is of, if it is of one."""


class Slots:
    """Lets callers wait, and wakes who may go."""

    def __init__(self, limiter: Limiter[Caller]) -> None:
        self._limiter = limiter
        self._wake: asyncio.TimerHandle | None = None
        self._wake_at = 0.0  # uvloop's handles of the nearest moments do not tell

    def close(self) -> None:
        """Wake nobody any more."""
        if self._wake is not None:
            self._wake.cancel()

    async def wait(self, request: Request) -> Lane[Any] | None:
        """Wait for a slot; return the lane to give it back to, if it is of one."""
        limiter = self._limiter
        caller: Caller = asyncio.get_running_loop().create_future()
        limiter.queue(caller, request.payload_bytes, request.prefixes if limiter.by_prefix else "")
        self.hand_over()
        try:
            return await caller
        except asyncio.CancelledError:
            if caller.cancelled():
                limiter.forget(caller)
            else:  # the slot had been handed over just before
                limiter.leave(caller.result())
            self.hand_over()
            raise

    def hand_over(self) -> None:
        """Let in who may go, passing over who was cancelled. Where a rate holds the next one back, wait for it."""
        limiter = self._limiter
        now = time.monotonic()
        while (caller := limiter.admit(now)) is not None:
            if caller.done():
                limiter.leave(limiter.admitted_to)
            else:
                caller.set_result(limiter.admitted_to)
        if not limiter.waiting:
            return
        wait_seconds = limiter.ready_at() - now
        if wait_seconds > 0:
            self._wake_in(wait_seconds)

    def _wake_in(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        wake_at = loop.time() + seconds
        if self._wake is not None:
            if self._wake_at <= wake_at:
                return
            self._wake.cancel()
        self._wake_at = wake_at
        self._wake = loop.call_later(seconds, self._wake_up)

    def _wake_up(self) -> None:
        self._wake = None
        self.hand_over()
