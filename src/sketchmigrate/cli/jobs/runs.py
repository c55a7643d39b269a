"""``runs``: what is on record of all runs, or of one. Writes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sketchmigrate.cli.ending import conclude
from sketchmigrate.core.exit_codes import ExitCode
from sketchmigrate.ledger.overview import known_runs, one_run
from sketchmigrate.report.runs import run_json, run_text, runs_text
from sketchmigrate.settings import other_than_default

if TYPE_CHECKING:
    from sketchmigrate.cli.commands.runs import RunsArguments
    from sketchmigrate.report.terminal import Terminal
    from sketchmigrate.settings import Options, Settings


def runs_command(arguments: RunsArguments, settings: Settings, options: Options, terminal: Terminal) -> int:
    """Show runs, and return 0. Raises ``UsageError`` for one that is not there, and ``DatabaseError``."""
    folder = Path(settings.run_dir).expanduser()
    if arguments.run is None:
        runs = known_runs(folder, settings)
        terminal.result(runs_text(runs), is_verbatim=True)
        return conclude(terminal, options, {"runs": [run_json(run) for run in runs]}, ExitCode.DONE)
    run = one_run(arguments.run, folder, settings)
    noted = run.account.settings if run.account is not None else {}
    terminal.result(run_text(run, other_than_default(noted)), is_verbatim=True)
    return conclude(terminal, options, {**run_json(run), "settings": noted}, ExitCode.DONE)
