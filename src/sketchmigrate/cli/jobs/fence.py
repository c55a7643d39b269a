"""``fence``: the database alone, counted, and what an administrator may run then. Writes nothing."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from sketchmigrate.cli.ending import conclude
from sketchmigrate.cli.jobs.discover import opened, run_looking
from sketchmigrate.core.exit_codes import ExitCode
from sketchmigrate.inspect.fence import fences_json, fences_text, look_at_fences, rows_left
from sketchmigrate.migration.planning import SourceTable
from sketchmigrate.migration.preflight import check_database, check_settings_sql
from sketchmigrate.postgres.privileges import hidden_rows
from sketchmigrate.settings.sources import sources_of

if TYPE_CHECKING:
    from sketchmigrate.cli.start import Start
    from sketchmigrate.inspect.fence import SourceFence
    from sketchmigrate.report.logs import RunDirectory
    from sketchmigrate.report.terminal import Terminal
    from sketchmigrate.settings import Settings


def fence_command(start: Start, run: RunDirectory) -> int:
    """Print the fences; return 1, and print none, where legacy rows are left. Raises ``MigrateError``."""
    terminal = start.terminal
    terminal.message(f"Log: {run.log_path}")
    found = run_looking(_looked(start.settings, terminal))
    left = rows_left(found)
    if left:
        terminal.message(left, logging.WARNING)
    else:
        terminal.result(fences_text(found), is_verbatim=True)
    document = {"kind": "fence", "sources": fences_json(found, is_left=bool(left)), "log_file": str(run.log_path)}
    return conclude(terminal, start.options, document, ExitCode.finished(left=bool(left)))


async def _looked(settings: Settings, terminal: Terminal) -> list[SourceFence]:
    async with opened(settings) as database:
        tables = await check_database(database, sources_of(settings), for_writing=False)
        await check_settings_sql(database, tables)
        sources = [SourceTable.of(source, table, settings) for source, table in tables]
        if hidden := [each.source.table for each in sources if each.table.hides_rows]:
            raise hidden_rows(", ".join(dict.fromkeys(hidden)))
        with terminal.progress(None, unit="rows") as progress:
            return await look_at_fences(database, sources, progress.reach)
