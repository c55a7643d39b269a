"""The way in: the command line is read here, and carried out in ``execution``, which ``-h`` need not import."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from sketchmigrate.cli.arguments import parse
from sketchmigrate.cli.early_signals import end_at_ctrl_c, ignore_requests_for_the_status, raise_at_ctrl_c
from sketchmigrate.core.errors import MigrateError
from sketchmigrate.core.exit_codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_STDOUT = 1


def main(argv: Sequence[str] | None = None, *, config_folder: Path | None = None) -> int:
    """Carry out a command line (``sys.argv`` unless given, with the program in front) and return its exit code.

    ``config_folder`` is where ``config.py`` is looked for first. ``-h`` and ``--version`` raise ``SystemExit``.
    """
    end_at_ctrl_c()
    ignore_requests_for_the_status()
    try:
        return _read_and_executed(sys.argv if argv is None else argv, config_folder)
    finally:
        raise_at_ctrl_c()


def _read_and_executed(argv: Sequence[str], config_folder: Path | None) -> int:
    try:
        invocation = parse(argv)
    except OSError as error:  # of stdout, to which it has printed the help or the version
        return _not_printed(error)
    except MigrateError as error:
        from sketchmigrate.cli.execution import refuse  # noqa: PLC0415 - as below

        return refuse(error)
    from sketchmigrate.cli.execution import execute  # noqa: PLC0415 - what only prints ends before it

    return execute(invocation, config_folder)


def _not_printed(error: OSError) -> int:
    """Say that stdout cannot be written, unless its reader has had enough, and return the exit code."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), _STDOUT)  # what is left in the buffer goes there at the end
    if isinstance(error, BrokenPipeError):
        return ExitCode.DONE
    sys.stderr.write(f"Standard output cannot be written: {error.strerror or error}.\n")
    return ExitCode.FAILED
