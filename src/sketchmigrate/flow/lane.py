"""Requests that are held to a window and a rate of their own: all of them, or those of one prefix. Pure."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from sketchmigrate.flow.token_bucket import TokenBucket

if TYPE_CHECKING:
    from sketchmigrate.flow.congestion import Congestion

Waiter = TypeVar("Waiter")


class Waiting(NamedTuple, Generic[Waiter]):
    """Who waits, the place in the order of all, what passes through the client, and the name."""

    order: int
    waiter: Waiter
    payload_bytes: int
    name: str


class Lane(Generic[Waiter]):
    """``in_flight`` of the first lane is not kept here: the limiter knows it, as most requests ask for nothing else."""

    def __init__(self, name: str, congestion: Congestion, now: float) -> None:
        self.name = name
        self.congestion = congestion
        self.in_flight = 0
        self.waiting: deque[Waiting[Waiter]] = deque()
        self.bucket = TokenBucket(congestion.requests_per_second)
        self.used_at = now

    def keep_to_its_rate(self) -> None:
        """Take over a rate that the congestion control has changed."""
        self.bucket.rate = self.congestion.requests_per_second
