"""``ledger``: the tables of the ledgers in PostgreSQL, made or printed, the runs in them, and the flips of any run."""

from __future__ import annotations

import asyncio
import os
from contextlib import aclosing, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sketchmigrate.cli.ending import conclude
from sketchmigrate.core.errors import RunDirectoryError, UsageError
from sketchmigrate.core.exit_codes import ExitCode
from sketchmigrate.core.plural import counted
from sketchmigrate.ledger import past_run
from sketchmigrate.ledger.disk import disk_hint
from sketchmigrate.ledger.export import csv_of
from sketchmigrate.ledger.postgres.past_run import list_runs
from sketchmigrate.ledger.postgres.server import LedgerServer, ledger_database
from sketchmigrate.ledger.postgres.tables import TABLES, ledger_grants

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import TextIO

    from sketchmigrate.cli.commands.ledger import LedgerArguments
    from sketchmigrate.ledger import PastRun
    from sketchmigrate.report.terminal import Terminal
    from sketchmigrate.settings import Options, Settings


def ledger_command(arguments: LedgerArguments, settings: Settings, options: Options, terminal: Terminal) -> int:
    """Make the tables, print how to, list runs, or export one; return the exit code. Raises ``MigrateError``."""
    if arguments.run is not None:
        return _export(arguments.run, arguments.output, settings, options, terminal)
    if arguments.only_print and arguments.action != "init":
        raise UsageError("--print goes with init", hint="sketch-migrate ledger init --print")
    if not settings.ledger_url and not arguments.only_print:
        hint = "For example: LEDGER_URL=postgresql://ledger.example.com/sketch. Without it every run has its own file."
        raise UsageError("LEDGER_URL is not set: there is no database for the ledgers", hint=hint)
    if arguments.action == "list":
        return _list(settings, options, terminal)
    if arguments.only_print:
        grants = ledger_grants(arguments.role, ledger_database(settings.ledger_url), writes=True)
        statements = [*(f"{each};" for each in TABLES), *grants]
        terminal.result("\n".join(statements), is_verbatim=True)
        return conclude(terminal, options, {"sql": statements}, ExitCode.DONE)
    where = asyncio.run(_make_tables(settings))
    terminal.result(f"The ledger at {where} is ready.")
    return conclude(terminal, options, {"ledger": where}, ExitCode.DONE)


async def _make_tables(settings: Settings) -> str:
    server = LedgerServer(settings, stopping=asyncio.Event())
    await server.leave(await server.connect())  # what is not there is said at once: nothing is under way
    async with server.session() as session:
        await server.make_tables(session)
    return server.where


def _list(settings: Settings, options: Options, terminal: Terminal) -> int:
    runs = list_runs(settings.ledger_url)
    for run_id, began_at, about, _ in runs:
        began = datetime.fromtimestamp(began_at, UTC).strftime("%Y-%m-%d %H:%M:%S")
        command, table = about.get("command", ""), about.get("table", "")
        terminal.result(f"{run_id}  {began}Z  {command} of {table}, {about.get('legacy')} to {about.get('production')}")
    if not runs:
        terminal.result("No run is on record.")
    return conclude(terminal, options, {"runs": [{"run": each.run_id, **each.about} for each in runs]}, ExitCode.DONE)


def _export(directory: Path, output: Path | None, settings: Settings, options: Options, terminal: Terminal) -> int:
    with past_run(directory, settings) as run:
        if sign := run.goes_on():
            terminal.message(f"The run goes on ({sign}): what it flips from now on is not in here.")
        if output is not None:
            flips = asyncio.run(_write_file(run, output))
            terminal.result(f"{counted(flips, 'flip')} of {run.path} written to {output}")
            return conclude(terminal, options, {"flips": flips, "output": str(output)}, ExitCode.DONE)
        asyncio.run(_write_stdout(run, terminal))
    return ExitCode.FAILED if terminal.stdout_failed else ExitCode.DONE


async def _write_stdout(run: PastRun, terminal: Terminal) -> None:
    async with aclosing(csv_of(run)) as parts:
        async for _, text in parts:
            if not terminal.data(text):
                return  # whoever read it has had enough
    terminal.data("", flush=True)


async def _write_file(run: PastRun, path: Path) -> int:
    """Write a file of its owner's; a part of one is not left behind, as it would look like the whole."""
    flips = 0
    with _new_file(path) as file:
        async for count, text in csv_of(run):
            file.write(text)
            flips += count
    return flips


@contextmanager
def _new_file(path: Path) -> Iterator[TextIO]:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            try:
                yield file
            except BaseException:
                path.unlink()
                raise
    except FileExistsError as error:
        raise UsageError(f"{path} is there already", hint="Give --output another name: nothing is replaced.") from error
    except OSError as error:
        raise RunDirectoryError(
            f"{path} cannot be written: {error.strerror or error}", hint=disk_hint(error)
        ) from error
