"""What a person allows at most. Plain values: a share of them can be handed to each process of a larger run."""

from __future__ import annotations

import math
import resource
from dataclasses import dataclass

FILES_BESIDES = 128
"""Files that a run has open besides its connections to the store: the database, ledger, log, libraries."""


@dataclass(frozen=True, slots=True)
class Caps:
    """Requests in flight, requests a second, and bytes a second of bodies that pass through the client."""

    concurrency: int = 1024
    requests_per_second: float = math.inf
    bytes_per_second: float = math.inf

    def share(self, parts: int) -> Caps:
        """Return what each of so many processes may do; at least one request at a time."""
        return Caps(max(1, self.concurrency // parts), self.requests_per_second / parts, self.bytes_per_second / parts)


def room_for_connections(wanted: int) -> int:
    """Return how many connections may be open, up to what is wanted; raises this process's limit of files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + FILES_BESIDES
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        return max(1, min(wanted, soft - FILES_BESIDES))
    return wanted
