"""A real pseudo-terminal, and what was written to it."""

from __future__ import annotations

import os
import pty
import re
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Screen:
    """The person's side of a terminal. ``stdin``, ``stdout`` and ``stderr`` are the program's side."""

    def __init__(self) -> None:
        self._master, slave = pty.openpty()
        self._slave_name = os.ttyname(slave)
        self.stdin: TextIO = os.fdopen(slave, "r")
        self.stdout: TextIO = open(self._slave_name, "w")  # noqa: SIM115, PTH123 - closed with the screen
        self.stderr: TextIO = open(self._slave_name, "w")  # noqa: SIM115, PTH123 - closed with the screen
        self._seen = bytearray()
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                chunk = os.read(self._master, 65536)
            except OSError:  # EIO: the program's side is closed
                return
            with self._changed:
                self._seen += chunk
                self._changed.notify_all()

    def type(self, text: str) -> None:
        """Type something."""
        os.write(self._master, text.encode())

    @property
    def raw(self) -> str:
        """All that was written so far, control sequences included."""
        with self._changed:
            return self._seen.decode(errors="replace").replace("\r\n", "\n")

    def wait_for(self, condition: Callable[[str], bool], timeout_seconds: float = 10.0) -> str:
        """Wait until what was written fulfils a condition, and return it."""
        with self._changed:
            assert self._changed.wait_for(lambda: condition(self.raw), timeout_seconds), self.raw
            return self.raw

    def finish(self) -> str:
        """Hang up, and return all that was written, control sequences included."""
        for stream in (self.stdin, self.stdout, self.stderr):
            stream.close()
        self._reader.join(timeout=10)
        return self.raw

    @property
    def lines(self) -> list[str]:
        """What was written, without the lines that were wiped out again and without control sequences."""
        stayed = re.sub(r"[^\n]*\x1b\[2K", "", self.raw)
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", stayed).splitlines()


@contextmanager
def screen() -> Iterator[Screen]:
    """Open a terminal for a test."""
    opened = Screen()
    try:
        yield opened
    finally:
        opened.finish()
        os.close(opened._master)  # noqa: SLF001 - the same module
