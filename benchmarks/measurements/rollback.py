"""What further processes gain on the way back, where the latency of a connection is the bound.

All that a rollback asks the store is a HEAD of each legacy object. It is as far away, and has as many connections, as
in ``scale``: so the two gains can be compared.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.contestants import tool
from benchmarks.contestants.contest import Site
from benchmarks.measurements.scale import LATENCY_MS, ONE, TWO, caps, shared
from benchmarks.processes import CommandFailed, succeeded
from benchmarks.servers.table import SINGLE_UPDATE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.measurements.scale import Shared, Way
    from benchmarks.servers.responding import RespondingStore
    from benchmarks.servers.table import Table


def measure_rollbacks(store: RespondingStore, table: Table, rows: int, number: int) -> Iterator[Shared]:
    """Migrate a table, and undo that in each way; which comes first changes with the ``number`` of the pair.

    Before each the rows are set to what the run's ledger says. Raises ``CommandFailed``, also where a row was not set
    back.
    """
    table.fill(rows)
    store.counted()  # forgets what was stored
    with tempfile.TemporaryDirectory(prefix="sketch-bench-") as name:
        site = Site(store, table, rows, Path(name))
        succeeded(tool.run(site, "-yw"), "the migration")
        run = tool.only_run(site.home)
        for way in (ONE, TWO) if number % 2 else (TWO, ONE):
            table.database.execute(SINGLE_UPDATE)
            table.database.execute("VACUUM ANALYZE avatars")
            yield _roll_back(replace(site, home=site.home / f"{way.workers}"), store, run, way)


def _roll_back(site: Site, store: RespondingStore, run: Path, way: Way) -> Shared:
    site.home.mkdir()
    store.counted()
    found = tool.run(site, "-y", *way.flags, command=("rollback", str(run)), more=caps(way))
    usage = succeeded(found, f"the rollback by {way.name}")
    if (back := site.table.legacy_rows()) != site.rows:
        raise CommandFailed(f"{way.name} set {back} of {site.rows} rows back", hint=usage.out[-2000:])
    return shared(way, site, store, usage, latency_ms=LATENCY_MS)
