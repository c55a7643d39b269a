"""What ``verify`` and ``status`` take at scale: time, the memory of all their processes, and disk in RUN_DIR."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.servers.stores import StoreServer

from benchmarks import objects
from benchmarks.contestants import tool
from benchmarks.contestants.contest import Site
from benchmarks.processes import CommandFailed, family_cpu_seconds, succeeded
from benchmarks.servers.listing import lister
from benchmarks.servers.stores import BenchStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.servers.table import Table

WATCHED_EVERY_SECONDS = 0.25
TIMEOUT_SECONDS = 1200

VERIFY, STATUS = "verify", "status"


@dataclass(frozen=True, slots=True)
class Look:
    """One run of a command. ``objects`` are those of each side.

    ``peak_kib`` is that of the largest process, ``memory_bytes`` that of all processes together (PSS, which counts
    shared pages once), ``disk_bytes`` that of RUN_DIR. These two are looked at several times a second.
    """

    command: str
    rows: int
    objects: int
    seconds: float
    cpu_seconds: float
    peak_kib: int
    memory_bytes: int
    disk_bytes: int
    database_cpu_seconds: float
    lister_cpu_seconds: float


def measure_looks(table: Table, rows: int) -> Iterator[Look]:
    """Verify so many references that are all in production, and count them beside half as many objects a side."""
    table.fill(rows, first=0, prefix=objects.PRODUCTION_PREFIX)
    yield measure_look(table, VERIFY, rows, rows)
    yield measure_look(table, STATUS, rows, rows // 2)


def measure_look(table: Table, command: str, rows: int, count: int) -> Look:
    """Run a command over so many rows, which are in the table, and objects. Raises ``CommandFailed``.

    Also where it does not find them all.
    """
    with lister(count) as listing, tempfile.TemporaryDirectory(prefix="sketch-bench-") as home:
        server = StoreServer("lister", listing.endpoint_url, "any", "any")
        site = Site(BenchStore(server, "sketch-production-s3"), table, rows, Path(home))
        database_before, lister_before = table.server_cpu_seconds(), family_cpu_seconds(listing.pid)
        with _watched(site.home) as peaks:
            usage = tool.run(site, command=(command,), more={"SKETCH_REPORT": "yes"}, timeout_seconds=TIMEOUT_SECONDS)
        usage = succeeded(usage, command)
        _check(command, json.loads(usage.out), rows, count)
        return Look(
            command=command,
            rows=rows,
            objects=count,
            seconds=usage.wall_seconds,
            cpu_seconds=usage.cpu_seconds,
            peak_kib=usage.peak_kib,
            memory_bytes=peaks.memory_bytes,
            disk_bytes=peaks.disk_bytes,
            database_cpu_seconds=table.server_cpu_seconds() - database_before,
            lister_cpu_seconds=family_cpu_seconds(listing.pid) - lister_before,
        )


def _check(command: str, found: dict[str, Any], rows: int, count: int) -> None:
    if command == VERIFY:
        told = found["rows"]["equal"], *(found["objects"][side]["total"] for side in ("legacy", "production"))
    else:
        told = found["status"]["total_rows"], *(found["status"][side]["objects"] for side in ("legacy", "production"))
    if told != (rows, count, count):
        raise CommandFailed(f"{command} found {told} instead of {(rows, count, count)}")


@dataclass(slots=True)
class _Peaks:
    memory_bytes: int = 0
    disk_bytes: int = 0


@contextlib.contextmanager
def _watched(home: Path) -> Iterator[_Peaks]:
    """Look at the processes that begin in the block, and at the runs in a folder, until it ends."""
    peaks, over = _Peaks(), threading.Event()
    others = _descendants(os.getpid())

    def watch() -> None:
        while not over.wait(WATCHED_EVERY_SECONDS):
            memory = sum(_pss_bytes(pid) for pid in _descendants(os.getpid()) - others)
            peaks.memory_bytes = max(peaks.memory_bytes, memory)
            peaks.disk_bytes = max(peaks.disk_bytes, _disk_bytes(home))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield peaks
    finally:
        over.set()
        watcher.join()


def _descendants(pid: int) -> set[int]:
    found: set[int] = set()
    new = {pid}
    while new:
        children: set[int] = set()
        for each in new:
            with contextlib.suppress(OSError):  # it has ended meanwhile
                for task in Path(f"/proc/{each}/task").iterdir():
                    with contextlib.suppress(OSError):
                        children |= {int(child) for child in (task / "children").read_text().split()}
        new = children - found
        found |= new
    return found


def _pss_bytes(pid: int) -> int:
    """Return a process's memory, of shared pages its part (proc(5), ``smaps_rollup``)."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def _disk_bytes(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            total += path.stat().st_blocks * 512
    return total
