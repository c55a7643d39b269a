"""The run's record: on disk before anyone goes on, readable after a crash."""

from __future__ import annotations

import asyncio
import csv
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from sketch_migrate.errors import RunDirectoryError
from sketch_migrate.ledger import Flip, Ledger
from sketch_migrate.model import Key, Outcome, Reference, Result

if TYPE_CHECKING:
    from collections.abc import Sequence


def _flip(key: Key) -> Flip:
    return Flip(Reference(key, f"image/{key}"), f"avatar/{key}", 12, "etag")


def _read(path: Path, statement: str) -> Sequence[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as database:
        return database.execute(statement).fetchall()


async def test_flips_hold_all_that_undoes_them(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    async with Ledger(path, description={"table": "avatars"}) as ledger:
        await ledger.record_flips([_flip(1), _flip("a"), _flip(UUID(int=5))], unix_time=7.5)
    assert _read(path, "SELECT * FROM flip") == [
        (1, "image/1", "avatar/1", 12, "etag", 7.5),
        ("a", "image/a", "avatar/a", 12, "etag", 7.5),
        (str(UUID(int=5)), f"image/{UUID(int=5)}", f"avatar/{UUID(int=5)}", 12, "etag", 7.5),
    ]
    assert _read(path, "SELECT * FROM run") == [("table", "avatars")]
    assert path.stat().st_mode & 0o777 == 0o600


async def test_a_further_pass_skips_what_is_known_unless_its_path_changed(tmp_path: Path) -> None:
    known, changed, fresh = Reference(1, "image/a"), Reference(2, "image/b"), Reference(3, "image/c")
    async with Ledger(tmp_path / "ledger.sqlite", description={}) as ledger:
        await ledger.record_not_flipped(
            [Result(known, Outcome.MISSING, "gone"), Result(Reference(2, "image/before"), Outcome.FAILED, "no")]
        )
        assert await ledger.without_unresolved([known, changed, fresh]) == [changed, fresh]


async def test_problems_are_listed_with_their_reason(tmp_path: Path) -> None:
    nasty = Result(Reference(2, 'image/"quoted",\nnext'), Outcome.FAILED, "because")
    missing = Result(Reference(1, "image/é"), Outcome.MISSING, "there is no legacy object")
    async with Ledger(tmp_path / "ledger.sqlite", description={}) as ledger:
        await ledger.record_not_flipped([nasty, missing])
        assert await ledger.first_unresolved(1) == (missing,)
        await ledger.write_problems(tmp_path / "problems.csv")
    with (tmp_path / "problems.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows == [
        ["key", "path", "outcome", "reason"],
        ["2", 'image/"quoted",\nnext', "failed", "because"],
        ["1", "image/é", "missing", "there is no legacy object"],
    ]


async def test_a_ledger_that_cannot_be_made_names_its_file(tmp_path: Path) -> None:
    with pytest.raises(RunDirectoryError, match=r"absent/ledger\.sqlite"):
        async with Ledger(tmp_path / "absent" / "ledger.sqlite", description={}):
            pass


WRITE_AND_WAIT = """
import asyncio, sys
from pathlib import Path
from sketch_migrate.ledger import Flip, Ledger
from sketch_migrate.model import Reference
async def write():
    async with Ledger(Path(sys.argv[1]), description={}) as ledger:
        await ledger.record_flips([Flip(Reference(1, "image/1"), "avatar/1", None, "")], unix_time=1.0)
        print("recorded", flush=True)
        await asyncio.sleep(60)
asyncio.run(write())
"""


def test_a_recorded_flip_survives_kill_9_and_a_torn_write_behind_it(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    process = subprocess.Popen([sys.executable, "-c", WRITE_AND_WAIT, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "recorded\n"
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    process.stdout.close()
    journal = Path(f"{path}-wal")
    assert journal.stat().st_size > 0, "the flip is expected in the write-ahead log: nothing has checkpointed it"
    with journal.open("ab") as file:
        file.write(b"\x37\x7f\x06\x82 torn in the middle of a frame")
    assert _read(path, "SELECT key, old_path, new_path FROM flip") == [(1, "image/1", "avatar/1")]


async def test_a_cancelled_writer_leaves_a_whole_record(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    async with Ledger(path, description={}) as ledger:
        task = asyncio.create_task(ledger.record_flips([_flip(n) for n in range(1000)], unix_time=1.0))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert _read(path, "SELECT count(*) FROM flip") == [(1000,)]
