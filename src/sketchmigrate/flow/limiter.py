"""Who may send now, and who waits for what. Pure bookkeeping: what a waiter is, is the caller's business.

All requests share a window and a rate, until a store is seen to refuse those of one prefix clearly more often than the
others: those get a lane, with a window and a rate of their own. Who waits there holds nobody else up. As long as
nothing is refused no name is asked for: the usual way of a request is two additions and two comparisons.
"""

from __future__ import annotations

import math
from contextlib import suppress
from enum import Enum, auto
from typing import TYPE_CHECKING, Generic, TypeVar

from sketchmigrate.flow.attribution import Attribution
from sketchmigrate.flow.congestion import Congestion
from sketchmigrate.flow.lane import Lane, Waiting
from sketchmigrate.flow.token_bucket import TokenBucket

if TYPE_CHECKING:
    from sketchmigrate.flow.caps import Caps

Waiter = TypeVar("Waiter")

FULL = 0.9
"""A window that is filled to this part is in use: replies and the requests that follow them are a moment apart."""

MOST_LANES = 64
"""Prefixes with a rate of their own; those beyond share one."""

IDLE_SECONDS = 60.0
"""A lane that nobody has asked for so long is closed."""


class Pressure(Enum):
    """What keeps more requests from being sent at this moment."""

    NOTHING = auto()  # nobody asks for more
    WINDOW = auto()  # as many are in flight as the store is thought to bear
    CEILING = auto()  # as many are in flight as a person allows
    RATE_CAP = auto()  # a person's cap on requests a second
    BANDWIDTH_CAP = auto()  # a person's cap on bytes a second
    REFUSALS = auto()  # the rate at which the store refuses, or the time that it asks to wait


