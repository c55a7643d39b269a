"""What a worker of ``--cluster local:N`` does first: it leaves signals to the coordinator.

A terminal, or systemd, sends them to every process of the run. Dask calls ``dask_setup`` ("Customize Initialization").
"""

from __future__ import annotations

import signal


def dask_setup(_worker: object) -> None:
    """Ignore what is meant for the coordinator. Whoever ends this process otherwise takes SIGKILL."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
