"""Who may send now, and who waits for what. Pure bookkeeping: what a waiter is, is the caller's business."""

from __future__ import annotations

import math
from collections import deque
from contextlib import suppress
from enum import Enum, auto
from typing import TYPE_CHECKING, Generic, TypeVar

from sketchmigrate.flow.congestion import Congestion
from sketchmigrate.flow.token_bucket import TokenBucket

if TYPE_CHECKING:
    from sketchmigrate.flow.caps import Caps

Waiter = TypeVar("Waiter")

FULL = 0.9
"""A window that is filled to this part is in use: replies and the requests that follow them are a moment apart."""


class Pressure(Enum):
    """What keeps more requests from being sent at this moment."""

    NOTHING = auto()  # nobody asks for more
    WINDOW = auto()  # as many are in flight as the store is thought to bear
    CEILING = auto()  # as many are in flight as a person allows
    RATE_CAP = auto()  # a person's cap on requests a second
    BANDWIDTH_CAP = auto()  # a person's cap on bytes a second
    REFUSALS = auto()  # the rate at which the store refuses, or the time that it asks to wait


class Limiter(Generic[Waiter]):
    """Hands out slots, as many as caps and congestion allow; who finds none queues, first come first served."""

    def __init__(self, caps: Caps, now: float) -> None:
        self.caps = caps
        self.congestion = Congestion(caps.concurrency, now)
        self.in_flight = 0
        self.waiting: deque[tuple[Waiter, int]] = deque()
        self._requests = TokenBucket()
        self._bytes = TokenBucket()
        self._at_once = 0  # slots that can be had without asking for the time
        self._refresh()

    def limit(self, caps: Caps) -> None:
        """Take other caps. Some who wait may have a slot now."""
        self.caps = caps
        self.congestion.limit(caps.concurrency)
        self._refresh()

    def _refresh(self) -> None:
        self._requests.rate = min(self.caps.requests_per_second, self.congestion.requests_per_second)
        self._bytes.rate = self.caps.bytes_per_second
        metered = min(self._requests.rate, self._bytes.rate) < math.inf
        self._at_once = 0 if metered else self.congestion.window

    @property
    def window(self) -> int:
        """The number of requests that may be in flight."""
        return self.congestion.window

    def enter(self) -> bool:
        """Take a slot if one is free and no rate is kept to. Nobody overtakes."""
        if self.in_flight < self._at_once and not self.waiting:
            self.in_flight += 1
            return True
        return False

    def queue(self, waiter: Waiter, payload_bytes: int = 0) -> None:
        """Wait for the slot that ``admit`` will hand over. The payload is what passes through the client."""
        self.waiting.append((waiter, payload_bytes))

    def admit(self, now: float) -> Waiter | None:
        """Hand a slot to who has waited longest, and return who that is; None if nobody waits or nothing is free."""
        if not self.waiting or self.in_flight >= self.congestion.window or self.ready_at() > now:
            return None
        waiter, payload_bytes = self.waiting.popleft()
        self._requests.take(now, 1)
        if payload_bytes:
            self._bytes.take(now, payload_bytes)
        self.in_flight += 1
        return waiter

    def ready_at(self) -> float:
        """Return the time from which the rates let the next one pass."""
        ready = self._requests.ready_at() if self._requests.rate < math.inf else -math.inf
        if self.waiting and self.waiting[0][1] and self._bytes.rate < math.inf:
            ready = max(ready, self._bytes.ready_at())
        return ready

    def leave(self) -> None:
        """Give a slot back; then somebody may be admitted."""
        self.in_flight -= 1

    def correct(self, now: float, payload_bytes: int) -> None:
        """Say that so many more bytes passed than were expected (fewer, if negative)."""
        self._bytes.take(now, payload_bytes)

    def forget(self, waiter: Waiter) -> None:
        """Stop waiting, if it still does."""
        with suppress(StopIteration):
            self.waiting.remove(next(entry for entry in self.waiting if entry[0] is waiter))

    # -- what became of attempts

    def replied(self, now: float, latency_seconds: float) -> None:
        """Note a reply, whatever it says."""
        if self.congestion.replied(now, latency_seconds):
            self._refresh()

    def refused(self, now: float) -> None:
        """Note that a reply said "slow down"."""
        if self.congestion.refused(now):
            self._refresh()

    def faulted(self, now: float) -> None:
        """Note a request without a reply, or an error of the server."""
        if self.congestion.faulted(now):
            self._refresh()

    def pressure(self, now: float) -> Pressure:
        """Say what holds requests back at this moment."""
        if self.in_flight >= FULL * self.congestion.window:
            return Pressure.CEILING if self.congestion.window >= self.caps.concurrency else Pressure.WINDOW
        if not self.waiting:
            return Pressure.NOTHING
        if self.waiting[0][1] and self._bytes.ready_at() > now:
            return Pressure.BANDWIDTH_CAP
        paced = self.congestion.requests_per_second < self.caps.requests_per_second
        return Pressure.REFUSALS if paced else Pressure.RATE_CAP
