"""Plays a client with the real limiter against a server, event by event, on a clock that jumps. Seeded, exact."""

from __future__ import annotations

import heapq
import math
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

from benchmarks import trace
from sketchmigrate.core.errors import S3Busy
from sketchmigrate.flow.caps import Caps
from sketchmigrate.flow.congestion import Congestion
from sketchmigrate.flow.limiter import Limiter
from sketchmigrate.s3.retry import Failure, FailureKind, Patience

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.simulated_servers.servers import Server
    from sketchmigrate.flow.lane import Lane

SAMPLE_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Sample:
    """A quarter of a second that ended at ``at``: replies a second, and the state at its end.

    ``accepted_below`` counts by prefix.
    """

    at: float
    accepted_per_second: float
    refused_per_second: float
    latency_seconds: float
    window: int
    pace: float
    accepted_below: Counter[int] = field(default_factory=Counter)


class Trace(trace.Trace[Sample]):
    """A run, a quarter of a second after the other."""

    def accepted_per_second(self, begin: float, end: float = math.inf) -> float:
        """Return the mean rate of a span of time."""
        return self.mean("accepted_per_second", begin, end)

    def accepted_below(self, prefix: int, begin: float, end: float = math.inf) -> float:
        """Return the mean rate of one prefix."""
        samples = self.between(begin, end)
        return sum(sample.accepted_below[prefix] for sample in samples) / len(samples) / SAMPLE_SECONDS

    def refused_share(self, begin: float, end: float = math.inf) -> float:
        """Return the part of the replies that were refusals."""
        samples = self.between(begin, end)
        refused = sum(sample.refused_per_second for sample in samples)
        return refused / max(1.0, refused + sum(sample.accepted_per_second for sample in samples))


class _Fixed(Congestion):
    """The way without control: a number of connections that somebody chose."""

    def replied(self, now: float, latency_seconds: float) -> bool:
        del now, latency_seconds
        return False

    def refused(self, now: float) -> bool:
        del now
        return False


