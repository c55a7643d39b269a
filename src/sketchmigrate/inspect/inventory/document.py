"""What the ``manifest.json`` of an S3 Inventory says. Pure.

Source: S3 User Guide, "Locating your inventory list" (the manifest) and "Amazon S3 Inventory list" (the columns).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from sketchmigrate.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

_PARQUET_COLUMN = re.compile(r"\b(?:required|optional)\s+\w+\s+(\w+)").findall
_MD5 = re.compile(r"[0-9a-f]{32}").fullmatch


class FileFormat(StrEnum):
    """The formats of inventories that are read."""

    CSV = "CSV"
    PARQUET = "Parquet"


class Column(StrEnum):
    """The columns that are read, as the inventory's settings name them."""

    KEY = "Key"
    SIZE = "Size"
    ETAG = "ETag"
    MODIFIED = "LastModifiedDate"
    STORAGE_CLASS = "StorageClass"
    IS_LATEST = "IsLatest"
    IS_DELETE_MARKER = "IsDeleteMarker"


AHEAD_AT_MOST = timedelta(days=1)
"""So far an inventory's time may be ahead of this machine's: clocks differ, but not by more."""

NEEDED = (Column.KEY, Column.SIZE, Column.ETAG, Column.MODIFIED)


@dataclass(frozen=True, slots=True)
class DataFile:
    """A file that has a part of the list: its key in the bucket of the inventory, and its MD5 in hex."""

    key: str
    size_bytes: int
    md5: str

    @property
    def is_compressed(self) -> bool:
        """Whether it is compressed as a whole, with gzip."""
        return self.key.endswith(".gz")


@dataclass(frozen=True, slots=True)
class Document:
    """A manifest. ``columns`` are the names of all columns, in their order, as the files have them."""

    source_bucket: str
    created_at_utc: datetime
    file_format: FileFormat
    columns: tuple[str, ...]
    files: tuple[DataFile, ...]

    def place_of(self, column: Column) -> int | None:
        """Return the place of a column among all, None where it is missing."""
        return next((n for n, name in enumerate(self.columns) if _plain(name) == _plain(column)), None)


def read_document(content: bytes, named: str, now_utc: datetime) -> Document:
    """Read a manifest; messages call it as it is ``named``.

    Raises ``UsageError`` where it is none, of a format that is not read, without a column that is needed, or of a time
    more than a day ahead of ``now_utc``.
    """
    try:
        told: dict[str, Any] = json.loads(content)
        file_format, schema = str(told["fileFormat"]), str(told["fileSchema"])
        created_at = datetime.fromtimestamp(int(told["creationTimestamp"]) / 1000, UTC)
        files = tuple(_file(each) for each in told["files"])
        bucket = str(told["sourceBucket"])
    except (ValueError, KeyError, TypeError, OverflowError, OSError) as error:
        hint = "Give the manifest.json of an S3 Inventory."
        raise UsageError(f"{named} is not the manifest of an S3 Inventory", hint=hint) from error
    if file_format not in list(FileFormat):
        text = f"{named}: an inventory of the format {file_format} cannot be read"
        raise UsageError(text, hint="Set the inventory to Parquet, or to CSV, and wait for the next one.")
    found = Document(
        bucket.removeprefix("arn:aws:s3:::"),
        created_at,
        FileFormat(file_format),
        _columns(FileFormat(file_format), schema),
        files,
    )
    if missing := [column for column in NEEDED if found.place_of(column) is None]:
        hint = f"Add to the inventory's optional fields: {', '.join(missing)}. Then wait for the next one."
        raise UsageError(f"{named}: the inventory lacks {_listed(missing)}", hint=hint)
    if created_at - now_utc > AHEAD_AT_MOST:
        times = f"of {created_at:%Y-%m-%d %H:%M:%S} UTC, and this machine's clock says {now_utc:%Y-%m-%d %H:%M:%S} UTC"
        hint = "Is the creationTimestamp of the manifest right (milliseconds since 1970), and is this machine's clock?"
        raise UsageError(f"{named}: the inventory is {times}", hint=hint)
    return found


def _file(told: dict[str, Any]) -> DataFile:
    file = DataFile(str(told["key"]), int(told["size"]), str(told["MD5checksum"]).lower())
    if not file.key or file.size_bytes < 0 or not _MD5(file.md5):
        raise ValueError("no file of an inventory")
    return file


def _columns(file_format: FileFormat, schema: str) -> tuple[str, ...]:
    if file_format is FileFormat.PARQUET:
        return tuple(_PARQUET_COLUMN(schema))
    return tuple(name.strip() for name in schema.split(","))


def _plain(name: str) -> str:
    """Return what a name has in common in both formats: ``LastModifiedDate`` and ``last_modified_date`` are one."""
    return name.replace("_", "").lower()


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)
