"""What listing costs beside boto3, and what it gains by ranges behind a latency."""

from __future__ import annotations

import json
from dataclasses import dataclass

from benchmarks.processes import PYTHON, PYTHON_ENVIRON, CommandFailed, measured, succeeded
from benchmarks.servers.listing import lister

KEYS = 200_000
LATENCY_MS = 50


@dataclass(frozen=True, slots=True)
class Listing:
    """CPU time a key, ours and boto3's; keys a second behind a latency, page by page and in eight ranges at once."""

    cpu_us_per_key: float
    boto3_cpu_us_per_key: float
    latency_ms: int
    one_range_keys_per_second: float
    eight_ranges_keys_per_second: float

    @property
    def cpu_ratio(self) -> float:
        """How many times our CPU time boto3 takes."""
        return self.boto3_cpu_us_per_key / self.cpu_us_per_key

    @property
    def ranges_ratio(self) -> float:
        """How many times faster eight ranges are than one."""
        return self.eight_ranges_keys_per_second / self.one_range_keys_per_second


@dataclass(frozen=True, slots=True)
class _Listed:
    keys: int
    seconds: float
    cpu_seconds: float


def measure_listing() -> Listing:
    """List the same keys in each way. Raises ``CommandFailed``, also where one of them does not find all."""
    with lister(KEYS) as near:
        ours, theirs = _listed("ranges", near.endpoint_url), _listed("boto3", near.endpoint_url)
    with lister(KEYS, latency_ms=LATENCY_MS) as far:
        one, eight = _listed("serial", far.endpoint_url), _listed("ranges", far.endpoint_url)
    return Listing(
        cpu_us_per_key=ours.cpu_seconds / KEYS * 1e6,
        boto3_cpu_us_per_key=theirs.cpu_seconds / KEYS * 1e6,
        latency_ms=LATENCY_MS,
        one_range_keys_per_second=KEYS / one.seconds,
        eight_ranges_keys_per_second=KEYS / eight.seconds,
    )


def _listed(who: str, endpoint_url: str) -> _Listed:
    command = [*PYTHON, "-m", "benchmarks.contestants.listers", who, endpoint_url, KEYS]
    found = _Listed(**json.loads(succeeded(measured(command, environ=PYTHON_ENVIRON), f"listing by {who}").out))
    if found.keys != KEYS:
        raise CommandFailed(f"listing by {who} found {found.keys} of {KEYS} keys")
    return found
