"""What listing costs beside boto3, and what it gains by ranges behind a latency."""

from __future__ import annotations

import contextlib
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.processes import PYTHON, PYTHON_ENVIRON, CommandFailed, child_environ, measured, succeeded
from sketchmigrate.demo.process import LOOPBACK, ServerProcess, accepts_connections, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    with _lister(0) as endpoint_url:
        ours, theirs = _listed("ranges", endpoint_url), _listed("boto3", endpoint_url)
    with _lister(LATENCY_MS) as endpoint_url:
        one, eight = _listed("serial", endpoint_url), _listed("ranges", endpoint_url)
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


@contextlib.contextmanager
def _lister(latency_ms: int) -> Iterator[str]:
    port = free_port()
    command = [*PYTHON, "-m", "benchmarks.servers.lister", str(port), str(KEYS), str(latency_ms)]
    with tempfile.TemporaryDirectory(prefix="sketch-bench-") as home:
        environ = {**child_environ(), **PYTHON_ENVIRON}
        process = ServerProcess("the lister", command, log_path=Path(home) / "log", environ=environ)
        try:
            process.start(lambda: accepts_connections(port))
            yield f"http://{LOOPBACK}:{port}"
        finally:
            process.stop()
