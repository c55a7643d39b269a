"""The lister in a process of its own."""

from __future__ import annotations

import contextlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.processes import PYTHON, PYTHON_ENVIRON, child_environ
from sketchmigrate.demo.process import LOOPBACK, ServerProcess, accepts_connections, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class RunningLister:
    """Where a lister answers, and its process."""

    endpoint_url: str
    pid: int


@contextlib.contextmanager
def lister(count: int, *, latency_ms: int = 0) -> Iterator[RunningLister]:
    """Run a lister of so many objects for the length of the block."""
    port = free_port()
    command = [*PYTHON, "-m", "benchmarks.servers.lister", str(port), str(count), str(latency_ms)]
    with tempfile.TemporaryDirectory(prefix="sketch-bench-") as home:
        environ = {**child_environ(), **PYTHON_ENVIRON}
        process = ServerProcess("the lister", command, log_path=Path(home) / "log", environ=environ)
        try:
            process.start(lambda: accepts_connections(port))
            yield RunningLister(f"http://{LOOPBACK}:{port}", process.pid)
        finally:
            process.stop()
