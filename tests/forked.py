"""Start Python scripts with the tool's imports already done: see ``tests.starter``."""

from __future__ import annotations

import atexit
import ctypes
import json
import os
import socket
import subprocess
import sys
import termios
import threading
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pexpect
import ptyprocess

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


class Forked(subprocess.Popen[str]):
    """A ``subprocess.Popen`` that does not start an interpreter but has the starter fork one. Linux only.

    ``args`` are the interpreter (which is taken for this one), the script and its arguments; ``cwd``, ``env`` and all
    three streams must be given. The process is a child of this one like any other, so that the rest is as in ``Popen``.
    Raises ``RuntimeError`` if the starter is gone.
    """

    to_the_end = False
    """Whether its modules are taken apart at its end, as by an interpreter: some libraries say something then."""

    def _execute_child(
        self, args: Sequence[str | Path], _program: object, _preexec_fn: object, _close_fds: object, _pass_fds: object,
        cwd: Path, env: Mapping[str, str], _startupinfo: object, _creationflags: object, _shell: object,
        *pipes_and_more: int
    ) -> None:  # fmt: skip
        """Do the step of ``Popen`` that each operating system does in its own way. The pipes are there already."""
        stdin, _, _, stdout, _, stderr = pipes = pipes_and_more[:6]
        folder = os.open(cwd, os.O_RDONLY | os.O_DIRECTORY)
        try:
            words, streams = [str(word) for word in args[1:]], [folder, stdin, stdout, stderr]
            self.pid = starter().fork(words, env, streams, to_the_end=self.to_the_end)
        finally:
            os.close(folder)
        self._child_created = True
        self._close_pipe_fds(*pipes)  # type: ignore[attr-defined] # typeshed has no private names


class ForkedToTheEnd(Forked):
    """The same, whose modules are taken apart at its end."""

    to_the_end = True


def forked_on_a_terminal(
    args: Sequence[str], *, env: Mapping[str, str], cwd: Path, dimensions: tuple[int, int]
) -> pexpect.spawn[str]:
    """Do what ``pexpect.spawn`` does for these arguments, of which the first is the interpreter, with ``Forked``."""

    def fork(_args: object, **_more: object) -> ptyprocess.PtyProcess:
        terminal, its_own = os.openpty()
        termios.tcsetwinsize(its_own, dimensions)
        folder = os.open(cwd, os.O_RDONLY | os.O_DIRECTORY)
        try:
            pid = starter().fork(args[1:], env, [folder, its_own, its_own, its_own], on_a_terminal=True)
        finally:
            os.close(folder)
            os.close(its_own)
        return ptyprocess.PtyProcess(pid, terminal)

    child = pexpect.spawn(None, encoding="utf-8", timeout=30)
    child._spawnpty = fork  # noqa: SLF001 # the step that each kind of terminal does in its own way
    child._spawn(args[0], list(args[1:]))  # noqa: SLF001 # what its constructor calls where there is a command
    return child


class Starter:
    """The process that forks the others. It ends with this one, or when it is closed."""

    def __init__(self) -> None:
        self._socket, its_own = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._one_at_a_time = threading.Lock()
        self._libc = ctypes.CDLL(None, use_errno=True)
        with its_own:
            self.process = subprocess.Popen(  # with streams of the same kind as those that it is to replace
                [sys.executable, Path(__file__).with_name("starter.py"), str(its_own.fileno())],
                env={name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ},
                pass_fds=[its_own.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )

    def fork(
        self,
        arguments: Sequence[str],
        environ: Mapping[str, str],
        descriptors: Sequence[int],
        *,
        to_the_end: bool = False,
        on_a_terminal: bool = False,
    ) -> int:
        """Return the id of a new process that runs a script (the first argument), a child of this one.

        ``descriptors`` are of the folder to run it in and of its standard streams. ``to_the_end`` all its modules are
        taken apart. ``on_a_terminal``, which the streams are, it leads a session. Raises ``RuntimeError`` if there is
        no starter.
        """
        request = json.dumps([arguments, dict(environ), to_the_end, on_a_terminal]).encode()
        with self._one_at_a_time:
            self._adopt(orphans=True)
            try:
                socket.send_fds(self._socket, [request], descriptors)
                pid, adopted = self._socket.recv(100), self._socket.recv(100)
            except OSError as error:
                raise RuntimeError(f"the starter is gone: {self._last_words()}") from error
            finally:
                self._adopt(orphans=False)
        if not adopted:
            raise RuntimeError(f"the starter is gone: {self._last_words()}")
        return int(pid)

    def close(self) -> None:
        """End it."""
        self._socket.close()
        self.process.communicate()

    def _adopt(self, *, orphans: bool) -> None:
        """Say whether the orphans among this process's descendants become its children; else they become init's."""
        if self._libc.prctl(_PR_SET_CHILD_SUBREAPER, int(orphans), 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")

    def _last_words(self) -> str:
        return self.process.communicate()[1].strip() or f"exit status {self.process.returncode}"


@cache
def starter() -> Starter:
    """The starter of this process: made when first asked for."""
    made = Starter()
    atexit.register(made.close)
    return made
