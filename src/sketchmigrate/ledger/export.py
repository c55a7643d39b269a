"""The flips of a run as CSV, for whoever undoes them by hand or looks at them with other tools."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from sketchmigrate.ledger.contract import source_name

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from sketchmigrate.ledger.contract import PastRun

COLUMNS = ("source", "key", "old", "new")


async def csv_of(run: PastRun) -> AsyncGenerator[tuple[int, str]]:
    """Yield the flips of a run, the newest last, in parts of a CSV file: how many lines of flips, and the text.

    Those that did not come about, as far as the run knows, are left out. Texts are quoted, numbers are not: so COPY of
    PostgreSQL takes an empty text for one, and a carriage return in a value for a part of it. Raises
    ``RunDirectoryError`` or ``DatabaseError``.
    """
    yield 0, f"{','.join(COLUMNS)}\n"
    names = run.sources
    async for page in run.oldest_first():
        made = [flip for flip in page if not flip.stored_otherwise]
        text = io.StringIO(newline="")
        writer = csv.writer(text, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
        writer.writerows((source_name(names, flip.source), flip.key, flip.old_path, flip.new_path) for flip in made)
        yield len(made), text.getvalue()
