"""How an error reaches the person and the JSON document."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sketchmigrate.core.errors import MigrateError
    from sketchmigrate.report.terminal import Terminal


def show_failure(terminal: Terminal, error: MigrateError) -> int:
    """Show an error and its hint, and return its exit code."""
    terminal.message(f"error: {error.message}", logging.ERROR)
    if error.hint:
        terminal.message(f"hint:  {error.hint}")
    return error.exit_code


def error_json(error: MigrateError) -> dict[str, object]:
    """Return what the JSON document says of a command that an error ended."""
    return {
        "exit_code": error.exit_code,
        "error": {"type": type(error).__name__, "message": error.message, "hint": error.hint},
    }
