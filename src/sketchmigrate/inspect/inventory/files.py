"""Where the files of an inventory are: on this machine, or in the store of the side that it is of."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import md5
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from sketchmigrate.core.errors import InventoryDamaged, ObjectMissing, RunDirectoryError, UsageError
from sketchmigrate.core.objects import Location
from sketchmigrate.ledger.disk import disk_hint

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from sketchmigrate.inspect.inventory.document import DataFile
    from sketchmigrate.s3 import S3Client

PIECE_BYTES = 8 * 2**20
"""So much of a data file is in memory at once."""

MOST_MANIFEST_BYTES = 64 * 2**20
"""A manifest has about 200 bytes for each data file."""

_ANOTHER = "Copy it anew, or give another inventory."


class Files(Protocol):
    """The files of one inventory. ``str`` of it is where its manifest is."""

    async def read_manifest(self) -> bytes:
        """Return the manifest. Raises ``UsageError`` where there is none."""

    def data_file(self, file: DataFile) -> AbstractAsyncContextManager[Path]:
        """Have a data file on this machine for a while. Raises ``InventoryDamaged`` where its MD5 is another one."""


@dataclass(frozen=True, slots=True)
class LocalFiles:
    """Files on this machine: a copy of the bucket, or the data files beside the manifest, or in ``data`` above it."""

    manifest: Path

    def __str__(self) -> str:
        return str(self.manifest)

    async def read_manifest(self) -> bytes:
        """Return the manifest."""
        try:
            return await asyncio.to_thread(self.manifest.read_bytes)
        except OSError as error:
            raise UsageError(f"{self} cannot be read: {error.strerror or error}") from error

    @asynccontextmanager
    async def data_file(self, file: DataFile) -> AsyncIterator[Path]:
        """Find a data file. Raises ``InventoryDamaged`` where it is nowhere as well."""
        path = next((path for path in self._places(file) if path.is_file()), None)
        if path is None:
            hint = "Copy it beside the manifest, or give the manifest's s3:// URL."
            raise InventoryDamaged(f"{file.key}, a file of the inventory {self}, is not on this machine", hint=hint)
        try:
            found = await asyncio.to_thread(_md5_of, path)
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error
        check_md5(str(path), found, file)
        yield path

    def _places(self, file: DataFile) -> list[Path]:
        folder, name = self.manifest.absolute().parent, Path(file.key).name
        copies_of_the_bucket = (each / file.key.lstrip("/") for each in (folder, *folder.parents))
        return [folder / name, folder.parent / "data" / name, *copies_of_the_bucket]


@dataclass(frozen=True, slots=True)
class StoreFiles:
    """Files in a store: each is brought to ``scratch``, one after the other, and deleted there after it was read."""

    store: S3Client
    manifest: Location
    scratch: Path

    def __str__(self) -> str:
        return str(self.manifest)

    async def read_manifest(self) -> bytes:
        """Return the manifest. Raises ``S3Error``."""
        try:
            return await self.store.get(self.manifest, 0, MOST_MANIFEST_BYTES - 1)
        except ObjectMissing as error:
            raise UsageError(f"{self} is not there", hint=error.hint) from error

    @asynccontextmanager
    async def data_file(self, file: DataFile) -> AsyncIterator[Path]:
        """Bring a data file. Raises ``S3Error`` and ``RunDirectoryError`` as well."""
        source = Location(self.manifest.bucket, file.key)
        try:
            try:
                found = await self._bring(source, file)
            except OSError as error:
                text = f"{self.scratch} cannot be written: {error.strerror or error}"
                raise RunDirectoryError(text, hint=disk_hint(error)) from error
            check_md5(str(source), found, file)
            yield self.scratch
        finally:
            self.scratch.unlink(missing_ok=True)

    async def _bring(self, source: Location, file: DataFile) -> str:
        """Write a data file to ``scratch``, and return the MD5 of what came."""
        found = await self.store.find(source)
        if found is None:
            text = f"{source}, a file of the inventory {self}, is not there"
            raise InventoryDamaged(text, hint="Give a newer inventory.")
        if found.size_bytes != file.size_bytes:
            text = f"{source} has {found.size_bytes} bytes, and by the inventory's manifest {file.size_bytes}"
            raise InventoryDamaged(text, hint=_ANOTHER)
        hashed = md5(usedforsecurity=False)
        self.scratch.touch(mode=0o600)
        with self.scratch.open("wb") as written:
            for first in range(0, file.size_bytes, PIECE_BYTES):
                last = min(first + PIECE_BYTES, file.size_bytes) - 1
                piece = await self.store.get(source, first, last, if_match=found.etag)
                hashed.update(piece)
                await asyncio.to_thread(written.write, piece)
        return hashed.hexdigest()


def check_md5(named: str, found: str, file: DataFile) -> None:
    """Raise ``InventoryDamaged`` where the MD5 of a data file is not the one that the manifest has."""
    if found != file.md5:
        text = f"{named} is not the file that the inventory's manifest names: its MD5 is {found}, there {file.md5}"
        raise InventoryDamaged(text, hint=_ANOTHER)


def _md5_of(path: Path) -> str:
    hashed = md5(usedforsecurity=False)
    with path.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            hashed.update(piece)
    return hashed.hexdigest()
