"""What the person sees: the result on stdout; progress, messages and questions on stderr; all of it in the log.

Under ``--json`` stdout carries one document and nothing else. A reader that went away (``| head``) or a full disk
behind stdout loses text, never the migration: it is told once, and the log has everything.
"""

from __future__ import annotations

import json
import logging
import os
import select
import signal
import socket
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self, TextIO

from sketchmigrate.core.errors import UsageError
from sketchmigrate.report.logs import LOGGER
from sketchmigrate.report.streams import Streams
from sketchmigrate.report.text import columns_of, printable, printable_lines, wrapped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import TracebackType

    from sketchmigrate.report.progress import Progress

_PRINTED = LOGGER.getChild("printed")
"""What this module shows goes to the log through this logger, which is not shown a second time."""
_PRINTED.setLevel(logging.DEBUG)

LINE_SECONDS = 5.0
LOG_LINE_SECONDS = 60.0
"""A bar leaves no trace in the log, so the log gets a plain line now and then."""


def typed_line(stdin: TextIO) -> str:
    """Read a line from a terminal, and lose no Ctrl-C.

    One that comes just before the system waits for the line, or in another thread, does not end that wait: Python's
    handler would run when something is typed. So what is waited for is the line or a signal (``signal.set_wakeup_fd``).
    """
    if threading.current_thread() is not threading.main_thread():
        return stdin.readline()
    woken, wakes = socket.socketpair()
    with woken, wakes:
        wakes.settimeout(0)
        before = signal.set_wakeup_fd(wakes.fileno(), warn_on_full_buffer=False)
        try:
            while stdin.fileno() not in select.select([stdin.fileno(), woken.fileno()], [], [])[0]:
                woken.recv(1)  # its handler has run, and raised nothing
        finally:
            signal.set_wakeup_fd(before)
    return stdin.readline()


