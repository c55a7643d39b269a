"""Ctrl-C while the program is still being imported: one sentence and exit status 130, and no traceback.

Imports nothing of the program but the exit codes: it is what runs before all else of it.

An exception raised by a signal in the middle of an import is lost where Python calls a callback of its own just then,
and shows a traceback. So the process says its sentence and is gone: nothing has been opened that would have to be
closed.
"""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from sketchmigrate.core.exit_codes import stopped_by

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

MESSAGE = "interrupted before anything was changed"
_STDERR = 2

_ours: set[object] = set()


def end_at_ctrl_c(tell: Callable[[], object] | None = None) -> None:
    """Let SIGINT end the process from now on; ``tell`` says so, instead of a plain line on stderr.

    Left alone are a SIGINT that is ignored, as a shell has it for what runs in the background, and one that somebody
    else takes.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    present = signal.getsignal(signal.SIGINT)
    if present is not signal.default_int_handler and present not in _ours:
        return

    def end(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with suppress(OSError):
            if tell is None:
                os.write(_STDERR, f"error: {MESSAGE}\n".encode())
            else:
                tell()
        os._exit(stopped_by(signal.SIGINT))

    _ours.clear()
    _ours.add(end)
    signal.signal(signal.SIGINT, end)


def ignore_requests_for_the_status() -> None:
    """Let SIGUSR1, which asks a run how it stands, end nothing: neither this process, nor those that it starts."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)


def raise_at_ctrl_c() -> None:
    """Let SIGINT raise ``KeyboardInterrupt`` again, where ``end_at_ctrl_c`` had changed that."""
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) in _ours:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        _ours.clear()
