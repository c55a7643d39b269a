"""Where events go: a file, a pipe or stdout, a JSON object a line. Who reads them never holds a run up.

A thread of its own writes. What it cannot get rid of is lost: that is said once, and the numbers of the events show it.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import select
import stat
import sys
import threading
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from sketchmigrate.core.errors import RunDirectoryError
from sketchmigrate.report.events import at_text

if TYPE_CHECKING:
    from sketchmigrate.report.events import Event

STDOUT = "-"

MOST_WAITING = 20_000
"""Some megabytes: two seconds of a fast run with ``-v``."""

LAST_SECONDS = 5.0
"""So long the end of a run waits for the last ones to be taken."""

_MOST_AT_ONCE = 500

log = logging.getLogger(__name__)


class EventStream:
    """Takes events from any thread, without waiting. ``target`` is a path, or ``-`` for stdout; a file is added to.

    Raises ``RunDirectoryError`` where a file cannot be opened. A named pipe that nobody reads yet is opened by the
    thread.
    """

    def __init__(self, target: str, *, last_seconds: float = LAST_SECONDS, most_waiting: int = MOST_WAITING) -> None:
        self._name = "stdout" if target == STDOUT else target
        self._last_seconds, self._most_waiting = last_seconds, most_waiting
        self._waiting: deque[Event] = deque()
        self._number = 0
        self._changed = threading.Condition()
        self._is_closing = self._is_gone = self._has_complained = False
        self._handle = _open(target)
        self._is_file = self._handle is not None and stat.S_ISREG(os.fstat(self._handle).st_mode)
        self._thread = threading.Thread(target=self._work, name="events", daemon=True)
        self._thread.start()

    def put(self, event: Event) -> None:
        """Have an event written, with its number and the time."""
        with self._changed:
            if self._is_closing:
                return
            self._take(event)
            is_full = len(self._waiting) > self._most_waiting
            if is_full:
                self._waiting.pop()
            self._changed.notify()
        if is_full:
            self._complain("its reader is too slow, and events are lost")

    def close(self, last: Event) -> None:
        """Have the last event written behind all others, and wait a while for that."""
        with self._changed:
            if self._is_closing:
                return
            self._take(last)
            self._is_closing = True
            self._changed.notify()
        self._thread.join(self._last_seconds)
        if self._thread.is_alive():
            self._complain(f"its reader has not taken the last events within {self._last_seconds:g} s")
        elif self._handle is not None:
            os.close(self._handle)

    def _take(self, event: Event) -> None:
        self._number += 1
        self._waiting.append({"event": event["event"], "number": self._number, "at": at_text(time.time()), **event})

    def _work(self) -> None:
        if self._handle is None:
            try:
                self._handle = os.open(self._name, os.O_WRONLY | os.O_CLOEXEC)
            except OSError as error:
                self._give_up(error)
        while batch := self._next():
            self._write("".join(json.dumps(event) + "\n" for event in batch).encode())

    def _next(self) -> list[Event]:
        with self._changed:
            while not self._waiting and not self._is_closing:
                self._changed.wait()
            return [self._waiting.popleft() for _ in range(min(len(self._waiting), _MOST_AT_ONCE))]

    def _write(self, lines: bytes) -> None:
        if self._is_gone or self._handle is None:
            return
        size = os.fstat(self._handle).st_size if self._is_file else 0
        try:
            while lines:
                try:
                    lines = lines[os.write(self._handle, lines) :]
                except BlockingIOError:  # whoever gave us the pipe has made it so, and it is full
                    select.select([], [self._handle], [])
        except OSError as error:
            if self._is_file:
                with suppress(OSError):  # no half of a line stays
                    os.ftruncate(self._handle, size)
                self._complain(error.strerror or str(error))
            else:
                self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        self._is_gone = True
        self._complain(error.strerror or str(error))

    def _complain(self, reason: str) -> None:
        with self._changed:
            is_first, self._has_complained = not self._has_complained, True
        if is_first:
            log.warning("--events: %s cannot be written as it should: %s. The run goes on.", self._name, reason)


def _open(target: str) -> int | None:
    """Return what to write to, None for a named pipe that nobody reads yet."""
    if target == STDOUT:
        with suppress(OSError, AttributeError):
            return os.dup(sys.__stdout__.fileno())  # type: ignore[union-attr]  # None where it was closed before
        raise RunDirectoryError("--events: standard output is closed", hint="Name a file instead of -.")
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
    try:
        handle = os.open(target, flags | os.O_NONBLOCK, 0o600)
    except OSError as error:
        if error.errno == errno.ENXIO and Path(target).is_fifo():
            return None
        raise RunDirectoryError(
            f"--events: {target} cannot be opened: {error.strerror or error}",
            hint="Name a file in a folder that you may write to.",
        ) from error
    os.set_blocking(handle, True)
    return handle
