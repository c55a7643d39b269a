"""Loads the objects of a side's inventories into the evidence, as ``gathering.Loader`` loads those of its listings."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import duckdb

from sketchmigrate.core.errors import InventoryDamaged, RunDirectoryError
from sketchmigrate.core.plural import counted
from sketchmigrate.inspect.inventory.coverage import check_coverage
from sketchmigrate.inspect.inventory.query import sorting, staged, staging

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sketchmigrate.inspect.evidence import Evidence
    from sketchmigrate.inspect.inventory.document import DataFile
    from sketchmigrate.inspect.inventory.opening import Inventories, Inventory
    from sketchmigrate.sides import Side

_NOT_AS_TOLD = (duckdb.BinderException, duckdb.ConversionException, duckdb.InvalidInputException)
"""What DuckDB says of a file with other columns or another format. What is no gzip is an ``IOException``."""


async def load_inventories(
    evidence: Evidence, side: Side, inventories: Inventories, told: Callable[[str, int, int | None], None]
) -> None:
    """Load all data files, and check that they have the side's places; ``told`` hears how many objects so far.

    Raises ``InventoryDamaged`` where a file is not what its manifest says, ``UsageError`` where the inventory lacks
    objects of a place, ``RunDirectoryError`` and ``S3Error``.
    """
    began, total = datetime.now(UTC), 0
    for inventory in inventories.all:
        for file in inventory.document.files:
            total += await _load(evidence, side, inventory, file)
            told(side.name.value, total, None)
        created = inventory.document.created_at_utc.replace(tzinfo=None)
        await evidence.insert("inventory", [(side.name.value, str(inventory.files), created)])
    for inventory in inventories.all:
        for place in inventory.places:
            await check_coverage(evidence, side, inventories.setting, inventory, place)
    await evidence.note_reading(f"{side.name} objects", began, datetime.now(UTC), total)


async def _load(evidence: Evidence, side: Side, inventory: Inventory, file: DataFile) -> int:
    """Load a data file, and return how many objects of the side's places it has."""
    async with inventory.files.data_file(file) as path:
        try:
            await evidence.ask(staging(inventory.document, file, side.name, inventory.places), [str(path)])
        except RunDirectoryError as error:
            if not _is_about(error.__cause__, path):
                raise
            reason = str(error.__cause__).split("\n", 1)[0]
            kind = inventory.document.file_format
            raise InventoryDamaged(f"{file.key} of {inventory.files} cannot be read as {kind}: {reason}") from error
    table = staged(side.name)
    question = f"SELECT count(*) FROM {table} WHERE key IS NULL OR size_bytes IS NULL"  # noqa: S608 - our own words
    ((unreadable,),) = await evidence.ask(question)
    if unreadable:
        many = counted(unreadable, "entry", "entries")
        text = f"{file.key} of {inventory.files} has {many} whose Key or Size cannot be read"
        raise InventoryDamaged(text, hint="Give another inventory.")
    total = 0
    for is_counted, statement in sorting(evidence.site.pairing, side.name, inventory.document.source_bucket):
        ((count,),) = await evidence.ask(statement)
        total += count * is_counted
    await evidence.execute(f"DROP TABLE {table}")
    return total


def _is_about(error: BaseException | None, path: Path) -> bool:
    """Whether DuckDB's error is about the content of a data file, and not about a full disk, or its own files."""
    return isinstance(error, _NOT_AS_TOLD) or (isinstance(error, duckdb.IOException) and str(path) in str(error))
