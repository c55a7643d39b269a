"""What was flipped is on the database's disk before a pass counts as done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sketchmigrate.core.errors import MigrateError
from sketchmigrate.postgres.transactions import until_flushed

if TYPE_CHECKING:
    from sketchmigrate.core.outcome import Tally
    from sketchmigrate.migration.stop import Stop
    from sketchmigrate.postgres.database import Database
    from sketchmigrate.settings import Options


async def make_durable(database: Database, tally: Tally, options: Options, stop: Stop) -> None:
    """Wait until the flips of a tally would survive a crash; where that does not come, note the error in ``stop``."""
    if not tally.migrated or options.dry_run or stop.requested:
        return
    try:
        await until_flushed(database)
    except MigrateError as error:
        stop.by_error(error)