class Limiter(Generic[Waiter]):
    """Hands out slots, as many as caps and congestion allow; who finds none queues, first come first served.

    ``by_prefix``: requests are told apart, so that their names are to be given. ``waiting`` is how many wait.
    """

    def __init__(self, caps: Caps, now: float) -> None:
        self.caps = caps
        self.congestion = Congestion(caps.concurrency, now)
        self.in_flight = self.waiting = 0
        self.by_prefix = False
        self.admitted_to: Lane[Waiter] | None = None
        self._common: Lane[Waiter] = Lane("", self.congestion, now)
        self._lanes: dict[str, Lane[Waiter]] = {}
        self._in_lanes = 0  # of those in flight
        self._attribution: Attribution | None = None
        self._order = 0
        self._requests = TokenBucket()
        self._bytes = TokenBucket()
        self._at_once = 0  # slots that can be had without asking for the time, or by name
        self._refresh()

    def limit(self, caps: Caps) -> None:
        """Take other caps. Some who wait may have a slot now."""
        self.caps = caps
        for lane in self._all():
            lane.congestion.limit(caps.concurrency)
        self._refresh()

    def _refresh(self) -> None:
        self._requests.rate = self.caps.requests_per_second
        self._bytes.rate = self.caps.bytes_per_second
        self._common.keep_to_its_rate()
        self.by_prefix = bool(self._lanes) or self._attribution is not None
        metered = min(self._requests.rate, self._bytes.rate, self._common.bucket.rate) < math.inf
        self._at_once = 0 if metered or self.by_prefix else self.congestion.window

    def _all(self) -> list[Lane[Waiter]]:
        return [self._common, *self._lanes.values()]

    @property
    def window(self) -> int:
        """The number of requests that may be in flight, where no prefix has a lane of its own."""
        return self.congestion.window

    @property
    def callers(self) -> int:
        """How many callers at once keep the store busy: who is in a lane keeps nobody else from calling."""
        if not self._lanes:
            return self.congestion.window
        return self.congestion.window + self._in_lanes + self.waiting - len(self._common.waiting)

    @property
    def lanes(self) -> dict[str, float]:
        """The prefixes that are held to a rate of their own, with that rate, in requests a second."""
        return {name: lane.congestion.requests_per_second for name, lane in self._lanes.items()}

    @property
    def slowest(self) -> str:
        """The prefix for whose own rate most requests wait; empty where more, or none, wait for what all share."""
        lane = max(self._all(), key=lambda each: len(each.waiting))
        return lane.name

    def enter(self) -> bool:
        """Take a slot if one is free and no rate is kept to. Nobody overtakes."""
        if self.in_flight < self._at_once and not self.waiting:
            self.in_flight += 1
            return True
        return False

    def queue(self, waiter: Waiter, payload_bytes: int = 0, name: str = "") -> None:
        """Wait for the slot that ``admit`` will hand over. The payload is what passes through the client."""
        self._order += 1
        self.waiting += 1
        self._lanes.get(name, self._common).waiting.append(Waiting(self._order, waiter, payload_bytes, name))

    def admit(self, now: float) -> Waiter | None:
        """Hand a slot to who has waited longest of those that may go, and return who that is; None if nobody may.

        ``admitted_to`` is then the lane to give the slot back to.
        """
        if not self.waiting or self.in_flight >= self.caps.concurrency or self._requests.ready_at() > now:
            return None
        found: Lane[Waiter] | None = None
        for lane in self._all() if self._lanes else (self._common,):
            if lane.waiting and (found is None or lane.waiting[0] < found.waiting[0]) and self._ready_at(lane) <= now:
                found = lane
        if found is None:
            return None
        first = found.waiting.popleft()
        self.waiting -= 1
        self._requests.take(now, 1)
        found.bucket.take(now, 1)
        if first.payload_bytes:
            self._bytes.take(now, first.payload_bytes)
        self.in_flight += 1
        self.admitted_to = None
        if found is not self._common:
            self.admitted_to = found
            found.in_flight += 1
            found.used_at = now
            self._in_lanes += 1
        return first.waiter

    def _ready_at(self, lane: Lane[Waiter]) -> float:
        """Return when the rates let the first of a lane pass; infinite where only a slot that is given back helps."""
        in_flight = self.in_flight - self._in_lanes if lane is self._common else lane.in_flight
        if in_flight >= lane.congestion.window:
            return math.inf
        ready = lane.bucket.ready_at() if lane.bucket.rate < math.inf else -math.inf
        if lane.waiting[0].payload_bytes and self._bytes.rate < math.inf:
            ready = max(ready, self._bytes.ready_at())
        return ready

    def ready_at(self) -> float:
        """Return the time from which the rates let the next one pass; the past where that is not what is waited for."""
        ready = min((self._ready_at(lane) for lane in self._all() if lane.waiting), default=math.inf)
        return max(ready, self._requests.ready_at()) if ready < math.inf else -math.inf

    def leave(self, lane: Lane[Waiter] | None = None) -> None:
        """Give a slot back, to the lane that it is of; then somebody may be admitted."""
        self.in_flight -= 1
        if lane is not None:
            lane.in_flight -= 1
            self._in_lanes -= 1

    def correct(self, now: float, payload_bytes: int) -> None:
        """Say that so many more bytes passed than were expected (fewer, if negative)."""
        self._bytes.take(now, payload_bytes)

    def forget(self, waiter: Waiter) -> None:
        """Stop waiting, if it still does."""
        for lane in self._all():
            with suppress(StopIteration):
                lane.waiting.remove(next(entry for entry in lane.waiting if entry.waiter is waiter))
                self.waiting -= 1

    # -- what became of attempts

    def replied(self, now: float, latency_seconds: float) -> None:
        """Note a reply, whatever it says, while requests are not told apart ``by_prefix``."""
        if self.congestion.replied(now, latency_seconds):
            self.decided(now)

    def replied_below(self, name: str, now: float, latency_seconds: float) -> None:
        """Note a reply while requests are told apart."""
        if (lane := self._lanes.get(name)) is not None:
            if lane.congestion.replied(now, latency_seconds):
                lane.keep_to_its_rate()
            return
        if self._attribution is not None:
            self._attribution.replied(name)
        self.replied(now, latency_seconds)

    def refused(self, now: float, name: str = "") -> None:
        """Note that a reply said "slow down"."""
        if (lane := self._lanes.get(name)) is not None:
            if lane.congestion.refused(now):
                lane.keep_to_its_rate()
            return
        if name:
            if self._attribution is None:
                self._attribution = Attribution()
                self._refresh()
            self._attribution.refused(name)
        if self.congestion.refused(now):
            self.decided(now)

    def faulted(self, now: float, name: str = "") -> None:
        """Note a request without a reply, or an error of the server."""
        lane = self._lanes.get(name, self._common)
        if lane.congestion.faulted(now):
            if lane is self._common:
                self.decided(now)
            else:
                lane.keep_to_its_rate()

    def decided(self, now: float) -> None:
        """Go by what ``congestion`` has decided; open lanes for who is refused more than the others."""
        if self._lanes:
            self._close_idle_lanes(now)
        if self._attribution is not None:
            counted, self._attribution = self._attribution, Attribution() if self._attribution.refusals else None
            while len(self._lanes) < MOST_LANES and (name := counted.outstanding()):
                self._open_lane(name, counted.take_out(name), now)
        self._refresh()

    def paces(self, name: str) -> bool:
        """Whether what is refused below a prefix need not wait long before it queues again."""
        return self._lanes.get(name, self._common).congestion.paces

    # -- lanes

    def _open_lane(self, name: str, part: float, now: float) -> None:
        """Give a prefix a lane: the common one has been held back for it."""
        lane: Lane[Waiter] = Lane(name, self.congestion.part_off(part, now), now)
        self._lanes[name] = lane
        waiting = list(self._common.waiting)
        lane.waiting.extend(entry for entry in waiting if entry.name == name)
        self._common.waiting.clear()
        self._common.waiting.extend(entry for entry in waiting if entry.name != name)

    def _close_idle_lanes(self, now: float) -> None:
        idle = [
            name
            for name, lane in self._lanes.items()
            if now - lane.used_at > IDLE_SECONDS and not lane.waiting and not lane.in_flight
        ]
        for name in idle:
            del self._lanes[name]

    def pressure(self, now: float) -> Pressure:
        """Say what holds requests back at this moment."""
        if self.in_flight >= FULL * self.caps.concurrency:
            return Pressure.CEILING
        if self.in_flight - self._in_lanes >= FULL * self.congestion.window:
            return Pressure.WINDOW
        waiting = [lane for lane in self._all() if lane.waiting]
        if not waiting:
            return Pressure.NOTHING
        if any(lane.waiting[0].payload_bytes for lane in waiting) and self._bytes.ready_at() > now:
            return Pressure.BANDWIDTH_CAP
        paced = any(lane.congestion.requests_per_second < self.caps.requests_per_second for lane in waiting)
        if paced:
            return Pressure.REFUSALS
        return Pressure.RATE_CAP if self.caps.requests_per_second < math.inf else Pressure.WINDOW
