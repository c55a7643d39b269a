"""One object of several gigabytes on its way from one store into another: in parts, within memory, and as it was."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.processes import ROOT, measured, succeeded

from sketchmigrate.s3.streamed_parts import USUAL_PART_BYTES
from tests.e2e.two_stores import TwoStores
from tests.proved import keep_races
from tests.servers.stores import new_buckets, rclone_server
from tests.soak.story import Story

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.stores import Store
    from tests.soak.servers import Servers

KEY, TARGET_KEY = "image/large.bin", "avatar/large.bin"

MOST_BYTES = 128_000_000 + 100_000_000
"""In memory: STREAM_MEMORY, and all else that the process has."""

LONGEST_SECONDS = 3_600


@dataclass(slots=True)
class Streamed(Story):
    """What has happened, as far as it came."""

    seconds: float = 0.0
    peak_bytes: int = 0
    parts: int = 0


def stream_large(servers: Servers, size_bytes: int, folder: Path, done: Streamed) -> None:
    """Migrate a row whose object is a sparse file behind rclone's server into SeaweedFS, in an empty folder.

    Raises ``AssertionError`` or whatever is not as promised.
    """
    assert shutil.disk_usage(folder).free > 1.2 * size_bytes, "SeaweedFS stores all of it, and the disk has no room"
    databases = servers.databases_of(servers.databases[0])
    with rclone_server(folder / "legacy") as legacy_server, databases.fresh() as database:
        legacy, production = new_buckets(legacy_server), new_buckets(servers.store("seaweed"))
        site = TwoStores(database, production, folder, legacy=legacy)
        file = folder / "legacy" / legacy.legacy_bucket / KEY
        marks = _make(file, size_bytes)
        database.create_avatars([KEY])
        done.say(f"{size_bytes:,} bytes in a sparse file; rclone's server makes their MD5")
        patient = legacy_server.client(read_timeout_seconds=LONGEST_SECONDS)
        patient.head_object(Bucket=legacy.legacy_bucket, Key=KEY)  # it keeps it
        keep_races(folder / "runs", production)
        command = [sys.executable, ROOT / "sketch_migrate.py", "-y", "--json"]
        used = succeeded(
            measured(command, environ=site.settings, cwd=folder, timeout_seconds=LONGEST_SECONDS), "the migration"
        )
        done.seconds, done.peak_bytes = used.wall_seconds, 1024 * used.peak_kib
        assert json.loads(used.out)["outcomes"]["migrated"] == 1, used.out
        assert database.paths() == {1: TARGET_KEY}
        done.parts = _compare(production, file, marks)
        assert done.peak_bytes <= MOST_BYTES, f"{done.peak_bytes:,} bytes were in memory"
        production.delete_all(production.production_bucket, [TARGET_KEY])


def _make(file: Path, size_bytes: int) -> dict[int, bytes]:
    """Make a sparse file with marks here and there, by which parts differ; return the marks by their place."""
    file.parent.mkdir()
    marks = {place: f"at {place:15}".encode() for place in (0, size_bytes // 3, size_bytes // 2, size_bytes - 100)}
    with file.open("wb") as sparse:
        sparse.truncate(size_bytes)
        for place, mark in marks.items():
            sparse.seek(place)
            sparse.write(mark)
    return marks


def _compare(production: Store, file: Path, marks: dict[int, bytes]) -> int:
    """See that production has the file, by the ETag of its parts, and each mark in its place; return how many parts."""
    digests = []
    with file.open("rb") as content:
        while piece := content.read(USUAL_PART_BYTES):
            digests.append(hashlib.md5(piece, usedforsecurity=False).digest())
    etag = f'"{hashlib.md5(b"".join(digests), usedforsecurity=False).hexdigest()}-{len(digests)}"'
    where = {"Bucket": production.production_bucket, "Key": TARGET_KEY}
    found = production.client.head_object(**where)
    assert (found["ContentLength"], found["ETag"]) == (file.stat().st_size, etag)
    for place, mark in marks.items():
        part = production.client.get_object(**where, Range=f"bytes={place}-{place + len(mark) - 1}")
        assert part["Body"].read() == mark
    return len(digests)
