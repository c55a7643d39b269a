"""What is written to find something out is on record in RUN_DIR first, so that nothing of it outlives a kill for long.

All of that goes into folders of random names below the production prefix (``s3.probe.folder``): the objects of a probe,
the upload that tries the right to write, the tags that are set on nothing. Before a folder is used, a file in RUN_DIR
names it; when it is empty again the file goes. A file whose process has died is one that nobody has locked any more
(flock(2)): the next run, and ``probe``, empty its folder.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import re
import secrets
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sketchmigrate.core.errors import RunDirectoryError, S3Error
from sketchmigrate.core.objects import Location
from sketchmigrate.s3.probe.folder import PROBE_FOLDER, ProbeFolder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sketchmigrate.sides import Side

_FILES = "probe-*.json"
_FOLDER = re.compile(rf"{re.escape(PROBE_FOLDER)}[0-9a-f]{{12}}/")
_MOST_BYTES = 2**16


@dataclass(slots=True)
class Record:
    """The file about one folder, locked for as long as this process uses it."""

    path: Path
    place: Location
    handle: int

    def forget(self) -> None:
        """Remove the file: nothing is left in the folder."""
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the file; if it is still there, the next run looks at its folder."""
        os.close(self.handle)


@asynccontextmanager
async def recorded_folder(side: Side, run_dir: str) -> AsyncIterator[ProbeFolder]:
    """Return a new folder of a side to try something in, on record until all of it is removed again at the end.

    Raises ``RunDirectoryError`` where it cannot be put on record: then nothing was written to the store.
    """
    record = await asyncio.to_thread(_begin, side, run_dir)
    folder = ProbeFolder(side.store, record.place)
    try:
        try:
            yield folder
        except S3Error as error:
            folder.is_certain = folder.is_certain and error.is_client_error
            raise
        except BaseException:
            folder.is_certain = False  # a request that was cut short may arrive yet
            raise
        finally:
            await folder.clear()
            if folder.is_certain and not folder.left_behind:
                record.forget()
    finally:
        record.close()


async def remove_left_behind(side: Side, run_dir: str) -> list[str]:
    """Remove what earlier processes left in their folders when they were killed; return what is left, and why.

    Only folders at its store and below its prefix count, and only what is still what a probe makes.
    """
    left: list[str] = []
    for path in await asyncio.to_thread(_files, run_dir):
        record = _taken_over(path, side)
        if record is None:
            continue
        try:
            folder = ProbeFolder(side.store, record.place)
            try:
                await folder.clear_past()
            except S3Error as error:
                folder.left_behind.append(f"what an earlier run made below {record.place}: {error}")
            if not folder.left_behind:
                record.forget()
            left += folder.left_behind
        finally:
            record.close()
    return left


def _files(run_dir: str) -> list[Path]:
    return sorted(Path(run_dir).expanduser().glob(_FILES))


def _begin(side: Side, run_dir: str) -> Record:
    name = secrets.token_hex(6)
    place = side.below(f"{PROBE_FOLDER}{name}/")
    content = {"endpoint_url": side.store.config.endpoint_url, "bucket": place.bucket, "folder": place.key}
    base = Path(run_dir)
    try:
        base = base.expanduser()
        base.mkdir(parents=True, exist_ok=True)
        path = base / f"probe-{name}.json"
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            os.write(handle, json.dumps(content).encode())
            os.fsync(handle)
            _sync_names(base)
        except OSError:
            path.unlink(missing_ok=True)
            os.close(handle)
            raise
    except (OSError, RuntimeError) as error:  # RuntimeError: no home folder for ~
        text = f"{base}: what is about to be tried in the store cannot be put on record there: {error}"
        raise RunDirectoryError(
            text, hint="Set RUN_DIR to a folder that you may write to, on a disk with room."
        ) from error
    return Record(path, place, handle)


def _sync_names(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _taken_over(path: Path, side: Side) -> Record | None:
    """Take over the file of a process that is gone; None for one at work, and for what is not about this place."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None  # it was removed just now, or belongs to somebody else
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        place = _place_of(os.read(handle, _MOST_BYTES), side)
        if place is not None and os.fstat(handle).st_nlink:
            return Record(path, place, handle)
    except BlockingIOError:
        pass
    os.close(handle)
    return None


def _place_of(content: bytes, side: Side) -> Location | None:
    """Return the folder that a file names, if it is one of ours at this store and below this prefix. Pure."""
    try:
        said = json.loads(content)
        endpoint_url, bucket, folder = (said[name] for name in ("endpoint_url", "bucket", "folder"))
    except (ValueError, KeyError, TypeError):
        return None
    if (endpoint_url, bucket) != (side.store.config.endpoint_url, side.bucket) or not isinstance(folder, str):
        return None
    if not folder.startswith(side.prefix) or not _FOLDER.fullmatch(folder.removeprefix(side.prefix)):
        return None
    return Location(bucket, folder)
