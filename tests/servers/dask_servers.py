"""A Dask cluster: a scheduler and workers, each a process on a machine of its own (see ``machines``)."""

from __future__ import annotations

import contextlib
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sketchmigrate.demo.process import ServerProcess, free_port
from tests.servers.machines import Machine, Network, network

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

SOURCE = Path(__file__).parents[2] / "src"

# A worker that does not answer is given up after six seconds, and not after five minutes. A busy machine can keep one
# that lives from its heartbeat for two.
_DASK = {"DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "6 s"}


class DaskServers:
    """The cluster. ``environ`` is what every worker has in its environment: the credentials."""

    def __init__(self, network: Network, folder: Path, environ: Mapping[str, str]) -> None:
        self.network = network
        self._folder = folder
        self._environ = {
            "PATH": f"{Path(sys.executable).parent}:/usr/sbin:/usr/bin:/sbin:/bin",
            "PYTHONPATH": str(SOURCE),
            "DASK_CONFIG": str(folder),
            "AWS_EC2_METADATA_DISABLED": "true",
            **_DASK,
            **environ,
        }
        self._scheduler_machine = network.machine("scheduler")
        self._scheduler: ServerProcess
        self._port = free_port()
        self._workers: dict[str, tuple[ServerProcess, Machine]] = {}

    @property
    def address(self) -> str:
        """The scheduler's."""
        return f"tcp://{self._scheduler_machine.address}:{self._port}"

    @property
    def workers(self) -> list[str]:
        """The names of the workers that run."""
        return [name for name, (process, _) in self._workers.items() if process.running]

    def start_scheduler(self) -> None:
        """Start the scheduler, and wait until it listens."""
        options = ["--host", self._scheduler_machine.address, "--port", str(self._port), "--no-dashboard"]
        self._scheduler = self._start("scheduler", self._scheduler_machine, options, self._environ, self._listens)

    def start_worker(self, environ: Mapping[str, str] | None = None) -> str:
        """Start a worker, perhaps with other variables than its fellows have, and return its name.

        It is not waited for: it says when it is there.
        """
        name = f"w{len(self._workers) + 1}"
        machine = self.network.machine(name)
        options = [self.address, "--name", name, "--host", machine.address, "--nthreads", "1"]
        options += ["--no-nanny", "--no-dashboard", "--death-timeout", "30", "--local-directory", str(self._folder)]
        environ = {**self._environ, **(environ or {})}
        self._workers[name] = self._start("worker", machine, options, environ, lambda: True), machine
        return name

    def kill_scheduler(self) -> None:
        """Kill it with -9."""
        self._scheduler.kill()

    def kill_worker(self, name: str) -> None:
        """Kill a worker with -9."""
        self._workers[name][0].kill()

    def cut_off(self, name: str) -> None:
        """Cut a worker off the scheduler, and off nothing else."""
        self._workers[name][1].cut_off(self._scheduler_machine)

    def stop(self) -> None:
        """End all processes, by force: some of them wait for others that are gone."""
        for process, _ in self._workers.values():
            process.kill()
        if hasattr(self, "_scheduler"):
            self._scheduler.kill()

    def _start(
        self, kind: str, machine: Machine, options: list[str], environ: Mapping[str, str], answers: Callable[[], bool]
    ) -> ServerProcess:
        command = [*machine.inside, sys.executable, "-m", f"distributed.cli.dask_{kind}", *options]
        process = ServerProcess(machine.name, command, log_path=self._folder / f"{machine.name}.log", environ=environ)
        process.start(answers)
        return process

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((self._scheduler_machine.address, self._port)) == 0


@contextlib.contextmanager
def dask_servers(folder: Path, environ: Mapping[str, str]) -> Iterator[DaskServers]:
    """Run a scheduler for the length of the block, and the workers that are started meanwhile."""
    with network() as made:
        servers = DaskServers(made, folder, environ)
        try:
            servers.start_scheduler()
            yield servers
        finally:
            servers.stop()
