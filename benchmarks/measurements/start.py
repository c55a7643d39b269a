"""What a start of the tool costs: what only prints, and a run that finds nothing to do.

All that a start imports is in a cache of Python's (``.pyc``) from the first round on, which is not counted.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.contestants import tool
from benchmarks.contestants.contest import Site
from benchmarks.processes import CommandFailed, measured, succeeded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.servers.stores import BenchStore
    from benchmarks.servers.table import Table

USAGE_ERROR = 2
PRINTING = {"-h": 0, "help": 0, "--version": 0, "no-such-command": USAGE_ERROR}
"""What only prints, and its exit code."""

EMPTY_RUN, PAGE = "migrate -y, an empty table", "the page about that run"


@dataclass(frozen=True, slots=True)
class Start:
    """The CPU time of one start, of all its processes. That of ``PAGE`` is what a run takes more that makes one."""

    what: str
    cpu_seconds: float


def measure_starts(store: BenchStore, table: Table) -> Iterator[Start]:
    """Start the tool in every way, one after the other. Raises ``CommandFailed``."""
    for word, exit_code in PRINTING.items():
        usage = measured([sys.executable, tool.SCRIPT, word], environ={})
        if usage.exit_code != exit_code:
            raise CommandFailed(f"{word} ended with {usage.exit_code}", hint=usage.err[-2000:])
        yield Start(word, usage.cpu_seconds)
    bare = _empty_run(store, table, page="no")
    yield Start(EMPTY_RUN, bare)
    yield Start(PAGE, _empty_run(store, table, page="yes") - bare)


def _empty_run(store: BenchStore, table: Table, *, page: str) -> float:
    with tempfile.TemporaryDirectory(prefix="sketch-bench-") as name:
        site = Site(store, table, 0, Path(name))
        usage = tool.run(site, "-y", command=("migrate",), more={"SKETCH_REPORT": page})
        succeeded(usage, "the run over an empty table")
        if (tool.only_run(site.home) / "report.html").exists() != (page == "yes"):
            raise CommandFailed("a page was made that was not asked for, or none that was")
    return usage.cpu_seconds
