"""What it costs that others are told of a run: with metrics, which somebody scrapes, and events; and without."""

from __future__ import annotations

import socket
import threading
import urllib.error
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING

from benchmarks.measurements.cost import cost_of_run
from benchmarks.measurements.paired import Paired, run_pair
from benchmarks.processes import CommandFailed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.contestants.contest import Site
    from benchmarks.measurements.cost import Cost
    from benchmarks.servers.responding import RespondingStore
    from benchmarks.servers.table import Table

FLAGS = ("-yw",)
SCRAPED_EVERY_SECONDS = 1.0
"""Oftener than is usual."""


def measure_observed(store: RespondingStore, table: Table, rows: int, pair: int) -> Iterator[Paired]:
    """Migrate a table and tell others, and tell nobody. Raises ``CommandFailed``, also where nothing was told."""

    def run(site: Site, is_bare: bool) -> Cost:
        if is_bare:
            return cost_of_run(site, store, *FLAGS)
        port, file, events = _free_port(), site.home / "run.prom", site.home / "events"
        flags = ("--metrics", str(port), "--metrics-file", str(file), "--events", str(events))
        with _scraping(port):
            cost = cost_of_run(site, store, *FLAGS, *flags)
        if not (file.exists() and '"finished"' in events.read_text()):
            raise CommandFailed("the tool told nothing")
        return cost

    return run_pair(store, table, rows, pair, run)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


@contextmanager
def _scraping(port: int) -> Iterator[None]:
    """Ask for the metrics as a scraper does, as long as the context lasts."""
    over = threading.Event()

    def scrape() -> None:
        while not over.wait(SCRAPED_EVERY_SECONDS):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as reply:
                    reply.read()
            except (urllib.error.URLError, OSError):  # not there yet, or not any more
                continue

    scraper = threading.Thread(target=scrape, daemon=True)
    scraper.start()
    try:
        yield
    finally:
        over.set()
        scraper.join()
