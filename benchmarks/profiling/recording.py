"""Record a run of the tool with py-spy, on the responder, and write the page about it."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.contestants import tool
from benchmarks.contestants.contest import Site
from benchmarks.measurements.cost import measure_cost
from benchmarks.processes import measured, succeeded
from benchmarks.profiling.stages import read_stages
from benchmarks.report.tables import table as markdown
from benchmarks.servers.responding import responding_store

if TYPE_CHECKING:
    from benchmarks.profiling.stages import Stage
    from benchmarks.servers.table import Table

_EXPLANATION = """\
A sample counts for the innermost frame that belongs to a stage (`benchmarks/profiling/stages.py`): what uvloop, OpenSSL
or the kernel do on a stage's behalf is in that stage. A thread that waits, for an fsync or a reply, has no samples. The
start costs the same for a table of any size."""

SAMPLES_PER_SECOND = 500
FLAGS = ("-yw",)
_SHOWN = 4


def profile(table: Table, rows: int, command: str) -> str:
    """Migrate a table twice, once undisturbed for the CPU time and once watched; return the page in Markdown."""
    with responding_store() as store:
        cost = measure_cost(store, table, rows, FLAGS)
        table.fill(rows)
        with tempfile.TemporaryDirectory(prefix="sketch-bench-") as name:
            home = Path(name)
            site = Site(store, table, rows, home)
            spy = (
                "py-spy",
                "record",
                "--format",
                "raw",
                "--rate",
                str(SAMPLES_PER_SECOND),
                "--output",
                home / "stacks",
            )
            watched = [*spy, "--", sys.executable, tool.SCRIPT, "--json", *FLAGS]
            succeeded(measured(watched, environ=tool.environ(site), cwd=home), "py-spy")
            stages = read_stages((home / "stacks").read_text().splitlines())
    return page(stages, rows, cost.cpu_us_per_row, command)


def page(stages: list[Stage], rows: int, cpu_us_per_row: float, command: str) -> str:
    """Write the page."""
    samples = sum(stage.samples for stage in stages)
    lines = (
        (
            stage.name,
            f"{100 * stage.samples / samples:.1f} %",
            f"{cpu_us_per_row * stage.samples / samples:.1f}",
            ", ".join(f"`{name}` {100 * count / samples:.1f}" for name, count in stage.functions.most_common(_SHOWN)),
        )
        for stage in stages
    )
    head = (
        f"`sketch_migrate.py {' '.join(FLAGS)}` over {rows:,} rows, on a responder that answers at once:"
        f" {cpu_us_per_row:.1f} µs of CPU a row, the start of Python included. Made by `{command}`, with"
        f" {samples:,} samples by py-spy."
    )
    table_of_stages = markdown(("stage", "share", "µs a row", "mostly, in % of it all"), lines)
    return f"# Where the time goes\n\n{head}\n\n{_EXPLANATION}\n\n{table_of_stages}\n"
