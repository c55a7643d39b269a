"""How fast this machine is: a bare loop of Python, before anything is measured.

Targets in microseconds, seconds, megabytes or rows a second hold where this loop takes what it took where they were
set, within a tenth; elsewhere figures are shown, and not judged.
"""

from __future__ import annotations

import subprocess
import sys
import time
from statistics import median

PROCESSES = 7
"""One in three takes half as long again as the others, all its life, wherever the interpreter has come to lie."""

ROUNDS = 9
TURNS = 200_000

RECORDED_NS = 28.5
"""What a turn of the loop took on the machine of the targets: 2 cores of an AMD EPYC, Debian's Python 3.11."""

LIKENESS = 0.1


def bare_loop_ns() -> float:
    """Return the CPU time of one turn of the loop, in nanoseconds, in the fastest of some processes."""
    command = (sys.executable, "-P", "-m", __name__)
    return min(float(subprocess.check_output(command, text=True)) for _ in range(PROCESSES))


def is_alike(loop_ns: float) -> bool:
    """Whether a machine whose loop takes this long is as fast as the one on which the targets were set."""
    return abs(loop_ns / RECORDED_NS - 1) <= LIKENESS


def _round_ns() -> float:
    count = 0
    began = time.process_time_ns()
    for number in range(TURNS):
        count += number & 1
    return (time.process_time_ns() - began) / TURNS


if __name__ == "__main__":
    print(median(_round_ns() for _ in range(ROUNDS)))
