"""What went over the wire to the stores: replies counted by operation, status and time. Values add up over workers.

``Counted`` counts in one process, on the way of each request, so it does as little as can be done.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from sketchmigrate.core.sample import LATENCY_BOUNDS_MS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NO_REPLY = "none"
"""The status of a request that got no reply."""

_BOUNDS_SECONDS = tuple(bound / 1_000 for bound in LATENCY_BOUNDS_MS)
_CLASSES = len(LATENCY_BOUNDS_MS) + 1


@dataclass(frozen=True, slots=True)
class Traffic:
    """All of it so far, as in ``core.sample.Sample``; ``in_flight`` and ``window`` are those of the moment."""

    replies: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    latency: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    in_flight: int = 0
    window: int = 0
    stored_bytes: int = 0

    def __add__(self, other: Traffic) -> Traffic:
        """Return the sum, also of what is there at the moment."""
        replies = {operation: dict(counts) for operation, counts in self.replies.items()}
        for operation, counts in other.replies.items():
            of_both = replies.setdefault(operation, {})
            for status, count in counts.items():
                of_both[status] = of_both.get(status, 0) + count
        latency = dict(self.latency)
        for operation, classes in other.latency.items():
            before = latency.get(operation)
            latency[operation] = classes if before is None else _both(before, classes)
        return Traffic(
            replies,
            latency,
            self.in_flight + other.in_flight,
            self.window + other.window,
            self.stored_bytes + other.stored_bytes,
        )

    @property
    def requests(self) -> int:
        """How many requests there were, those without a reply included."""
        return sum(sum(counts.values()) for counts in self.replies.values())

    @property
    def at_rest(self) -> Traffic:
        """What stays of who has gone: nothing is in flight there any more."""
        return Traffic(self.replies, self.latency, 0, 0, self.stored_bytes)


def _both(one: Sequence[int], other: Sequence[int]) -> tuple[int, ...]:
    return tuple(map(sum, zip(one, other, strict=True)))


class Counted:
    """Counts the replies of one store in this process."""

    __slots__ = ("_classes", "_no_reply")

    def __init__(self) -> None:
        self._classes: dict[tuple[str, int], list[int]] = {}
        self._no_reply: Counter[str] = Counter()

    def reply(self, operation: str, status: int, seconds: float) -> None:
        """Count a reply by its status, in the class of its time."""
        try:
            classes = self._classes[operation, status]
        except KeyError:
            classes = self._classes[operation, status] = [0] * _CLASSES
        classes[bisect_left(_BOUNDS_SECONDS, seconds)] += 1

    def no_reply(self, operation: str) -> None:
        """Count a request that got no reply."""
        self._no_reply[operation] += 1

    def traffic(self, in_flight: int, window: int, stored_bytes: int) -> Traffic:
        """Return the counts of this moment, with what else there is to say of it."""
        replies: dict[str, dict[str, int]] = {}
        latency: dict[str, tuple[int, ...]] = {}
        for (operation, status), classes in self._classes.items():
            replies.setdefault(operation, {})[str(status)] = sum(classes)
            before = latency.get(operation)
            latency[operation] = tuple(classes) if before is None else _both(before, classes)
        for operation, count in self._no_reply.items():
            replies.setdefault(operation, {})[NO_REPLY] = count
        return Traffic(replies, latency, in_flight, window, stored_bytes)


@dataclass(frozen=True, slots=True)
class Told:
    """What a worker tells of its traffic. ``life`` is another one each time that its counts begin anew."""

    worker: str
    life: str
    traffic: Traffic


class Crew:
    """The traffic of all workers, whatever became of them: counts never get less."""

    def __init__(self) -> None:
        self._lives: dict[str, Told] = {}

    def hear(self, told: Told) -> None:
        """Take over what a worker tells; what comes late, when more was told already, is passed over."""
        before = self._lives.get(told.life)
        if before is None:
            self.left(told.worker)
        elif told.traffic.requests < before.traffic.requests:
            return
        self._lives[told.life] = told

    def left(self, worker: str) -> None:
        """Take note that a worker has gone, or begins anew: its counts stay."""
        for life, told in self._lives.items():
            if told.worker == worker:
                self._lives[life] = replace(told, traffic=told.traffic.at_rest)

    @property
    def traffic(self) -> Traffic:
        """The sum."""
        return sum((told.traffic for told in self._lives.values()), Traffic())
