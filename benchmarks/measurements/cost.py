"""What a migrated row costs the client, measured on a store that costs nothing: CPU, requests, bytes, memory."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.contestants import tool
from benchmarks.contestants.contest import Site
from benchmarks.processes import ROOT, succeeded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.servers.responding import RespondingStore
    from benchmarks.servers.table import Table


@dataclass(frozen=True, slots=True)
class Cost:
    """One run of the tool on the responder. ``server_share`` is the part of a core that the responder used.

    ``ledger_bytes`` is what the files of its ledger have after it has ended.
    """

    how: str
    tls: bool
    rows: int
    seconds: float
    cpu_seconds: float
    peak_kib: int
    requests: Mapping[str, int]
    received_bytes: int
    server_share: float
    ledger_bytes: int

    @property
    def cpu_us_per_row(self) -> float:
        """CPU time of the tool's process for each row, its start and end included, in microseconds."""
        return self.cpu_seconds / self.rows * 1e6

    @property
    def requests_per_object(self) -> float:
        """Requests of every kind for each object, those of the preflight included."""
        return sum(self.requests.values()) / self.rows

    @property
    def ledger_bytes_per_row(self) -> float:
        """Bytes on disk for each row; its paths have 24 and 25 characters."""
        return self.ledger_bytes / self.rows


def measure_cost(store: RespondingStore, table: Table, rows: int, flags: tuple[str, ...], *, tree: Path = ROOT) -> Cost:
    """Migrate a table once, with the tool of this checkout or another. Raises ``CommandFailed``."""
    table.fill(rows)
    with tempfile.TemporaryDirectory(prefix="sketch-bench-") as home:
        return cost_of_run(Site(store, table, rows, Path(home)), store, *flags, tree=tree)


def cost_of_run(
    site: Site, store: RespondingStore, *flags: str, tree: Path = ROOT, more: Mapping[str, str] | None = None
) -> Cost:
    """Migrate a full table, with more settings if need be. Raises ``CommandFailed``."""
    store.counted()
    usage = succeeded(tool.run(site, *flags, tree=tree, more=more), "the tool")
    counted = store.counted()
    return Cost(
        how=" ".join(flags),
        tls=bool(store.ca_bundle),
        rows=site.rows,
        seconds=usage.wall_seconds,
        cpu_seconds=usage.cpu_seconds,
        peak_kib=usage.peak_kib,
        requests=counted.requests,
        received_bytes=counted.received_bytes,
        server_share=counted.cpu_seconds / usage.wall_seconds,
        ledger_bytes=sum(file.stat().st_size for file in site.home.glob("runs/*/ledger*.sqlite*")),
    )
