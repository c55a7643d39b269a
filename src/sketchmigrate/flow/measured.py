"""What the requests of one span of time were like: the only thing that the congestion control looks at."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measured:
    """A span that ended at ``now``. ``refused`` are those of the replies that said "slow down".

    ``accepted_lately_per_second`` is the rate of useful replies over a second or more, however short the span was.
    ``faults`` are requests without a reply (time-outs, broken connections) and server errors.
    """

    now: float
    seconds: float
    replies: int
    refused: int
    faults: int
    latency_seconds: float
    accepted_lately_per_second: float

    @property
    def accepted_per_second(self) -> float:
        """The rate of useful replies."""
        return (self.replies - self.refused) / self.seconds

    @property
    def refused_share(self) -> float:
        """Refusals among the replies."""
        return self.refused / self.replies if self.replies else 0.0

    @property
    def in_flight(self) -> float:
        """Requests that were under way on average (Little's law)."""
        return self.replies * self.latency_seconds / self.seconds
