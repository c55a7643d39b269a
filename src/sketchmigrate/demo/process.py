"""A server as a child process: started, waited for, stopped by its own pid, and gone when its parent is."""

from __future__ import annotations

import contextlib
import ctypes
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from sketchmigrate.core.errors import MigrateError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

LOOPBACK = "127.0.0.1"
_PORTS = range(20_000, 32_000)  # below the ports that systems hand out to outgoing connections
_PR_SET_PDEATHSIG = 1  # prctl(2)
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
_POLL_SECONDS = 0.02


class ServerFailed(MigrateError):
    """A server did not start, or ended before its time; the hint shows the end of what it said."""


def free_port() -> int:
    """Return a TCP port on the loopback interface that nobody listens on at this moment."""
    while True:
        port = secrets.choice(_PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: TIME_WAIT is no obstacle
            probe.bind((LOOPBACK, port))
            return port


class ServerProcess:
    """One server process. It has a session of its own, so that Ctrl-C in the terminal does not reach it.

    On Linux the kernel interrupts it when the thread that started it ends, ``kill -9`` of the parent included.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        log_path: Path,
        environ: Mapping[str, str] | None = None,
        user: str | None = None,
    ) -> None:
        self.name = name
        self.command = [os.fspath(part) for part in command]
        self.log_path = log_path
        self._environ = dict(environ) if environ is not None else None
        self._user = user
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id. Raises ``ServerFailed`` where nothing was started."""
        if self._process is None:
            raise ServerFailed(f"{self.name} was not started")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

    def start(self, answers: Callable[[], bool], *, timeout_seconds: float = 60) -> None:
        """Start the server and return as soon as ``answers()`` is true. Raises ``ServerFailed``, leaving nothing."""
        with self.log_path.open("ab") as log:
            try:
                self._process = subprocess.Popen(  # noqa: S603 # the command is ours
                    self.command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=self._environ,
                    start_new_session=True,
                    preexec_fn=_end_with_parent,  # noqa: PLW1509 # one system call, on a library loaded before
                    user=self._user,
                    group=_primary_group(self._user),
                    extra_groups=None if self._user is None else [],
                )
            except OSError as error:
                raise ServerFailed(f"{self.name} cannot be started: {error}") from error
        deadline = time.monotonic() + timeout_seconds
        while not answers():
            if not self.running:
                raise ServerFailed(f"{self.name} ended at once", hint=self._last_words())
            if time.monotonic() > deadline:
                self.kill()
                raise ServerFailed(f"{self.name} did not answer within {timeout_seconds:g} s", hint=self._last_words())
            time.sleep(_POLL_SECONDS)

    def stop(self, signal_number: int = signal.SIGTERM, *, timeout_seconds: float = 20) -> None:
        """Ask the server to end and wait for it; after ``timeout_seconds`` it is killed."""
        if self._process is None or not self.running:
            return
        self._process.send_signal(signal_number)
        try:
            self._process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End the server as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _last_words(self) -> str:
        lines = self.log_path.read_text(errors="replace").splitlines()[-8:]
        return f"{self.log_path} ends with: " + "\n".join(lines)


def accepts_connections(port: int) -> bool:
    """Whether something listens on the loopback port."""
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, port)) == 0


def _end_with_parent() -> None:
    """Ask the kernel for SIGINT when the parent ends. Runs in the child, after its change of user (which clears it)."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell starts what it puts in the background with SIGINT ignored
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGINT)


def _primary_group(user: str | None) -> int | None:
    if user is None:
        return None
    import pwd  # noqa: PLC0415 # Unix only, like all that changes users

    return pwd.getpwnam(user).pw_gid
