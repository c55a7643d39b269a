"""How worker processes of this machine come about: forked from a process that has imported all they need, and no more.

Imports are most of what the start of a process takes, 0.6 s of CPU. That process has neither an event loop nor threads
nor connections, which a fork would share. It ends with the last process that has to do with it.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from contextlib import contextmanager
from multiprocessing import forkserver, resource_tracker
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from multiprocessing.context import ForkServerContext

FOR_THE_COORDINATOR = frozenset({signal.SIGINT, signal.SIGTERM})
"""A terminal, or systemd, sends these to every process of the run."""

_IMPORTED = ["__main__", "sketchmigrate.cluster.range_worker", "sketchmigrate.cluster.comparing_worker"]


def context() -> ForkServerContext:
    """Return what makes such processes."""
    return multiprocessing.get_context("forkserver")


def begin_imports() -> None:
    """Have that process import what it needs from now on, unless it is there: it takes a while, so the sooner."""
    # where Python was told to ignore PYTHONPATH, it might find another copy of this package: each process looks itself
    context().set_forkserver_preload([] if sys.flags.ignore_environment else _IMPORTED)
    resource_tracker.ensure_running()  # or it is started within the block, and unblocks both signals when it is
    with signals_blocked(), _same_path():
        forkserver.ensure_running()


@contextmanager
def _same_path() -> Iterator[None]:
    """Let it find the package where this process has, also in a checkout: Python 3.11 does not tell it."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


@contextmanager
def signals_blocked() -> Iterator[None]:
    """Block the coordinator's signals: a process made meanwhile begins with them blocked, see ``take_over``."""
    mask_before = signal.pthread_sigmask(signal.SIG_BLOCK, FOR_THE_COORDINATOR)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask_before)


def take_over(environ: Mapping[str, str]) -> None:
    """In a new process: ignore the coordinator's signals, and have its environment as it is now."""
    for number in (*FOR_THE_COORDINATOR, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, FOR_THE_COORDINATOR)
    os.environ.clear()
    os.environ.update(environ)