class Client:
    """Workers that send one request after the other, as many as the limiter's window and the pausing ones.

    ``fixed`` is a number of requests in flight instead of the control. ``references`` are the most that the iterations
    hold at once (-p times -b). With a ``batch`` of so many, those of one are all answered before another one takes its
    place, as in a run. ``prefix_of`` tells below which prefix the object of a number is.
    """

    def __init__(
        self,
        server: Server,
        *,
        caps: Caps | None = None,
        fixed: int = 0,
        references: int = 2000,
        batch: int = 0,
        prefix_of: Callable[[int], int] | None = None,
        seed: int = 1,
    ) -> None:
        self.now = 0.0
        self._server = server
        self.limiter: Limiter[int] = Limiter(caps or Caps(), 0.0)
        if fixed:
            self.limiter.congestion = _Fixed(fixed, 0.0)
            self.limiter.congestion.window = fixed
            self.limiter.limit(Caps(fixed))
            self.limiter.congestion.window = fixed
            self.limiter._refresh()  # noqa: SLF001 - no other client fixes it
        self._chance = Random(seed)  # noqa: S311 - no secret hangs on it
        self.references = references
        self._batch = batch
        self._unanswered: Counter[int] = Counter()  # by batch, of those that have begun
        self._prefix_of = prefix_of
        self._accepted_below: Counter[int] = Counter()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = 0
        self._number = 0
        self._workers = self._pausing = 0
        self._patience: dict[int, Patience] = {}
        self._timer_at = math.inf
        self._trace = Trace()
        self._accepted = self._refused = 0
        self._latency_seconds = 0.0

    def run(self, seconds: float) -> Trace:
        """Play so many seconds more, and return the trace of all until then."""
        end = self.now + seconds
        if not self._trace.samples:
            self._at(self.now + SAMPLE_SECONDS, self._sample)
        self._work()
        while self._events and self._events[0][0] <= end:
            self.now, _, action = heapq.heappop(self._events)
            action()
        self.now = end
        return self._trace

    def _at(self, time: float, action: Callable[[], None]) -> None:
        self._order += 1
        heapq.heappush(self._events, (time, self._order, action))

    def _work(self) -> None:
        """Begin as many requests as there may be workers for."""
        while self._workers < min(self.limiter.callers + self._pausing, self.references) and self._may_begin():
            self._workers += 1
            self._ask(self._next())

    def _may_begin(self) -> bool:
        """Whether the next one is of a batch that is under way, or there is room for another batch."""
        is_first = self._batch and self._number % self._batch == 0
        return not is_first or len(self._unanswered) < self.references // self._batch

    def _next(self) -> int:
        if self._batch and self._number % self._batch == 0:
            self._unanswered[self._number // self._batch] = self._batch
        self._number += 1
        return self._number

    def _answered(self, number: int) -> None:
        if self._prefix_of is not None:
            self._accepted_below[self._prefix_of(number)] += 1
        if self._batch:
            batch = (number - 1) // self._batch
            self._unanswered[batch] -= 1
            if not self._unanswered[batch]:
                del self._unanswered[batch]

    def _name(self, number: int) -> str:
        return "" if self._prefix_of is None else f"{self._prefix_of(number)}/"

    def _ask(self, number: int) -> None:
        if self.limiter.enter():
            self._send(number, None)
        else:
            self.limiter.queue(number, 0, self._name(number) if self.limiter.by_prefix else "")
            self._hand_over()

    def _hand_over(self) -> None:
        while (number := self.limiter.admit(self.now)) is not None:
            self._send(number, self.limiter.admitted_to)
        ready_at = self.limiter.ready_at()
        if self.limiter.waiting and self.now < ready_at and not self.now < self._timer_at <= ready_at:
            self._timer_at = ready_at
            self._at(ready_at, self._hand_over)

    def _send(self, number: int, lane: Lane[int] | None) -> None:
        answer = self._server.answer(self.now, number)
        began = self.now

        def receive() -> None:
            self.limiter.leave(lane)
            self._receive(number, answer.at - began, refused=answer.refused)

        self._at(answer.at, receive)

    def _receive(self, number: int, latency_seconds: float, *, refused: bool) -> None:
        if self.limiter.by_prefix:
            self.limiter.replied_below(self._name(number), self.now, latency_seconds)
        else:
            self.limiter.replied(self.now, latency_seconds)
        if refused:
            self._refused += 1
            self.limiter.refused(self.now, self._name(number))
            self._pause(number)
        else:
            self._accepted += 1
            self._answered(number)
            self._latency_seconds += latency_seconds
            self._patience.pop(number, None)
            self._workers -= 1
        self._work()
        self._hand_over()

    def _pause(self, number: int) -> None:
        patience = self._patience.setdefault(number, Patience(300.0))
        failure = Failure(FailureKind.THROTTLED, S3Busy("slow down"))
        self._pausing += 1

        def again() -> None:
            self._pausing -= 1
            self._ask(number)

        is_paced = self.limiter.paces(self._name(number))
        pause_seconds = patience.pause_seconds(failure, self.now, self.now, self._chance.random, is_paced=is_paced)
        self._at(self.now + max(0.0, pause_seconds), again)

    def _sample(self) -> None:
        latency_seconds = self._latency_seconds / self._accepted if self._accepted else 0.0
        per_second = 1 / SAMPLE_SECONDS
        self._trace.samples.append(
            Sample(
                self.now,
                self._accepted * per_second,
                self._refused * per_second,
                latency_seconds,
                self.limiter.window,
                self.limiter.congestion.requests_per_second,
                self._accepted_below,
            )
        )
        self._accepted_below = Counter()
        self._accepted = self._refused = 0
        self._latency_seconds = 0.0
        self._at(self.now + SAMPLE_SECONDS, self._sample)
