"""A streaming standby of a PostgreSQL server, made by ``pg_basebackup``: a real one, on this machine."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from sketchmigrate.demo.servers import PostgresServer
from tests.patience import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator


class Standby(PostgresServer):
    """It has the primary's roles and passwords. ``pause`` and ``resume`` its replay."""

    def pause(self) -> None:
        """Replay nothing more, and go on to receive."""
        with self.connect() as connection:
            connection.execute("SELECT pg_wal_replay_pause()")

    def resume(self) -> None:
        """Replay again."""
        with self.connect() as connection:
            connection.execute("SELECT pg_wal_replay_resume()")


@contextlib.contextmanager
def standby_of(primary: PostgresServer, name: str) -> Iterator[Standby]:
    """Run a standby of a server; the primary knows it by the name."""
    with tempfile.TemporaryDirectory(prefix="sketch-standby-") as home:
        folder = Path(home)
        user = "nobody" if os.geteuid() == 0 else None
        if user is not None:
            shutil.chown(folder, user=user)
        folder.chmod(0o700)
        options = {"fsync": "off", "cluster_name": name, "hot_standby": "on"}
        standby = Standby(folder, programs=primary.programs, options=options)
        standby.password = primary.password
        subprocess.run(
            [
                *(primary.programs / "pg_basebackup", "-D", folder / "data", "-R", "--no-sync", "-c", "fast"),
                *("-d", f"{primary.conninfo()} application_name={name}"),
            ],
            check=True,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            cwd="/",
            user=user,
        )
        standby.start()
        try:
            wait_until(lambda: _is_streaming(primary, name), f"{name} streams")
            yield standby
        finally:
            standby.stop()


def _is_streaming(primary: PostgresServer, name: str) -> bool:
    with primary.connect() as connection:
        statement = "SELECT 1 FROM pg_stat_replication WHERE application_name = %s AND state = 'streaming'"
        return bool(connection.execute(statement, [name]).fetchall())
