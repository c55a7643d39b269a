"""``runs prune``: deletes the directories of runs that only looked."""

from __future__ import annotations

import time
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from rich.filesize import decimal

from sketchmigrate.cli.arguments import parse
from sketchmigrate.cli.ending import conclude
from sketchmigrate.core.errors import UsageError
from sketchmigrate.core.exit_codes import ExitCode
from sketchmigrate.core.plural import counted
from sketchmigrate.ledger.overview import known_runs
from sketchmigrate.ledger.pruning import delete, is_safe, prunable, size_bytes
from sketchmigrate.report.runs import runs_text

if TYPE_CHECKING:
    from sketchmigrate.ledger.account import Account
    from sketchmigrate.ledger.overview import RunOverview
    from sketchmigrate.report.terminal import Terminal
    from sketchmigrate.settings import Options, Settings

LOOKS = {"plan", "probe", "status", "verify"}


def prune_command(older_than_seconds: float, settings: Settings, options: Options, terminal: Terminal) -> int:
    """List what would be deleted, ask, and delete it; return 0, or 1 where the answer was no.

    Raises ``DatabaseError``, and ``RunDirectoryError`` for a directory that cannot be deleted: those before it are.
    """
    began_before = time.time() - older_than_seconds
    runs = known_runs(Path(settings.run_dir).expanduser(), settings)
    looks = {run.name for run in runs if run.account is not None and _only_looked(run.account)}
    found = [run for run in prunable(runs, looks, began_before) if is_safe(run)]
    if not found:
        terminal.result("No run of that age has only looked.")
        return conclude(terminal, options, {"deleted": []}, ExitCode.DONE)
    sizes = {run.name: size_bytes(_directory(run)) for run in found}
    terminal.result(runs_text(found), is_verbatim=True)
    question = f"Delete {counted(len(found), 'run')}, {decimal(sum(sizes.values()))}? They have only looked."
    if not options.say_yes and not terminal.confirm(question):
        terminal.message("Nothing was changed.")
        return conclude(terminal, options, {"declined": True}, ExitCode.LEFT)
    for run in found:
        delete(_directory(run))
    terminal.result(f"Deleted: {counted(len(found), 'run')}, {decimal(sum(sizes.values()))}.")
    deleted = [{"run": run.name, "bytes": sizes[run.name]} for run in found]
    return conclude(terminal, options, {"deleted": deleted}, ExitCode.DONE)


def _directory(run: RunOverview) -> Path:
    assert run.directory is not None  # noqa: S101 - else it is not prunable
    return run.directory


def _only_looked(account: Account) -> bool:
    """Whether that is what the command line says. One that this version does not understand is not known to."""
    if account.command in LOOKS:
        return True
    if account.command != "migrate":
        return False
    try:
        with redirect_stderr(StringIO()):  # which gets the usage, where it is not understood
            options = parse(["sketch-migrate", *account.typed], {}).options
    except (UsageError, SystemExit):
        return False
    return options.status_only or options.dry_run
