"""S3 Inventories as S3 writes them: a ``manifest.json`` and data files, CSV with gzip or Parquet.

Source: S3 User Guide, "Amazon S3 Inventory list" and "Locating your inventory list". The order of the columns is S3's.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import md5
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus

import duckdb

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tests.servers.stores import Store

CSV, PARQUET = "CSV", "Parquet"
OPTIONAL = ("Size", "LastModifiedDate", "ETag", "StorageClass")
OF_PARQUET = {
    "Bucket": "bucket",
    "Key": "key",
    "VersionId": "version_id",
    "IsLatest": "is_latest",
    "IsDeleteMarker": "is_delete_marker",
    "Size": "size",
    "LastModifiedDate": "last_modified_date",
    "ETag": "e_tag",
    "StorageClass": "storage_class",
}
TYPES = {"is_latest": "BOOLEAN", "is_delete_marker": "BOOLEAN", "size": "BIGINT", "last_modified_date": "TIMESTAMP_MS"}
SCHEMA_TYPES = {
    "is_latest": "boolean {}",
    "is_delete_marker": "boolean {}",
    "size": "int64 {}",
    "last_modified_date": "int64 {} (TIMESTAMP_MILLIS)",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of an inventory: an object, an old version of one, or a delete marker."""

    key: str
    size_bytes: int
    etag: str
    modified: str
    storage_class: str = "STANDARD"
    is_latest: bool = True
    is_delete_marker: bool = False

    def values(self, bucket: str) -> dict[str, Any]:
        """What each column has."""
        gone = self.is_delete_marker
        return {
            "Bucket": bucket,
            "Key": self.key,
            "VersionId": "3sL4kqtJlcpXroDTDmJ-rmSpXd3dIbrHY",
            "IsLatest": self.is_latest,
            "IsDeleteMarker": gone,
            "Size": None if gone else self.size_bytes,
            "LastModifiedDate": self.modified,
            "ETag": None if gone else self.etag,
            "StorageClass": None if gone else self.storage_class,
        }


@dataclass(frozen=True, slots=True)
class Inventory:
    """What is to be written. ``files`` are as many data files; the entries are shared among them."""

    bucket: str
    entries: tuple[Entry, ...]
    file_format: str = PARQUET
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    columns: tuple[str, ...] = ("Bucket", "Key", *OPTIONAL)
    files: int = 2

    def with_versions(self, *more: Entry) -> Inventory:
        """Return one of all versions, with these besides."""
        columns = ("Bucket", "Key", "VersionId", "IsLatest", "IsDeleteMarker", *OPTIONAL)
        return replace(self, entries=(*self.entries, *more), columns=columns)

    def write(self, folder: Path) -> Path:
        """Write it as S3 lays it out below ``folder``, as if that were the bucket; return its manifest."""
        for key, content in self.contents().items():
            path = folder / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return folder / self.manifest_key

    def put(self, store: Store, bucket: str) -> str:
        """Store it in a bucket; return the URL of its manifest."""
        store.put_all(bucket, self.contents())
        return f"s3://{bucket}/{self.manifest_key}"

    @property
    def manifest_key(self) -> str:
        """Where the manifest is."""
        return f"inventories/{self.bucket}/daily/{self.created_at:%Y-%m-%dT%H-%MZ}/manifest.json"

    def contents(self) -> Mapping[str, bytes]:
        """Return all files by their keys."""
        ending = {CSV: "csv.gz", PARQUET: "parquet"}.get(self.file_format, "orc")
        found = {
            f"inventories/{self.bucket}/daily/data/part-{number}.{ending}": self.data(
                self.entries[number :: self.files]
            )
            for number in range(self.files)
        }
        manifest = {
            "sourceBucket": self.bucket,
            "destinationBucket": "arn:aws:s3:::inventories",
            "version": "2016-11-30",
            "creationTimestamp": str(int(self.created_at.timestamp() * 1000)),
            "fileFormat": self.file_format,
            "fileSchema": self._schema(),
            "files": [
                {"key": key, "size": len(content), "MD5checksum": md5(content, usedforsecurity=False).hexdigest()}
                for key, content in found.items()
            ],
        }
        return {**found, self.manifest_key: json.dumps(manifest).encode()}

    def _schema(self) -> str:
        if self.file_format == CSV:
            return ", ".join(self.columns)
        names = [OF_PARQUET[column] for column in self.columns]
        told = [SCHEMA_TYPES.get(name, "binary {} (UTF8)").format(name) for name in names]
        return " ".join(["message s3.inventory {", *(f"optional {each};" for each in told), "}"])

    def data(self, entries: Iterable[Entry]) -> bytes:
        """Return a data file."""
        rows = [[entry.values(self.bucket)[column] for column in self.columns] for entry in entries]
        if self.file_format == CSV:
            return self._csv(rows)
        return self._parquet(rows) if self.file_format == PARQUET else b"ORC"

    def _csv(self, rows: list[list[Any]]) -> bytes:
        text = io.StringIO()
        writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
        for row in rows:
            told = [str(value).lower() if isinstance(value, bool) else value for value in row]
            key = self.columns.index("Key")
            told[key] = quote_plus(told[key], safe="/*")
            writer.writerow(["" if value is None else value for value in told])
        return gzip.compress(text.getvalue().encode())

    def _parquet(self, rows: list[list[Any]]) -> bytes:
        names = [OF_PARQUET[column] for column in self.columns]
        with duckdb.connect() as database:
            declared = ", ".join(f"{name} {TYPES.get(name, 'VARCHAR')}" for name in names)
            database.execute(f"CREATE TABLE inventory ({declared})")
            if rows:
                places = ", ".join("?" for _ in names)
                database.executemany(f"INSERT INTO inventory VALUES ({places})", rows)  # noqa: S608 - our own words
            with TemporaryDirectory() as folder:
                path = Path(folder) / "data.parquet"
                database.execute(f"COPY inventory TO '{path}' (FORMAT parquet)")
                return path.read_bytes()


def inventory_of(store: Store, bucket: str, file_format: str = PARQUET, *, later: timedelta = timedelta()) -> Inventory:
    """Return an inventory of a bucket as it is now. ``later``: it says that it is of then."""
    entries = tuple(
        Entry(key, stored.size_bytes, stored.etag.strip('"'), stored.last_modified)
        for key, stored in store.listed(bucket).items()
    )
    return Inventory(bucket, entries, file_format, datetime.now(UTC) + later)
