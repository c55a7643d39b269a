"""A command on its way to a fault: what the cells of the matrix, and other faults of whole runs, are played on."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.fault.points import Point, call_at

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from tests.fault.promises import Run
    from tests.fault.scenes import Scene
    from tests.servers.databases import Database
    from tests.servers.postgres_fault_proxy import PostgresFaultProxy
    from tests.servers.s3_fault_proxy import S3FaultProxy


@dataclass
class Stage:
    """A scene, the proxies on its way to store and database, and the process that plays it."""

    scene: Scene
    s3: S3FaultProxy
    postgres: PostgresFaultProxy
    process: subprocess.Popen[str] | None = None

    def at(self, point: Point, act: Callable[[], object]) -> None:
        """Let the application write at a point, and ``act`` happen."""

        def both() -> None:
            self.scene.write()
            act()

        call_at(point, both, self.scene, self.s3, self.postgres)

    def start(self, *flags: str, user: Database | None = None, **settings: object) -> subprocess.Popen[str]:
        """Start the command by way of the proxies, as another user of the database where one is given."""
        database, store = user or self.scene.world.database, self.scene.world.store
        self.process = self.scene.start(
            *flags, database=database.via(self.postgres.port), store=store.via(self.s3.endpoint_url), **settings
        )
        return self.process

    def kill(self) -> None:
        """Kill the command with -9, and wait until it is gone."""
        assert self.process is not None
        self.process.kill()
        assert self.process.wait() == -signal.SIGKILL

    def check_refused(self, process: subprocess.Popen[str], *words: str, hint: bool = True) -> Run:
        """Wait for the command, and check that it ended with a clear sentence, and harmed nothing.

        There is a ``hint`` where the cause is understood.
        """
        run = self.scene.finish(process)
        assert run.code == 3, run.err
        error = run.document["error"]
        for word in words:
            assert word in error["message"]
        assert bool(error["hint"]) is hint
        self.scene.check_promises()
        return run

    def check_done(self, process: subprocess.Popen[str]) -> Run:
        """Wait for the command, and check that it was not disturbed by anything."""
        run = self.scene.finish(process)
        assert run.code == 0, run.err
        assert len(self.scene.before.rows) > len(self.scene.before.legacy_paths), "the point was not reached"
        self.scene.check_outcomes(run)
        self.scene.check_finished()
        return run