class Terminal:
    """The three standard streams and the log. A context manager: within it, warnings of all loggers are shown.

    Thread-safe. ``environ`` is asked for NO_COLOR and TERM; ``clock`` is monotonic, in seconds.
    """

    def __init__(
        self,
        *,
        json_output: bool = False,
        show_progress: bool = True,
        stdin: TextIO | None = None,
        stdout: TextIO | None = None,
        stderr: TextIO | None = None,
        environ: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._json_output = json_output
        self._show_progress = show_progress
        # Python's own are None where the stream was closed before the start.
        self._stdin: TextIO | None = sys.stdin if stdin is None else stdin
        self._streams = Streams(sys.stdout if stdout is None else stdout, sys.stderr if stderr is None else stderr)
        self._environ = os.environ if environ is None else environ
        self._clock = clock
        self._warnings = _WarningHandler(self)

    def __enter__(self) -> Self:
        LOGGER.addHandler(self._warnings)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        LOGGER.removeHandler(self._warnings)
        self._streams.flush()

    @property
    def stdout_failed(self) -> bool:
        """Whether something of the result could not be written, other than because its reader had enough."""
        return self._streams.stdout_failed

    @property
    def can_ask(self) -> bool:
        """Whether somebody may be there to answer."""
        return self._stdin is not None and self._stdin.isatty()

    def result(self, text: str, *, is_verbatim: bool = False) -> None:
        """Show (a part of) the result, of one or more lines, on stdout. ``is_verbatim``: no line is broken."""
        _PRINTED.info("%s", text)
        shown = printable_lines(text)
        if not is_verbatim:
            streams = self._streams
            shown = self._wrapped(shown, streams.stderr_terminal if self._json_output else streams.stdout_terminal)
        self._show_result(shown + "\n", flush=True)

    def data(self, text: str, *, flush: bool = False) -> bool:
        """Write a part of what another program reads to stdout as it is; return whether anybody still reads it."""
        return self._streams.data(text, flush=flush)

    def entry(self, text: str, *, by: str = "") -> None:
        """Show one line of ``-v``, about one entry. Cheap: the screen gets many at a time. The log says ``by`` whom."""
        shown = printable(text)
        _PRINTED.info("%s", f"{by}: {shown}" if by else shown)
        self._show_result(shown + "\n", flush=False)

    def document(self, document: Mapping[str, object]) -> None:
        """Write the JSON document to stdout. Its escapes leave nothing in it that a terminal obeys."""
        text = json.dumps(document, indent=2)
        _PRINTED.info("%s", text)
        self._streams.out(text + "\n", flush=True)

    def message(self, text: str, level: int = logging.INFO) -> None:
        """Show a message, of one or more lines, on stderr; below INFO it goes to the log alone."""
        _PRINTED.log(level, "%s", text)
        if level >= logging.INFO:
            self.show(text)

    def show(self, text: str) -> None:
        """Show a text on stderr alone, and not in the log (which may be what it is about)."""
        self._streams.err(self._wrapped(printable_lines(text), self._streams.stderr_terminal) + "\n")

    def confirm(self, question: str, *, instead: str = "Give -y to agree beforehand.") -> bool:
        """Ask on stderr and read yes or no from stdin; the end of the input is a no.

        Raises ``UsageError`` where stdin is no terminal: nobody could answer. ``instead`` says what to do then.
        """
        if self._stdin is None or not self.can_ask:
            raise UsageError(
                "This asks before it changes anything, and nobody can answer: standard input is no terminal",
                hint=instead,
            )
        while True:
            prompt = f"{printable_lines(question)} [yes/no] "
            try:
                self._streams.err(self._wrapped(prompt.rstrip(), self._streams.stderr_terminal) + " ")
                answer = typed_line(self._stdin)
            except KeyboardInterrupt:
                self._streams.err("\n")  # the question and the terminal's ^C stay on a line of their own
                raise
            _PRINTED.info("%s", prompt + answer.strip())
            if not answer:
                self._streams.err("\n")
            word = answer.strip().lower()
            if not answer or word in {"n", "no"}:
                return False
            if word in {"y", "yes"}:
                return True
            self._streams.err("Please answer yes or no.\n")

    def ask(self, question: str, *, instead: str) -> str:
        """Ask on stderr and return the line that is typed on stdin, without the blanks around it; it may be empty.

        Raises ``UsageError`` where stdin is no terminal, or ends: ``instead`` says what to do then.
        """
        if self._stdin is None or not self.can_ask:
            text = f"{question}? Nobody can answer: standard input is no terminal"
            raise UsageError(text, hint=instead)
        self._streams.err(self._wrapped(f"{printable_lines(question)}:", self._streams.stderr_terminal) + " ")
        answer = typed_line(self._stdin)
        _PRINTED.info("%s", f"{question}: {answer.strip()}")
        if not answer:
            self._streams.err("\n")
            raise UsageError(f"{question}? The input ended", hint=instead)
        return answer.strip()

    @contextmanager
    def progress(self, total_estimate: int | None, *, unit: str = "rows") -> Iterator[Progress]:
        """Show progress while the context lasts: a bar on a terminal, a line every few seconds elsewhere."""
        from sketchmigrate.report.progress import EverySoOften, Progress, line  # noqa: PLC0415 - few errors get here

        screen = self._streams.stderr_terminal if self._show_progress else None
        if self._environ.get("TERM", "dumb") in {"dumb", "unknown"}:
            screen = None
        as_lines = self._show_progress and screen is None
        pulse = EverySoOften(LINE_SECONDS if as_lines else LOG_LINE_SECONDS, self._clock())

        def say() -> None:
            text = line(progress.figures)
            if as_lines:
                self.message(text)
            else:
                _PRINTED.info("%s", text)

        def on_update() -> None:
            if pulse.is_due(self._clock()):
                say()

        progress = Progress(total_estimate, self._clock, on_update=on_update, unit=unit)
        if screen is None:
            yield progress
            return
        from sketchmigrate.report.bar import Bar  # noqa: PLC0415 - rich takes a while to import

        no_color = bool(self._environ.get("NO_COLOR"))
        with self._streams.above(Bar(screen, lambda: progress.figures, no_color=no_color)):
            yield progress

    def _wrapped(self, text: str, terminal: TextIO | None) -> str:
        return wrapped(text, columns_of(terminal, self._environ)) if terminal is not None else text

    def _show_result(self, text: str, *, flush: bool) -> None:
        if self._json_output:
            self._streams.err(text, flush=flush)
        else:
            self._streams.out(text, flush=flush)


class _WarningHandler(logging.Handler):
    """Show what other modules log at WARNING and above; the log file has a handler of its own."""

    def __init__(self, terminal: Terminal) -> None:
        super().__init__(logging.WARNING)
        self._terminal = terminal

    def emit(self, record: logging.LogRecord) -> None:
        if record.name != _PRINTED.name:
            self._terminal.show(f"{record.levelname.capitalize()}: {record.getMessage()}")
