"""Servers as arithmetic: told that a request arrives, they say when it is answered, and whether it is refused."""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

REFUSAL_SECONDS = 0.005


@dataclass(frozen=True, slots=True)
class Answer:
    """When the reply arrives, and whether it says "slow down"."""

    at: float
    refused: bool = False


class Server(Protocol):
    """A store. ``number`` counts requests from 0; time is in seconds."""

    def answer(self, now: float, number: int) -> Answer:
        """Take a request that arrives now."""
        ...


@dataclass(slots=True)
class Distant:
    """Answers each request after the same time, however many there are."""

    latency_seconds: float

    def answer(self, now: float, number: int) -> Answer:
        """Take a request that arrives now."""
        del number
        return Answer(now + self.latency_seconds)


@dataclass(slots=True)
class FixedCapacity:
    """Works on ``units`` requests at once, each for ``work_seconds``; the others wait in line."""

    units: int
    work_seconds: float
    latency_seconds: float = 0.0
    _free_at: list[float] = field(default_factory=list)

    def answer(self, now: float, number: int) -> Answer:
        """Take a request that arrives now."""
        del number
        begins = now
        if len(self._free_at) >= self.units:
            begins = max(now, heapq.heappop(self._free_at))
        heapq.heappush(self._free_at, begins + self.work_seconds)
        return Answer(begins + self.work_seconds + self.latency_seconds)


@dataclass(slots=True)
class Throttling:
    """Accepts ``per_second`` requests in each second of its clock, and refuses the others."""

    per_second: float
    latency_seconds: float
    _second: int = -1
    _accepted: int = 0

    def answer(self, now: float, number: int) -> Answer:
        """Take a request that arrives now."""
        del number
        if int(now) != self._second:
            self._second, self._accepted = int(now), 0
        if self._accepted >= self.per_second:
            return Answer(now + REFUSAL_SECONDS, refused=True)
        self._accepted += 1
        return Answer(now + self.latency_seconds)


@dataclass(slots=True)
class Partitions:
    """Has a token bucket for each prefix, whose rate doubles after it has refused for ``patience_seconds``."""

    per_second: float
    latency_seconds: float
    patience_seconds: float
    prefixes: int = 1
    burst_seconds: float = 0.1
    _tokens: dict[int, tuple[float, float]] = field(default_factory=dict)
    _rates: dict[int, float] = field(default_factory=dict)
    _hot_since: dict[int, float] = field(default_factory=dict)

    def limit(self) -> float:
        """Return the rate that all prefixes together accept now."""
        return sum(self._rates.get(prefix, self.per_second) for prefix in range(self.prefixes))

    def answer(self, now: float, number: int) -> Answer:
        """Take a request that arrives now."""
        prefix = number % self.prefixes
        rate = self._rates.setdefault(prefix, self.per_second)
        tokens, then = self._tokens.get(prefix, (rate * self.burst_seconds, now))
        tokens = min(tokens + (now - then) * rate, max(1.0, rate * self.burst_seconds))
        if tokens >= 1:
            self._tokens[prefix] = (tokens - 1, now)
            return Answer(now + self.latency_seconds)
        self._tokens[prefix] = (tokens, now)
        if now - self._hot_since.setdefault(prefix, now) > self.patience_seconds:
            self._rates[prefix] = 2 * rate
            del self._hot_since[prefix]
        return Answer(now + REFUSAL_SECONDS, refused=True)


@dataclass(slots=True)
class Noisy:
    """Adds to each answer of another server a time that varies widely: log-normal, with a long tail."""

    inner: Server
    chance: Random
    median_seconds: float
    sigma: float = 1.0

    def answer(self, now: float, number: int) -> Answer:
        """Take a request that arrives now."""
        answer = self.inner.answer(now, number)
        delay_seconds = self.chance.lognormvariate(math.log(self.median_seconds), self.sigma)
        return Answer(answer.at + delay_seconds, answer.refused)


@dataclass(slots=True)
class Moody:
    """Refuses a part of the requests whatever their number."""

    inner: Server
    chance: Random
    share: float

    def answer(self, now: float, number: int) -> Answer:
        """Take a request that arrives now."""
        if self.chance.random() < self.share:
            return Answer(now + REFUSAL_SECONDS, refused=True)
        return self.inner.answer(now, number)


@dataclass(slots=True)
class Stalling:
    """Answers nothing from one time to another; then all at once."""

    inner: Server
    begins: float
    ends: float

    def answer(self, now: float, number: int) -> Answer:
        """Take a request that arrives now."""
        answer = self.inner.answer(now, number)
        stalled = self.begins <= now < self.ends or self.begins <= answer.at < self.ends
        return Answer(max(answer.at, self.ends), answer.refused) if stalled else answer


@dataclass(slots=True)
class Refusing:
    """Refuses everything from one time to another: an outage behind a load balancer."""

    inner: Server
    begins: float
    ends: float

    def answer(self, now: float, number: int) -> Answer:
        """Take a request that arrives now."""
        if self.begins <= now < self.ends:
            return Answer(now + REFUSAL_SECONDS, refused=True)
        return self.inner.answer(now, number)


@dataclass(slots=True)
class Changing:
    """One server until a time, another one from then on."""

    before: Server
    after: Server
    at: float

    def answer(self, now: float, number: int) -> Answer:
        """Take a request that arrives now."""
        return (self.before if now < self.at else self.after).answer(now, number)


@dataclass(slots=True)
class Tides:
    """Adds to each answer of another server a time that changes every ``seconds``, over and over."""

    inner: Server
    latencies_seconds: tuple[float, ...]
    seconds: float

    def answer(self, now: float, number: int) -> Answer:
        """Take a request that arrives now."""
        answer = self.inner.answer(now, number)
        latency_seconds = self.latencies_seconds[int(now / self.seconds) % len(self.latencies_seconds)]
        return Answer(answer.at + latency_seconds, answer.refused)


@dataclass(slots=True)
class Prefixes:
    """A server for each prefix, which have nothing in common."""

    servers: Sequence[Server]
    prefix_of: Callable[[int], int]

    def answer(self, now: float, number: int) -> Answer:
        """Take a request that arrives now."""
        return self.servers[self.prefix_of(number)].answer(now, number)
