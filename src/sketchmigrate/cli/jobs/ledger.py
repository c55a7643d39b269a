"""``ledger``: the tables of the ledgers in PostgreSQL, made or printed, and the runs that are in them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sketchmigrate.cli.ending import conclude
from sketchmigrate.core.errors import UsageError
from sketchmigrate.core.exit_codes import ExitCode
from sketchmigrate.ledger.postgres.past_run import list_runs
from sketchmigrate.ledger.postgres.server import LedgerServer, ledger_database
from sketchmigrate.ledger.postgres.tables import TABLES, ledger_grants

if TYPE_CHECKING:
    from sketchmigrate.cli.commands.ledger import LedgerArguments
    from sketchmigrate.report.terminal import Terminal
    from sketchmigrate.settings import Options, Settings


def ledger_command(arguments: LedgerArguments, settings: Settings, options: Options, terminal: Terminal) -> int:
    """Make the tables, print how to, or list runs; return the exit code. Raises ``MigrateError``."""
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
    for run_id, began_at, about in runs:
        began = datetime.fromtimestamp(began_at, UTC).strftime("%Y-%m-%d %H:%M:%S")
        command, table = about.get("command", ""), about.get("table", "")
        terminal.result(f"{run_id}  {began}Z  {command} of {table}, {about.get('legacy')} to {about.get('production')}")
    if not runs:
        terminal.result("No run is on record.")
    return conclude(terminal, options, {"runs": [{"run": run_id, **about} for run_id, _, about in runs]}, ExitCode.DONE)
