"""How the end of a command, or the error that ended it, reaches the person, the JSON document and the exit code."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from sketchmigrate import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sketchmigrate.core.errors import MigrateError
    from sketchmigrate.report.terminal import Terminal
    from sketchmigrate.settings import Options


def conclude(terminal: Terminal, options: Options, document: Mapping[str, object], exit_code: int) -> int:
    """Print the JSON document, where one is wanted, and return the exit code, which is also in the document."""
    if options.json_output:
        terminal.document({"version": __version__, **document, "exit_code": exit_code})
    return exit_code


def show_failure(terminal: Terminal, error: MigrateError) -> None:
    """Show an error and its hint."""
    terminal.message(f"error: {error.message}", logging.ERROR)
    if error.hint:
        terminal.message(f"hint:  {error.hint}")


def error_json(error: MigrateError) -> dict[str, object]:
    """Return what the JSON document says of a command that an error ended."""
    return {
        "exit_code": error.exit_code,
        "error": {"type": type(error).__name__, "message": error.message, "hint": error.hint},
    }
