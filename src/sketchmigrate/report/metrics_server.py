"""Where metrics are to be had: over HTTP, and as a file for the node exporter's textfile collector."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, start_http_server, write_to_textfile

from sketchmigrate.core.errors import MetricsRefused
from sketchmigrate.report.background import Background

if TYPE_CHECKING:
    from pathlib import Path
    from wsgiref.simple_server import WSGIServer

    from prometheus_client.registry import Collector

WRITTEN_EVERY_SECONDS = 5.0

LAST_SECONDS = 2.0
"""So long the end of a run waits for the file's disk."""

log = logging.getLogger(__name__)


def registry_of(collector: Collector) -> CollectorRegistry:
    """Return a registry with nothing else in it: what Python and the process come to is not shown."""
    registry = CollectorRegistry()
    registry.register(collector)
    return registry


def serve(registry: CollectorRegistry, host: str, port: int) -> WSGIServer:
    """Answer on a port, on threads of its own, until the process ends; port 0 is any that is free.

    Raises ``MetricsRefused``.
    """
    try:
        server, _ = start_http_server(port, host, registry)
    except (OSError, OverflowError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise MetricsRefused(
            f"--metrics: cannot listen on {host}:{port}: {reason}",
            hint="Give another port, or end what listens there; each run needs one of its own.",
        ) from error
    return server


class MetricsFile:
    """A file with the metrics, replaced as a whole, on a thread of its own.

    One that cannot be written is a warning, once.
    """

    def __init__(self, path: Path, registry: CollectorRegistry, now: float) -> None:
        self._path, self._registry = path, registry
        self._due = now
        self._has_complained = False
        self._background = Background("metrics-file", most=1)

    def look(self, now: float) -> None:
        """Write it if it is time (``now`` is monotonic)."""
        if now >= self._due:
            self._due = now + WRITTEN_EVERY_SECONDS
            self._background.do(self._write)

    def close(self) -> None:
        """Write it a last time."""
        self._background.do(self._write, wait_seconds=LAST_SECONDS)
        self._background.close(LAST_SECONDS)

    def _write(self) -> None:
        try:
            write_to_textfile(str(self._path), self._registry)
        except OSError as error:
            if not self._has_complained:
                self._has_complained = True
                reason = error.strerror or error
                log.warning("--metrics-file %s cannot be written: %s. The run goes on.", self._path, reason)
