"""The two output streams: they share a terminal with the bar, and they may break. Thread-safe."""

from __future__ import annotations

import io
import os
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sketchmigrate.report.bar import Bar

REDRAW_SECONDS = 0.1
"""Ten times a second looks live; each drawing costs about a millisecond."""


class Streams:
    """stdout and stderr, written in the order of the calls, above the bar while there is one.

    A stream that fails is told once on the other and stays quiet from then on; nothing is raised. A stream that was
    closed before the start (``>&-``) is None, and what goes there is gone.
    """

    def __init__(self, stdout: TextIO | None, stderr: TextIO | None) -> None:
        self._stdout = stdout
        self._stderr = stderr
        self._lock = threading.RLock()
        self._bar: Bar | None = None
        self._above_the_bar: list[str] = []
        self.stdout_failed = False
        for stream in (stdout, stderr):
            if isinstance(stream, io.TextIOWrapper):
                # A terminal that is not UTF-8 shows \xe9 for an é it does not have, instead of ending the run.
                stream.reconfigure(errors="backslashreplace")
        self._share_a_terminal = _is_same_terminal(stdout, stderr)

    @property
    def stderr_terminal(self) -> TextIO | None:
        """Stderr if it is a terminal, else None."""
        return self._stderr if self._stderr is not None and self._stderr.isatty() else None

    @property
    def stdout_terminal(self) -> TextIO | None:
        """Stdout if it is a terminal, else None."""
        return self._stdout if self._stdout is not None and self._stdout.isatty() else None

    def out(self, text: str, *, flush: bool) -> None:
        """Write whole lines to stdout. Without ``flush``, they may wait for the next drawing or a full buffer."""
        with self._lock:
            if self._bar is not None and self._share_a_terminal:
                self._above_the_bar.append(text)
                if flush:
                    self._draw()
            else:
                self._write_stdout(text, flush=flush)

    def data(self, text: str, *, flush: bool) -> bool:
        """Write what another program reads to stdout, in UTF-8; return whether anybody still reads it."""
        with self._lock:
            if isinstance(self._stdout, io.TextIOWrapper) and self._stdout.encoding.lower() != "utf-8":
                self._stdout.reconfigure(encoding="utf-8")
            self._write_stdout(text, flush=flush)
            return self._stdout is not None

    def err(self, text: str, *, flush: bool = True) -> None:
        """Write to stderr: whole lines while there is a bar."""
        with self._lock:
            if self._bar is None:
                self._write_stderr(text)
                return
            self._above_the_bar.append(text)
            if flush:
                self._draw()

    def flush(self) -> None:
        """Bring out what waits in stdout's buffer."""
        with self._lock:
            self._write_stdout("", flush=True)

    @contextmanager
    def above(self, bar: Bar) -> Iterator[None]:
        """Show a bar, redrawn by a thread of its own, and write all else above it, while the context lasts."""
        stop = threading.Event()
        drawer = threading.Thread(target=self._keep_drawing, args=(stop,), name="progress-bar", daemon=True)
        with self._lock:
            self._bar = bar
            with suppress(OSError):
                bar.start()
        drawer.start()
        try:
            yield
        finally:
            stop.set()
            drawer.join()
            with self._lock:
                self._draw()
                self._bar = None
                with suppress(OSError):
                    bar.stop()

    def _keep_drawing(self, stop: threading.Event) -> None:
        while not stop.wait(REDRAW_SECONDS):
            with self._lock:
                self._draw()

    def _draw(self) -> None:
        """Bring out the lines that wait above the bar, in one go with it: a line at a time would cost it its speed."""
        if self._bar is None:
            return
        text = "".join(self._above_the_bar)
        self._above_the_bar.clear()
        try:
            self._bar.draw(text)
        except OSError:
            if self._stderr is not None:
                _point_at_nothing(self._stderr)
            self._stderr = None

    def _write_stdout(self, text: str, *, flush: bool) -> None:
        if self._stdout is None:
            return
        try:
            self._stdout.write(text)
            if flush:
                self._stdout.flush()
        except OSError as error:
            _point_at_nothing(self._stdout)
            self._stdout = None
            if not isinstance(error, BrokenPipeError):  # a reader that has had enough (head) is no failure
                self.stdout_failed = True
                self.err(f"Standard output cannot be written: {error.strerror or error}.\n")

    def _write_stderr(self, text: str) -> None:
        if self._stderr is None:
            return
        try:
            self._stderr.write(text)
            self._stderr.flush()
        except OSError:
            _point_at_nothing(self._stderr)
            self._stderr = None


def _is_same_terminal(stdout: TextIO | None, stderr: TextIO | None) -> bool:
    if stdout is None or stderr is None or not stdout.isatty() or not stderr.isatty():
        return False
    try:
        return os.ttyname(stdout.fileno()) == os.ttyname(stderr.fileno())
    except OSError:
        return False


def _point_at_nothing(stream: TextIO) -> None:
    """Let what is still in a broken stream's buffer go to /dev/null: Python would fail on it again at its exit."""
    with suppress(OSError, ValueError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nothing, stream.fileno())
        finally:
            os.close(nothing)
