"""The ledgers of several processes: what each attempt put on record, and all of them read as one run."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import UUID

from sketchmigrate.core.mapping import Move
from sketchmigrate.core.objects import Location as Place
from sketchmigrate.core.outcome import Outcome, Problem, Result, Tally
from sketchmigrate.core.reference import KeyRange, Reference
from sketchmigrate.ledger import Flip, FolderPlace, PastFiles, RunLedger
from tests.reasons import told

if TYPE_CHECKING:
    from pathlib import Path

    from sketchmigrate.core.reference import Key
    from sketchmigrate.ledger.sqlite.workers import WorkerFile

FIRST, SECOND = KeyRange(None, 10), KeyRange(10, None)


def flip(key: Key) -> Flip:
    return Flip(key, f"image/{key}", f"avatar/{key}", 5, "etag", copied=True)


def left(key: Key, outcome: Outcome, reason: str = "for a reason") -> Result:
    return Result(Reference(key, f"image/{key}"), outcome, told(reason))


def whole(folder: Path) -> RunLedger:
    return RunLedger(folder / "ledger.sqlite", description={"command": "migrate"})


def ledger_of(number: int, folder: Path) -> WorkerFile:
    return FolderPlace(folder).open(f"worker-{number}", asyncio.Event())


async def test_attempts_are_told_apart_and_one_without_an_end_has_no_tally(tmp_path: Path) -> None:
    async with whole(tmp_path) as ledger, ledger_of(1, tmp_path) as worker:
        assert await worker.begin_attempt(1, 1, FIRST) == 1
        await worker.record_flips([flip(1), flip(2)], unix_time=1.0)
        await worker.record_not_flipped([left(2, Outcome.SUPERSEDED)])
        await worker.end_attempt(Tally(migrated=1, superseded=1), is_clean=True)
        assert await worker.begin_attempt(1, 2, SECOND) == 2
        assert [each.number for each in await ledger.attempts(1)] == [1], "nothing is on record of the second one"
        await worker.record_flips([flip(11)], unix_time=2.0)
        ended, running = await ledger.attempts(1)
        assert (ended.worker, ended.range_number, ended.tally) == ("worker-1", 1, Tally(migrated=1, superseded=1))
        assert (running.range_number, running.tally, running.is_clean) == (2, None, False)
        assert await ledger.attempts(2) == []
        words = await ledger.words([ended, running])
        assert [(word.attempt.number, word.reference.key, word.outcome) for word in words] == [
            (1, 1, None),
            (1, 2, None),
            (1, 2, Outcome.SUPERSEDED),
            (2, 11, None),
        ]


async def test_a_worker_that_goes_on_in_its_file_counts_on(tmp_path: Path) -> None:
    async with whole(tmp_path):
        for number in (1, 2):
            async with ledger_of(1, tmp_path) as worker:
                assert await worker.begin_attempt(1, 1, FIRST) == number
                await worker.end_attempt(Tally(), is_clean=False)


async def test_what_one_left_in_a_pass_every_other_skips_in_the_next(tmp_path: Path) -> None:
    missing, changed = left(1, Outcome.MISSING), left(2, Outcome.SUPERSEDED)
    known, other = missing.reference, changed.reference
    async with (
        whole(tmp_path) as ledger,
        ledger_of(1, tmp_path) as one,
        ledger_of(2, tmp_path) as two,
    ):
        await one.begin_attempt(1, 1, FIRST)
        await one.record_not_flipped([missing, changed])
        await one.end_attempt(Tally(missing=1, superseded=1), is_clean=True)
        assert await two.without_unresolved([known, other]) == [known, other], "the pass is not over"
        await ledger.take_over(await ledger.attempts(1))
        assert await two.without_unresolved([known, other]) == [other]
        assert await ledger.first_unresolved(5) == (Problem(0, missing._replace(size_bytes=None)),)
        await two.begin_attempt(2, 1, FIRST)
        await two.record_flips([Flip(*known, "avatar/1", None, "")], unix_time=3.0)
        await two.end_attempt(Tally(migrated=1), is_clean=True)
        await ledger.take_over(await ledger.attempts(2))
        assert await ledger.first_unresolved(5) == (), "it was flipped since"


async def test_a_run_is_read_from_all_its_files_the_newest_flip_first(tmp_path: Path) -> None:
    keys = [UUID(int=number) for number in range(6)]
    async with (
        whole(tmp_path) as ledger,
        ledger_of(1, tmp_path) as one,
        ledger_of(2, tmp_path) as two,
    ):
        for number, key in enumerate(keys):
            worker = (one, two)[number % 2]
            await worker.begin_attempt(1, number, FIRST)
            await worker.record_flips([flip(key)], unix_time=float(number))
            await worker.end_attempt(Tally(migrated=1), is_clean=True)
        await two.record_not_flipped([left(keys[5], Outcome.FAILED)])
        with PastFiles(tmp_path) as run:
            assert run.description["command"] == "migrate"
            assert (run.flips, run.last_flip_at) == (6, 5.0)
            pages = [page async for page in run.newest_first(page_flips=2)]
            assert [[flip.key for flip in page] for page in pages] == [
                [str(keys[4]), str(keys[3])],
                [str(keys[2]), str(keys[1])],
                [str(keys[0])],
            ], "the last one did not come about, its worker says"
            assert [each.was_made([]) for each in run.flips_of([str(keys[0]), str(keys[5])])] == [True, False]
        assert await ledger.first_unresolved(5) == ()


async def test_copies_without_a_condition_are_settled_whoever_made_them(tmp_path: Path) -> None:
    moves = [
        Move(Reference(key, f"image/{key}"), f"avatar/{key}", Place("l", "x"), Place("p", "x")) for key in range(4)
    ]
    async with (
        whole(tmp_path) as ledger,
        ledger_of(1, tmp_path) as one,
        ledger_of(2, tmp_path) as two,
    ):
        await one.open_copies(moves[:2])
        await two.open_copies(moves[1:])
        with PastFiles(tmp_path) as run:
            assert [copy.key for copy in run.unsettled(None, 3)] == [0, 1, 2]
            assert [copy.key for copy in run.unsettled(2, 3)] == [3]
        await ledger.settle_copies([1, 2])
        with PastFiles(tmp_path) as run:
            assert [copy.key for copy in run.unsettled(None, 9)] == [0, 3]
