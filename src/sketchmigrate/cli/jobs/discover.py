"""``discover``: the database alone, looked through for what mentions legacy."""

from __future__ import annotations

import asyncio
import signal
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

import uvloop

from sketchmigrate.cli.ending import conclude
from sketchmigrate.core.errors import Interrupted
from sketchmigrate.core.exit_codes import ExitCode
from sketchmigrate.inspect.discover import discover, sources_of
from sketchmigrate.inspect.discover_report import discovery_json, discovery_text, references_toml, to_paste
from sketchmigrate.migration.preflight import first_connection
from sketchmigrate.postgres.database import Database
from sketchmigrate.settings.lists import lists_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Sequence

    from sketchmigrate.cli.commands.discover import DiscoverArguments
    from sketchmigrate.cli.start import Start
    from sketchmigrate.inspect.discover import Discovery
    from sketchmigrate.report.logs import RunDirectory
    from sketchmigrate.report.terminal import Terminal
    from sketchmigrate.settings import Settings
    from sketchmigrate.settings.entries import ReferenceEntry
    from sketchmigrate.settings.lists import Lists

T = TypeVar("T")


def discover_command(arguments: DiscoverArguments, start: Start, run: RunDirectory) -> int:
    """Look through the database, and print what would cover it. Returns 0. Raises ``MigrateError``."""
    settings, terminal = start.settings, start.terminal
    terminal.message(f"Log: {run.log_path}")
    lists = lists_of(settings)
    sources = sources_of(settings, lists)
    found = run_looking(
        looked_through(settings, lists, sources, terminal, schemas=arguments.schemas, full=arguments.full)
    )
    columns = to_paste(found, has_references=bool(lists.references))
    pasted = references_toml(columns)
    terminal.result(discovery_text(found))
    if pasted:
        terminal.result("\nTo cover it, in a settings file in TOML:\n")
        terminal.result(pasted, is_verbatim=True)
    elif found.columns:
        terminal.result("\nEach of them is in a source.")
    document = {**discovery_json(found, pasted), "log_file": str(run.log_path)}
    return conclude(terminal, start.options, document, ExitCode.DONE)


async def looked_through(
    settings: Settings,
    lists: Lists,
    sources: Sequence[ReferenceEntry],
    terminal: Terminal,
    *,
    schemas: Sequence[str] = (),
    full: bool = False,
) -> Discovery:
    """Connect, and look, with a bar. Raises ``DatabaseError``."""
    async with opened(settings) as database:
        with terminal.progress(None, unit="rows" if full else "tables") as progress:
            return await discover(database, lists, sources=sources, schemas=schemas, full=full, reach=progress.reach)


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Database]:
    """Open the database as long as the context lasts. One that cannot be reached at all is told at once."""
    database = Database(settings, stopping=asyncio.Event(), kept=1)
    try:
        async with first_connection(database) as connection:
            await connection.execute("SELECT 1")
        yield database
    finally:
        await database.close()


def run_looking(work: Coroutine[object, object, T]) -> T:
    """Run what only looks on an event loop of its own: a signal ends it at once. Raises ``MigrateError``."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_until_signalled(work))


async def _until_signalled(work: Coroutine[object, object, T]) -> T:
    task = asyncio.ensure_future(work)
    received: list[int] = []

    def take(number: int) -> None:
        received.append(number)
        task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, take, number)
    try:
        return await task
    except asyncio.CancelledError as cancelled:
        raise Interrupted(
            "stopped at once",
            hint="Nothing was changed. When it is run again it begins anew.",
            signal_number=received[0] if received else signal.SIGINT,
        ) from cancelled
