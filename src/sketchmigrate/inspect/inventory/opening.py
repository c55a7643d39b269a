"""Opens the inventories of a side: reads their manifests, and checks that they are of its buckets, each of one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from sketchmigrate.core.clock import SYSTEM, Clock
from sketchmigrate.core.errors import UsageError
from sketchmigrate.core.objects import Location
from sketchmigrate.inspect.inventory.document import read_document
from sketchmigrate.inspect.inventory.files import LocalFiles, StoreFiles
from sketchmigrate.inspect.inventory.told import inventory_of
from sketchmigrate.settings.values import manifest_place

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sketchmigrate.core.routes import Place
    from sketchmigrate.inspect.inventory.document import Document
    from sketchmigrate.inspect.inventory.files import Files
    from sketchmigrate.sides import Side


@dataclass(frozen=True, slots=True)
class Inventory:
    """An inventory whose manifest was read, and the places of the side that are in its bucket."""

    files: Files
    document: Document
    places: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class Inventories:
    """All inventories of a side: each of its buckets has one. ``setting`` is the setting that names them."""

    setting: str
    all: tuple[Inventory, ...]

    @property
    def created_at_utc(self) -> datetime:
        """When S3 began to make the oldest one."""
        return min(each.document.created_at_utc for each in self.all)

    def __str__(self) -> str:
        """Return the words by which certificate and plan call it."""
        return inventory_of(self.created_at_utc)


async def open_inventories(
    named: Sequence[str], side: Side, places: Sequence[Place], folder: Path, clock: Clock = SYSTEM
) -> Inventories:
    """Read the manifests that a side's setting names: paths, and ``s3://`` URLs, which the side's own client reads.

    Data files from there come to ``folder``. Raises ``UsageError`` where one is no inventory that can be read, of a
    bucket that is none of the side's or has one already, of a time to come by ``clock``, or where a bucket has none;
    ``S3Error`` as well.
    """
    setting = f"INVENTORY_{side.name.upper()}"
    buckets = dict.fromkeys(place.bucket for place in places)
    found: dict[str, Inventory] = {}
    for each in named:
        files = _files(each, side, folder)
        try:
            content = await files.read_manifest()
        except UsageError as error:
            raise UsageError(f"{setting}: {error}", hint=error.hint) from error
        now_utc = datetime.fromtimestamp(clock.unix_time(), UTC)
        document = read_document(content, f"{setting}: {files}", now_utc)
        bucket = document.source_bucket
        if bucket not in buckets:
            text = f"{setting}: {files} is an inventory of the bucket {bucket}, and {side.name} is in {_all(buckets)}"
            raise UsageError(text, hint=f"Give an inventory of {_all(buckets)}.")
        if bucket in found:
            text = f"{setting}: {found[bucket].files} and {files} are both of the bucket {bucket}"
            raise UsageError(text, hint="Give one inventory of the whole bucket.")
        found[bucket] = Inventory(files, document, tuple(place for place in places if place.bucket == bucket))
    if lacking := [bucket for bucket in buckets if bucket not in found]:
        text = f"{setting}: there is no inventory of {_all(lacking)}, and {side.name} has objects there"
        raise UsageError(text, hint="Give one of each bucket, with commas between them, or none.")
    return Inventories(setting, tuple(found.values()))


def _files(named: str, side: Side, folder: Path) -> Files:
    place = manifest_place(named)
    if place is None:
        return LocalFiles(Path(named).expanduser())
    return StoreFiles(side.store, Location(*place), folder / f"inventory-{side.name}.tmp")


def _all(buckets: Sequence[str] | dict[str, None]) -> str:
    return ", ".join(buckets)
