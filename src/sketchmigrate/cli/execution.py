"""Carries a command line out that makes sense: terminal, settings, the command, the exit code."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from sketchmigrate.cli.command import find
from sketchmigrate.cli.early_signals import MESSAGE, end_at_ctrl_c, raise_at_ctrl_c
from sketchmigrate.cli.ending import conclude, error_json, show_failure
from sketchmigrate.cli.start import Start
from sketchmigrate.core.errors import Interrupted, MigrateError
from sketchmigrate.core.exit_codes import ExitCode
from sketchmigrate.report.terminal import Terminal
from sketchmigrate.settings import Options

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sketchmigrate.cli.arguments import Invocation


def execute(invocation: Invocation, config_folder: Path | None) -> int:
    """Carry an invocation out, and return its exit code."""
    options = invocation.options
    try:
        with _terminal(options) as terminal, ExitStack() as log:  # the log outlives the error that is to be in it
            exit_code = _carried_out(invocation, terminal, log, config_folder)
    except MigrateError as error:
        return refuse(error)
    if terminal.stdout_failed and (options.json_output or find(invocation.command).only_prints):
        return ExitCode.FAILED  # whoever awaits it has none, or a part of it
    return exit_code


def refuse(error: MigrateError) -> int:
    """Show an error before or behind all else, and return its exit code."""
    show_failure(_terminal(Options()), error)
    return error.exit_code


def _terminal(options: Options) -> Terminal:
    is_stdout_taken = options.json_output or options.events == "-"
    return Terminal(json_output=is_stdout_taken, show_progress=options.show_progress)


def _carried_out(invocation: Invocation, terminal: Terminal, log: ExitStack, config_folder: Path | None) -> int:
    start = Start(invocation, terminal, log, config_folder)
    try:
        end_at_ctrl_c(lambda: _failed(Interrupted(MESSAGE), start))
        start.open_events()
        command = _command(invocation, start)
        raise_at_ctrl_c()
        exit_code = command()
    except MigrateError as error:
        return _failed(error, start)
    except KeyboardInterrupt:  # what a command did not take itself: just before its own work, or just behind it
        return _failed(Interrupted("interrupted"), start)
    start.ended(exit_code)
    return exit_code


def _failed(error: MigrateError, start: Start) -> int:
    exit_code = conclude(start.terminal, start.options, error_json(error), error.exit_code)
    show_failure(start.terminal, error)
    start.noted |= error_json(error)
    start.ended(exit_code, error.message)
    return exit_code


def _command(invocation: Invocation, start: Start) -> Callable[[], int]:
    """Import the command, which reads the settings and makes the run's directory, and return it to be carried out."""
    if (invocation.options.processes or 1) > 1:
        from sketchmigrate.cluster.forking import begin_imports  # noqa: PLC0415 - few runs need it

        begin_imports()
    return find(invocation.command).load(invocation.arguments, start)
