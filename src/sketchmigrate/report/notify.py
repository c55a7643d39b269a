"""A command of the person's that is told of a run: when it ends, stalls, or needs somebody (``NOTIFY_COMMAND``)."""

from __future__ import annotations

import json
import logging
import os
import shlex
import signal
import subprocess
import tempfile
from contextlib import suppress
from typing import TYPE_CHECKING

from sketchmigrate.report.background import Background
from sketchmigrate.report.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sketchmigrate.report.events import Event

LIMIT_SECONDS = 10.0

MOST_WAITING = 8
"""Of a command that takes its time each time: what comes beyond is not told."""

_OURS = ("SKETCH_", "PG", "AWS_", "LEGACY_AWS_", "PRODUCTION_AWS_")
"""How the names of variables begin that credentials may be in."""

_HARMLESS = ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE")
_SHOWN_BYTES = 300

log = logging.getLogger(__name__)


def without_secrets(environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without what we have credentials from."""
    return {name: value for name, value in environ.items() if name in _HARMLESS or not name.startswith(_OURS)}


class Notifier:
    """Runs a command for each event, one after the other, beside the run. What it fails at is a warning.

    ``command`` is taken apart as a shell does, and no shell runs it.
    """

    def __init__(self, command: str, environ: Mapping[str, str], *, limit_seconds: float = LIMIT_SECONDS) -> None:
        self._argv, self._environ = shlex.split(command), without_secrets(environ)
        self._limit_seconds = limit_seconds
        self._background: Background | None = None

    def tell(self, event: Event) -> None:
        """Run the command with an event, and wait for nothing."""
        if self._background is None:
            self._background = Background("notify", most=MOST_WAITING)
        if not self._background.do(lambda: self._run(event)):
            log.warning("NOTIFY_COMMAND is still at work on earlier events: it is not told of %r", event["event"])

    def close(self) -> None:
        """Wait until all is told."""
        if self._background is not None:
            self._background.close(self._limit_seconds * (MOST_WAITING + 1))

    def _run(self, event: Event) -> None:
        try:
            failure = self._failure(json.dumps(event).encode() + b"\n")
        except OSError as error:
            failure = error.strerror or str(error)
        if failure:
            log.warning("NOTIFY_COMMAND %s: %s (told of %r)", self._argv[0], failure, event["event"])

    def _failure(self, told: bytes) -> str:
        """Run it; return how it failed, empty where it did not. Raises ``OSError``."""
        with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as said:  # no pipe that could be held open
            given.write(told)
            given.seek(0)
            process = subprocess.Popen(  # noqa: S603 - the person's own command, without a shell
                self._argv,
                stdin=given,
                stdout=subprocess.DEVNULL,
                stderr=said,
                env=self._environ,
                start_new_session=True,  # its children can be killed with it, and Ctrl-C is not for them
            )
            try:
                code = process.wait(self._limit_seconds)
            except subprocess.TimeoutExpired:
                _kill(process)
                return f"killed, as it took longer than {self._limit_seconds:g} s"
            if not code:
                return ""
            said.seek(0, os.SEEK_END)
            said.seek(max(0, said.tell() - _SHOWN_BYTES))
            words = printable(" ".join(said.read().decode(errors="replace").split()))
            return f"it ended with {_end(code)}" + (f": {words}" if words else "")


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _end(code: int) -> str:
    return f"exit status {code}" if code > 0 else f"signal {-code}"
