"""The run's own directory, and its log file: everything that was printed, with times, in UTC.

The log is written unbuffered, a line in one ``write``: what a killed run printed is in its log.
"""

from __future__ import annotations

import json
import logging
import os
import re
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sketchmigrate.core.errors import RunDirectoryError
from sketchmigrate.report.text import printable_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

LOGGER = logging.getLogger("sketchmigrate")
LOGGER.addHandler(logging.NullHandler())  # before there is a log, nothing is printed a second time by logging itself
"""Every logger of the tool is below this one."""

LOG_NAME = "migrate.log"

_ATTEMPTS = 10
"""For a random name that is not taken: with 16 million of them a second, two tries are plenty."""


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """The directory of one run, for its owner alone."""

    path: Path

    @property
    def log_path(self) -> Path:
        """Everything printed, with times."""
        return self.path / LOG_NAME

    @property
    def problems_path(self) -> Path:
        """Every entry that needs a person."""
        return self.path / "problems.csv"

    @contextmanager
    def logging(self, complain: Callable[[str], None], *, as_json: bool = False) -> Iterator[None]:
        """Write what the tool's loggers say at INFO and above to ``log_path`` while the context lasts.

        ``complain`` shows a text to the person: it is called at the first line that cannot be written. With
        ``as_json`` each entry is a JSON object on a line of its own.
        Raises ``RunDirectoryError`` where the file cannot be made.
        """
        try:
            handle = os.open(self.log_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _cannot_write(self.log_path, error) from error
        handler = LogFileHandler(handle, str(self.log_path), complain, JsonFormatter() if as_json else LogFormatter())
        level_before = LOGGER.level
        LOGGER.setLevel(logging.INFO)
        LOGGER.addHandler(handler)
        try:
            yield
        finally:
            LOGGER.removeHandler(handler)
            LOGGER.setLevel(level_before)
            handler.close()


def create_run_directory(run_dir: str | Path, now_utc: datetime, user: str) -> RunDirectory:
    """Make ``<run_dir>/<UTC time>-<user>-<6 random>/``, open to its owner only; ``~`` stands for the home folder.

    Raises ``RunDirectoryError``.
    """
    safe_user = re.sub(r"[^A-Za-z0-9._-]", "_", user) or "unknown"
    base = Path(run_dir)
    try:
        base = base.expanduser()
        base.mkdir(parents=True, exist_ok=True)
        for _ in range(_ATTEMPTS):
            path = base / f"{now_utc:%Y%m%dT%H%M%SZ}-{safe_user}-{os.urandom(3).hex()}"
            try:
                path.mkdir(mode=0o700)
            except FileExistsError:
                continue
            return RunDirectory(path)
    except (OSError, RuntimeError) as error:  # RuntimeError: no home folder for ~
        raise _cannot_write(base, error) from error
    raise RunDirectoryError(f"{base}: no free name for this run's directory", hint="Set RUN_DIR to another folder.")


def _cannot_write(path: Path, error: Exception) -> RunDirectoryError:
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return RunDirectoryError(
        f"{path}: cannot write this run's log and ledger there: {reason}",
        hint="Set RUN_DIR (or --run-dir) to a folder that you may write to, on a disk with room.",
    )


class LogFormatter(logging.Formatter):
    """``2026-11-22T18:00:00.123Z WARNING text``, and the same in front of each further line of a longer text."""

    def __init__(self) -> None:
        super().__init__()
        self._second = -1
        self._prefix = ""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line or lines, control characters escaped so that no path can write a line of its own."""
        front = f"{self.time_of(record)} {record.levelname:<7} "
        text = self.text_of(record)
        return "\n".join(front + line for line in printable_lines(text).split("\n"))

    def time_of(self, record: logging.LogRecord) -> str:
        """Return the time of an entry, in UTC."""
        second = int(record.created)
        if second != self._second:
            # strftime costs more than all the rest of a line, and thousands of lines share a second.
            self._second, self._prefix = second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._prefix}.{int(record.msecs):03d}Z"

    def text_of(self, record: logging.LogRecord) -> str:
        """Return what an entry says, with the error that goes with it."""
        text = record.getMessage()
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text

    def missing(self, entries: int) -> str:
        """Return what stands in the place of entries that could not be written."""
        return f"\n({entries} entries of the log are missing here: it could not be written)\n"


class JsonFormatter(LogFormatter):
    """The same as a JSON object on one line: ``at``, ``level``, ``logger`` and ``text``, which JSON escapes."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the object."""
        entry = {"at": self.time_of(record), "level": record.levelname, "logger": record.name}
        return json.dumps({**entry, "text": self.text_of(record)})

    def missing(self, entries: int) -> str:
        """Return what stands in the place of entries that could not be written."""
        return "\n" + json.dumps({"missing": entries}) + "\n"


class LogFileHandler(logging.Handler):
    """Write to an open file, line by line; a full disk costs lines of the log, never the migration.

    The first failure is told to ``complain``. Each further line is tried again, as room may come back, and then the
    log says how many lines are missing at that place.
    """

    def __init__(self, handle: int, name: str, complain: Callable[[str], None], formatter: LogFormatter) -> None:
        super().__init__()
        self.setFormatter(formatter)
        self._missing = formatter.missing
        self._handle = handle
        self._file_name = name
        self._complain = complain
        self._complained = False
        self._lost_records = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record; runs under the handler's lock."""
        lines = self.format(record).encode(errors="backslashreplace") + b"\n"
        if self._lost_records:
            lines = self._missing(self._lost_records).encode() + lines
        try:
            while lines:
                lines = lines[os.write(self._handle, lines) :]
        except OSError as error:
            self._lost_records += 1
            if not self._complained:
                self._complained = True
                self._complain(
                    f"The log {self._file_name} cannot be written: {error.strerror or error}. The run goes on."
                )
        else:
            self._lost_records = 0

    def close(self) -> None:
        """Close the file; nothing is buffered."""
        self.acquire()
        try:
            if self._handle >= 0:
                os.close(self._handle)
                self._handle = -1
        finally:
            self.release()
        super().close()
