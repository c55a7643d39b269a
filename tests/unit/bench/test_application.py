"""An application that writes meanwhile: what it is ordered, and the core that it and others are kept to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict

from benchmarks.application import PLAIN, Order
from benchmarks.processes import on_core


def test_an_order_is_read_as_it_was_written() -> None:
    order = Order("host=nowhere", 1_000, 1.5, PLAIN, core=1)
    assert Order.read(json.dumps(asdict(order))) == order


def test_what_is_started_meanwhile_has_one_core_and_what_comes_after_has_all() -> None:
    before = os.sched_getaffinity(0)
    core = max(before)
    with on_core(core):
        command = [sys.executable, "-I", "-S", "-c", "import os; print(*os.sched_getaffinity(0))"]
        assert subprocess.run(command, check=True, capture_output=True, text=True).stdout.split() == [str(core)]
    assert os.sched_getaffinity(0) == before
