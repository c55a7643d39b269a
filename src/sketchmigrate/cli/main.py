"""The way in: arguments and settings, the run's directory and terminal, the command, the exit code."""

from __future__ import annotations

import getpass
import os
import sys
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sketchmigrate import __version__
from sketchmigrate.cli.arguments import parse
from sketchmigrate.cli.commands import (
    DemoArguments,
    GrantsArguments,
    LedgerArguments,
    ManifestArguments,
    PlanArguments,
    ProbeArguments,
    RepairArguments,
    RollbackArguments,
    VerifyArguments,
)
from sketchmigrate.cli.early_signals import MESSAGE, end_at_ctrl_c, raise_at_ctrl_c
from sketchmigrate.cli.failure import error_json, show_failure
from sketchmigrate.core.errors import Interrupted, MigrateError
from sketchmigrate.report.terminal import Terminal
from sketchmigrate.settings import Options, load

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sketchmigrate.cli.arguments import Invocation
    from sketchmigrate.report.logs import RunDirectory
    from sketchmigrate.settings import Settings


def main(argv: Sequence[str] | None = None, *, config_folder: Path | None = None) -> int:
    """Carry out a command line (``sys.argv`` unless given, with the program in front) and return its exit code.

    ``config_folder`` is where ``config.py`` is looked for first. ``-h`` and ``--version`` raise ``SystemExit``.
    """
    end_at_ctrl_c()
    try:
        invocation = parse(sys.argv if argv is None else argv)
        options = invocation.options
        with _terminal(options) as terminal, ExitStack() as log:  # the log outlives the error that is to be in it
            exit_code = _carried_out(invocation, terminal, log, config_folder)
    except MigrateError as error:
        return show_failure(_terminal(Options()), error)
    finally:
        raise_at_ctrl_c()
    if options.json_output and terminal.stdout_failed:
        return MigrateError.exit_code  # whoever awaits the document has none, or a part of it
    return exit_code


def _terminal(options: Options) -> Terminal:
    return Terminal(json_output=options.json_output, show_progress=options.show_progress)


def _carried_out(invocation: Invocation, terminal: Terminal, log: ExitStack, config_folder: Path | None) -> int:
    try:
        end_at_ctrl_c(lambda: _failed(Interrupted(MESSAGE), invocation.options, terminal))
        command = _command(invocation, terminal, log, config_folder)
        raise_at_ctrl_c()
        return command()
    except MigrateError as error:
        return _failed(error, invocation.options, terminal)
    except KeyboardInterrupt:  # what a command did not take itself: just before its own work, or just behind it
        return _failed(Interrupted("interrupted"), invocation.options, terminal)


def _failed(error: MigrateError, options: Options, terminal: Terminal) -> int:
    if options.json_output:
        terminal.document({"version": __version__, **error_json(error)})
    return show_failure(terminal, error)


def _command(
    invocation: Invocation, terminal: Terminal, log: ExitStack, config_folder: Path | None
) -> Callable[[], int]:
    """Read the settings, make the run's directory, import the command, and return it, still to be carried out."""
    if isinstance(invocation.arguments, DemoArguments):
        from sketchmigrate.demo import run_demo  # noqa: PLC0415 - needs the extra

        return partial(run_demo, invocation.arguments, terminal)
    if (invocation.options.processes or 1) > 1:
        from sketchmigrate.cluster.forking import begin_imports  # noqa: PLC0415 - few runs need it

        begin_imports()
    # here and not above: the S3 client and psycopg take longer to import than -h or a wrong flag takes to answer
    from sketchmigrate.report.logs import create_run_directory  # noqa: PLC0415

    search = [Path("sketch-migrate.toml")]
    if config_folder is not None:
        search.insert(0, config_folder / "config.py")
    loaded = load(config_file=invocation.config_file, search=search, environ=os.environ, flags=invocation.setting_flags)
    settings = loaded.settings
    if isinstance(invocation.arguments, GrantsArguments):
        from sketchmigrate.cli.grants import grants_command  # noqa: PLC0415

        return partial(grants_command, invocation.arguments, settings, invocation.options, terminal)
    if isinstance(invocation.arguments, LedgerArguments):
        from sketchmigrate.cli.ledger import ledger_command  # noqa: PLC0415

        return partial(ledger_command, invocation.arguments, settings, invocation.options, terminal)
    run = create_run_directory(settings.run_dir, datetime.now(UTC), _user())
    log.enter_context(run.logging(terminal.show))
    from sketchmigrate.cli.surroundings import surroundings  # noqa: PLC0415 - for the same reason

    terminal.message(surroundings(loaded, os.environ))
    return _on_the_site(invocation, settings, terminal, run)


def _on_the_site(
    invocation: Invocation, settings: Settings, terminal: Terminal, run: RunDirectory
) -> Callable[[], int]:
    """Return a command of the site; only the one that is meant is imported, for the same reason."""
    options = invocation.options
    command: Callable[[], int]
    match invocation.arguments:
        case RollbackArguments() as arguments:
            from sketchmigrate.cli.rollback import rollback_command  # noqa: PLC0415

            command = partial(rollback_command, arguments, settings, options, terminal, run)
        case ProbeArguments() as arguments:
            from sketchmigrate.cli.probe import probe_command  # noqa: PLC0415

            command = partial(probe_command, arguments, settings, options, terminal, run)
        case PlanArguments() as arguments:
            from sketchmigrate.cli.plan import plan_command  # noqa: PLC0415

            command = partial(plan_command, arguments, settings, options, terminal, run)
        case VerifyArguments() as arguments:
            from sketchmigrate.cli.verify import verify_command  # noqa: PLC0415

            command = partial(verify_command, arguments, settings, options, terminal, run)
        case RepairArguments() as arguments:
            from sketchmigrate.cli.repair import repair_command  # noqa: PLC0415

            command = partial(repair_command, arguments, settings, options, terminal, run)
        case ManifestArguments() as arguments:
            from sketchmigrate.cli.manifest import manifest_command  # noqa: PLC0415

            command = partial(manifest_command, arguments, settings, options, terminal, run)
        case _:
            from sketchmigrate.cli.migrate import migrate_command  # noqa: PLC0415

            command = partial(migrate_command, settings, options, terminal, run)
    return command


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return str(os.getuid())
