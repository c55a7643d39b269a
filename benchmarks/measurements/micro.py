"""The micro-benchmarks of ``benchmarks/micro``, by pytest-benchmark in a process of its own."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import PYTHON, PYTHON_ENVIRON, ROOT, measured, succeeded

FOLDER = ROOT / "benchmarks" / "micro"


@dataclass(frozen=True, slots=True)
class Micro:
    """One micro-benchmark: the median CPU time of one operation, and the least, in microseconds."""

    name: str
    median_us: float
    least_us: float


def measure_micro() -> list[Micro]:
    """Run all of them. Raises ``CommandFailed``."""
    with tempfile.TemporaryDirectory(prefix="sketch-bench-") as home:
        found = Path(home) / "found.json"
        options = ("-c", FOLDER / "pytest.ini", "-p", "no:cacheprovider", "-q", f"--benchmark-json={found}")
        command = [*PYTHON, "-m", "pytest", *options, FOLDER]
        succeeded(measured(command, environ=PYTHON_ENVIRON, cwd=ROOT), "pytest-benchmark")
        benchmarks = json.loads(found.read_text())["benchmarks"]
    return [_micro(each["extra_info"], each["stats"]) for each in benchmarks]


def _micro(extra: dict[str, object], stats: dict[str, float]) -> Micro:
    """Return one of them, per operation: each says in ``extra_info`` what it is, and how many one round does."""
    operations = int(str(extra["operations"]))
    return Micro(str(extra["what"]), stats["median"] / operations * 1e6, stats["min"] / operations * 1e6)
