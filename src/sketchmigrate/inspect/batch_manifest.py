"""Lists of objects for S3 Batch Operations: CSV without a header, the bucket and the URL-encoded key of each object.

Source: S3 User Guide, "Creating an S3 Batch Operations job", "Specifying a manifest".
"""

from __future__ import annotations

import asyncio
from hashlib import md5
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from sketchmigrate.core.errors import RunDirectoryError
from sketchmigrate.ledger.disk import disk_hint

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

FORMAT = "S3BatchOperations_CSV_20180820"
"""How AWS calls it."""

MOST_BYTES = 10**9
"""The most that one file has: S3 takes no larger manifest."""

_WRITE_BYTES = 2**20


class BatchManifest(NamedTuple):
    """One file, its number of objects, and the ETag that it has once it is put into a bucket in one request."""

    path: Path
    objects: int
    etag: str


async def write_batch_manifest(
    objects: AsyncIterator[Sequence[tuple[str, str]]], path: Path, *, most_bytes: int = MOST_BYTES
) -> list[BatchManifest]:
    """Write objects, each a bucket and a key, into a file; into further ones (``…-2.csv``) where one is full.

    Nothing is written where there is no object. The files are for their owner alone. Raises ``RunDirectoryError``.
    """
    written: list[BatchManifest] = []
    file: _File | None = None
    async for some in objects:
        for bucket, key in some:
            line = f"{bucket},{quote(key)}\n".encode()  # what is left of a key needs no quotes: no comma, no line break
            if file is not None and file.size_bytes + len(line) > most_bytes:
                written.append(await file.close())
                file = None
            if file is None:
                number = len(written) + 1
                file = _File(path if number == 1 else path.with_stem(f"{path.stem}-{number}"))
            await file.add(line)
    if file is not None:
        written.append(await file.close())
    return written


class _File:
    """A file that is being written, some of it in memory still."""

    def __init__(self, path: Path) -> None:
        self._path, self._objects = path, 0
        self._md5 = md5(usedforsecurity=False)
        self._waiting = bytearray()
        self._is_new = True
        self.size_bytes = 0

    async def add(self, line: bytes) -> None:
        """Add the line of one object."""
        self._objects += 1
        self.size_bytes += len(line)
        self._waiting += line
        if len(self._waiting) >= _WRITE_BYTES:
            await self._write()

    async def close(self) -> BatchManifest:
        """Write all that is left, and return what it is."""
        await self._write()
        return BatchManifest(self._path, self._objects, self._md5.hexdigest())

    async def _write(self) -> None:
        content, self._waiting = bytes(self._waiting), bytearray()
        self._md5.update(content)
        try:
            await asyncio.to_thread(self._append, content)
        except OSError as error:
            text = f"{self._path} cannot be written: {error.strerror or error}"
            raise RunDirectoryError(text, hint=disk_hint(error)) from error

    def _append(self, content: bytes) -> None:
        if self._is_new:
            self._path.touch(mode=0o600)
        with self._path.open("wb" if self._is_new else "ab") as file:
            file.write(content)
        self._is_new = False
