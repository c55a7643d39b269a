"""pgbouncer in front of a PostgreSQL server, in one of its pool modes, where it is installed (Debian has it)."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from sketchmigrate.demo.process import LOOPBACK, ServerProcess, accepts_connections, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.databases import Database

PROGRAM = Path("/usr/sbin/pgbouncer")


def why_not() -> str:
    """Say why pgbouncer cannot be had here, or nothing."""
    return "" if PROGRAM.exists() else f"pgbouncer is not installed: no {PROGRAM}"


@contextlib.contextmanager
def pgbouncer(database: Database, mode: str, *, connect_query: str = "", **options: int | str) -> Iterator[int]:
    """Run a pooler for one database, to which it connects as that database's user; give its port.

    ``connect_query``, in single quotes, is what it says on each new connection to the server.
    """
    port = free_port()
    upstream = f"host={database.host} port={database.port} user={database.user} password={database.password}"
    upstream += f" connect_query={connect_query}" if connect_query else ""
    settings = {
        "listen_addr": LOOPBACK,
        "listen_port": port,
        "unix_socket_dir": "",
        "auth_type": "any",
        "pool_mode": mode,
        **options,
    }
    lines = ["[databases]", f"{database.name} = {upstream}", "[pgbouncer]"]
    lines += [f"{name} = {value}" for name, value in settings.items()]
    user = "nobody" if os.geteuid() == 0 else None  # it refuses to be root
    with tempfile.TemporaryDirectory(prefix="pgbouncer-") as folder:
        path = Path(folder)
        file = path / "pgbouncer.ini"
        file.write_text("\n".join(lines) + "\n")
        file.chmod(0o600)
        if user is not None:
            shutil.chown(path, user=user)
            shutil.chown(file, user=user)
        server = ServerProcess("pgbouncer", [PROGRAM, file], log_path=path / "pgbouncer.log", user=user)
        server.start(lambda: accepts_connections(port))
        try:
            yield port
        finally:
            server.stop()
