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

from sketchmigrate.core.errors import DatabaseError, RunDirectoryError, UsageError
from sketchmigrate.core.outcome import Outcome, Problem, Result
from sketchmigrate.core.reason import ReasonKind, because, refused_by_database
from sketchmigrate.core.reference import Key, Reference
from sketchmigrate.ledger import Flip, PastFiles, SqliteLedger, find_ledgers
from sketchmigrate.ledger.contract import EDITION
from sketchmigrate.ledger.disk import MOST_JOURNAL_BYTES
from sketchmigrate.ledger.sqlite.batch import MOST_FLIPS
from tests.reasons import PROBLEM_GROUPS, some_problems, told

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def _flip(key: Key) -> Flip:
    return Flip(key, f"image/{key}", f"avatar/{key}", 12, "etag")


def _read(path: Path, statement: str) -> Sequence[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as database:
        return database.execute(statement).fetchall()


async def test_flips_hold_all_that_undoes_them(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    async with SqliteLedger(path, description={"table": "avatars"}) as ledger:
        for key in (1, "a", UUID(int=5)):
            await ledger.record_flips([_flip(key)], unix_time=7.5)
    assert _read(path, "SELECT * FROM flip") == [
        (1, "image/1", "avatar/1", 12, "etag", 7.5, 0, 0, 0, ""),
        ("a", "image/a", "avatar/a", 12, "etag", 7.5, 0, 0, 0, ""),
        (str(UUID(int=5)), f"image/{UUID(int=5)}", f"avatar/{UUID(int=5)}", 12, "etag", 7.5, 0, 0, 0, ""),
    ]
    assert _read(path, "SELECT * FROM run") == [("table", "avatars")]
    assert path.stat().st_mode & 0o777 == 0o600


async def test_a_batch_that_takes_several_rows_and_what_a_copy_did_not_tell(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    flips = [Flip(n, f"image/{n}", f"avatar/{n}", None, "", copied=n % 2 == 0) for n in range(2 * MOST_FLIPS + 1)]
    async with SqliteLedger(path, description={}) as ledger:
        await ledger.record_flips(flips, unix_time=7.5)
    expected = [(f.key, f.old_path, f.new_path, None, "", 7.5, int(f.copied), 0, 0, "") for f in flips]
    assert _read(path, "SELECT * FROM flip ORDER BY key") == expected


async def test_what_is_recorded_is_on_the_disk_and_not_on_its_way(tmp_path: Path) -> None:
    """No kill shows it, only a power cut: so the setting is looked at (sqlite.org/pragma.html, "synchronous")."""
    async with SqliteLedger(tmp_path / "ledger.sqlite", description={}) as ledger:
        execute = ledger._database.execute  # noqa: SLF001 # nothing else tells it of an open connection
        assert execute("PRAGMA synchronous").fetchone() == (2,)
        assert execute("PRAGMA journal_mode").fetchone() == ("wal",)


async def test_a_further_pass_skips_what_is_known_unless_its_path_changed(tmp_path: Path) -> None:
    known, changed, fresh = Reference(1, "image/a"), Reference(2, "image/b"), Reference(3, "image/c")
    async with SqliteLedger(tmp_path / "ledger.sqlite", description={}) as ledger:
        await ledger.record_not_flipped(
            [
                Result(known, Outcome.MISSING, told("gone")),
                Result(Reference(2, "image/before"), Outcome.FAILED, told("no")),
            ]
        )
        assert await ledger.without_unresolved([known, changed, fresh]) == [changed, fresh]


async def test_problems_are_listed_with_their_reason(tmp_path: Path) -> None:
    refused = refused_by_database(DatabaseError("because", hint="Mend it.", sqlstate="23514"))
    nasty = Result(Reference(2, 'image/"quoted",\nnext'), Outcome.FAILED, refused)
    missing = Result(Reference(1, "image/é"), Outcome.MISSING, because(ReasonKind.NO_LEGACY_OBJECT))
    about = {"table": "avatars", "path_column": "path"}
    async with SqliteLedger(tmp_path / "ledger.sqlite", description=about) as ledger:
        await ledger.record_not_flipped([nasty, missing])
        assert await ledger.first_unresolved(1) == (Problem(0, missing),)
        await ledger.write_problems(tmp_path / "problems.csv")
    with (tmp_path / "problems.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows == [
        ["key", "path", "outcome", "reason", "kind", "code", "status", "hint", "source"],
        ["2", 'image/"quoted",\nnext', "failed", "because", "database_error", "23514", "", "Mend it.", "avatars.path"],
        ["1", "image/é", "missing", "there is no legacy object", "no_legacy_object", "", "", "", "avatars.path"],
    ]


async def test_problems_are_counted_by_their_reason_the_most_frequent_first(tmp_path: Path) -> None:
    async with SqliteLedger(tmp_path / "ledger.sqlite", description={}) as ledger:
        await ledger.record_not_flipped(some_problems())
        assert await ledger.problem_groups() == PROBLEM_GROUPS


async def test_a_ledger_of_a_later_edition_is_refused(tmp_path: Path) -> None:
    async with SqliteLedger(tmp_path / "ledger.sqlite", description={}) as ledger:
        await ledger.record_flips([_flip(1)], unix_time=7.5)
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as database:
        database.execute(f"PRAGMA user_version = {EDITION + 1}")
    with pytest.raises(UsageError, match=f"of edition {EDITION + 1}, and this version knows"), PastFiles(tmp_path):
        pass


async def test_what_was_not_flipped_is_on_record_and_is_no_problem_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    already, superseded = Reference(1, "image/a"), Reference(2, "image/b")
    async with SqliteLedger(path, description={}) as ledger:
        await ledger.record_not_flipped([Result(already, Outcome.ALREADY), Result(superseded, Outcome.SUPERSEDED)])
        assert await ledger.first_unresolved(9) == ()
        assert len(await ledger.first_unresolved(9, [Outcome.SUPERSEDED])) == 1
        assert await ledger.without_unresolved([already, superseded]) == [already, superseded], "the next pass may try"
    assert _read(path, "SELECT key, outcome, reason FROM not_flipped") == [
        (1, "already", ""),
        (2, "superseded", ""),
    ]


async def test_a_row_costs_at_most_80_bytes(tmp_path: Path) -> None:
    """Of realistic paths; while it is open, the write-ahead log, which does not grow beyond some megabytes, as well."""
    async with SqliteLedger(tmp_path / "ledger.sqlite", description={}) as ledger:
        for first in range(0, 100_000, 500):
            await ledger.record_flips([_realistic(n) for n in range(first, first + 500)], unix_time=1.7e9)
        while_open = _size_bytes(tmp_path)
    assert while_open <= 80 * 100_000 + MOST_JOURNAL_BYTES
    assert _size_bytes(tmp_path) <= 80 * 100_000


def _size_bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())


def _realistic(number: int) -> Flip:
    rest = f"2026/{number % 12:02d}/{number % 28:02d}/avatar-{number + 10**8}.png"
    etag = f"{number * 0x9E3779B97F4A7C15:032x}"
    return Flip(10**8 + number, f"image/{rest}", f"avatar/{rest}", 24_113, etag)


async def _pages(run: PastFiles, page_flips: int = 5_000) -> list[list[int | str]]:
    return [[flip.key for flip in page] async for page in run.newest_first(page_flips=page_flips)]


async def test_the_past_is_read_newest_first_in_pages(tmp_path: Path) -> None:
    async with SqliteLedger(tmp_path / "ledger.sqlite", description={"table": "avatars"}) as ledger:
        await ledger.record_flips([_flip(n) for n in range(5)], unix_time=7.5)
        await ledger.record_flips([_flip("last")], unix_time=8.5)
        await ledger.record_flips([_flip(UUID(int=5))], unix_time=8.5)
        with PastFiles(tmp_path) as alive:
            assert await _pages(alive) == [[str(UUID(int=5)), "last", 4, 3, 2, 1, 0]], "also while it is written"
    with PastFiles(tmp_path) as run:
        assert (run.description, run.flips, run.last_flip_at) == ({"table": "avatars"}, 7, 8.5)
        assert await _pages(run, page_flips=3) == [[str(UUID(int=5)), "last", 4], [3, 2, 1], [0]]
    assert find_ledgers(tmp_path) == [tmp_path]


@pytest.mark.parametrize("content", [b"", b"SQLite format 3\0"], ids=["empty", "a part of the header"])
async def test_a_ledger_that_was_barely_begun_has_no_flips(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "ledger.sqlite").write_bytes(content)
    if content:
        with pytest.raises(RunDirectoryError, match="is not a database"), PastFiles(tmp_path):
            pass
        return
    with PastFiles(tmp_path) as run:
        assert (run.flips, await _pages(run)) == (0, [])


def test_a_folder_without_a_ledger_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no ledger"), PastFiles(tmp_path):
        pass
    with pytest.raises(UsageError, match="there is no folder"):
        find_ledgers(tmp_path / "absent")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode != 0:
        pytest.skip("mounting a file system takes root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


async def test_a_full_disk_stops_before_the_flip_and_keeps_what_was_written(small_disk: Path) -> None:
    kept = 0

    async def fill() -> None:
        nonlocal kept
        async with SqliteLedger(small_disk / "ledger.sqlite", description={}) as ledger:
            while True:
                await ledger.record_flips([_realistic(n) for n in range(kept, kept + 100)], unix_time=1.0)
                kept += 100

    with pytest.raises(RunDirectoryError, match="full") as caught:
        await fill()
    assert "Free space" in caught.value.hint
    assert kept > 0
    with PastFiles(small_disk) as run:
        read = [key for page in await _pages(run) for key in page]
    assert read == [10**8 + n for n in reversed(range(kept))]


@pytest.mark.parametrize("recovered", [False, True])
def test_a_ledger_on_a_medium_that_cannot_be_written_is_read(small_disk: Path, *, recovered: bool) -> None:
    """Also that of a killed run, whose last flips are in the write-ahead log, without its shared-memory file."""
    path = small_disk / "ledger.sqlite"
    _write_and_kill(path)
    if recovered:
        assert _read(path, "PRAGMA wal_checkpoint(TRUNCATE)")[0][0] == 0
    else:
        Path(f"{path}-shm").unlink()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with PastFiles(small_disk) as run:
        assert asyncio.run(_pages(run)) == [[1]]


async def test_a_ledger_that_cannot_be_made_names_its_file(tmp_path: Path) -> None:
    with pytest.raises(RunDirectoryError, match=r"absent/ledger\.sqlite"):
        async with SqliteLedger(tmp_path / "absent" / "ledger.sqlite", description={}):
            pass


WRITE_AND_WAIT = """
import asyncio, sys
from pathlib import Path
from sketchmigrate.ledger import Flip, SqliteLedger
from sketchmigrate.core.reference import Reference
async def write():
    async with SqliteLedger(Path(sys.argv[1]), description={}) as ledger:
        await ledger.record_flips([Flip(1, "image/1", "avatar/1", None, "")], unix_time=1.0)
        print("recorded", flush=True)
        await asyncio.sleep(60)
asyncio.run(write())
"""


def _write_and_kill(path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", WRITE_AND_WAIT, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "recorded\n"
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    process.stdout.close()


def test_a_recorded_flip_survives_kill_9_and_a_torn_write_behind_it(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    _write_and_kill(path)
    journal = Path(f"{path}-wal")
    assert journal.stat().st_size > 0, "the flip is expected in the write-ahead log: nothing has checkpointed it"
    with journal.open("ab") as file:
        file.write(b"\x37\x7f\x06\x82 torn in the middle of a frame")
    assert _read(path, "SELECT key, old_path, new_path FROM flip") == [(1, "image/1", "avatar/1")]


async def test_a_cancelled_writer_leaves_a_whole_record(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    async with SqliteLedger(path, description={}) as ledger:
        task = asyncio.create_task(ledger.record_flips([_flip(n) for n in range(1000)], unix_time=1.0))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert _read(path, "SELECT count(*) FROM flip") == [(1000,)]
