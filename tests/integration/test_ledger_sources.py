"""Ledgers of several sources, and of long values: in files as in a database nothing mixes, and nothing is lost."""

from __future__ import annotations

import asyncio
import csv
import json
from typing import TYPE_CHECKING

import pytest

from sketchmigrate.core.mapping import Move
from sketchmigrate.core.objects import Location
from sketchmigrate.core.outcome import Outcome, Problem, Result, Tally
from sketchmigrate.core.reason import ReasonKind, because
from sketchmigrate.core.reference import Key, KeyRange, Reference
from sketchmigrate.ledger import Flip, LedgerPlace, PastFlip, WholeLedger, past_run
from sketchmigrate.ledger.values import PAGE_BYTES, SHOWN_CHARS
from tests.reasons import told

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from sketchmigrate.ledger import Ledger
    from sketchmigrate.settings import Settings

LONG = "".join(f'<img src="image/{number}.png" alt="é\N{SNOWMAN}">\n' for number in range(200))
LONG_NEW = LONG.replace("image/1", "avatar/1")
OTHER = LONG + "edited"
"""It begins as ``LONG`` does."""


def flip(key: Key, old_path: str = "", new_path: str = "") -> Flip:
    return Flip(key, old_path or f"image/{key}", new_path or f"avatar/{key}", 12, "etag", copied=True)


def move(key: Key, old_path: str = "", new_path: str = "") -> Move:
    reference, new = Reference(key, old_path or f"image/{key}"), new_path or f"avatar/{key}"
    return Move(reference, new, Location("l", "image/x"), Location("p", "avatar/x"))


def locked(key: Key, path: str) -> Result:
    return Result(Reference(key, path), Outcome.FAILED, told(path[:9]), copied=True, size_bytes=len(path))


async def all_of(pages: AsyncIterator[list[PastFlip]]) -> list[PastFlip]:
    return [each async for page in pages for each in page]


async def test_two_sources_with_equal_keys_do_not_mix(
    settings: Settings, directory: Path, ledger: WholeLedger, tmp_path: Path
) -> None:
    await ledger.describe({"sources": json.dumps(["first", "second"])})
    overwritten = because(ReasonKind.PERHAPS_REPLACED, target="s3://b/k")
    for source, name in enumerate(("a", "b")):
        ledger.source = source
        await ledger.record_flips([flip(1, f"{name}/1"), flip(2, f"{name}/2")], unix_time=1.0 + source)
        await ledger.record_not_flipped([Result(Reference(3, f"{name}/3"), Outcome.MISSING, told(name))])
        await ledger.open_copies([move(1, f"{name}/1"), move(4, f"{name}/4")])
        await ledger.record_locked([locked(1, f"{name}/1")])
    ledger.source = 0
    await ledger.record_not_flipped(
        [Result(Reference(2, "a/2"), Outcome.SUPERSEDED), Result(Reference(5, "a/5"), Outcome.ALREADY, overwritten)]
    )
    await ledger.note_transaction([1], 77)
    assert await ledger.locked(None, 9) == [Reference(1, "a/1")]
    assert await ledger.copied_before([1]) == {1: (3, told("a/1"))}
    assert await ledger.without_unresolved([Reference(3, "a/3"), Reference(3, "b/3")]) == [Reference(3, "b/3")]
    await ledger.settle_copies([4])
    await ledger.forget_locked([1])
    assert await ledger.locked(None, 9) == []
    assert await ledger.unsettled_among([1, 4]) == {1}
    ledger.source = 1
    assert await ledger.locked(None, 9) == [Reference(1, "b/1")]
    assert await ledger.copied_before([1]) == {1: (3, told("b/1"))}
    assert await ledger.unsettled_among([1, 4]) == {1, 4}
    assert await ledger.without_unresolved([Reference(3, "a/3"), Reference(3, "b/3")]) == [Reference(3, "a/3")]
    assert [(each.source, each.result.reference) for each in await ledger.first_unresolved(9)] == [
        (0, Reference(3, "a/3")),
        (0, Reference(5, "a/5")),
        (1, Reference(3, "b/3")),
    ]
    assert [each.references for each in await ledger.problem_groups()] == [2, 1], "of both"
    await ledger.write_problems(tmp_path / "problems.csv")
    with (tmp_path / "problems.csv").open(encoding="utf-8", newline="") as file:
        assert [(row["path"], row["source"]) for row in csv.DictReader(file)] == [
            ("a/5", "first"), ("a/3", "first"), ("b/3", "second")
        ]  # fmt: skip
    with past_run(directory, settings) as run:
        assert (run.sources, run.flips) == (("first", "second"), 4)
        made = [("b/2", 1), ("b/1", 1), ("a/1", 0)]
        assert [(each.old_path, each.source) for each in await all_of(run.newest_first())] == made
        assert [(each.old_path, each.source) for each in await all_of(run.oldest_first())] == made[::-1]
        assert [each.old_path for each in await all_of(run.newest_first(source=0))] == ["a/1"]
        assert [each.old_path for each in await all_of(run.oldest_first(source=1))] == ["b/1", "b/2"]
        assert [(each.key, each.path, each.xid, each.source) for each in run.unsettled(None, 9)] == [(1, "a/1", 77, 0)]
        assert [(each.key, each.path, each.xid) for each in run.unsettled(None, 9, source=1)] == [
            (1, "b/1", None), (4, "b/4", None)
        ]  # fmt: skip
        assert [(each.flip.old_path, each.denied, each.xid) for each in run.flips_of([1, 2])] == [
            ("a/1", False, 77), ("a/2", True, None)
        ]  # fmt: skip
        of_second = run.flips_of([1, 2], source=1)
        assert [(each.flip.old_path, each.denied, each.unsettled) for each in of_second] == [
            ("b/1", False, True), ("b/2", False, False)
        ]  # fmt: skip
        assert {each.source for each in of_second} == {each.flip.source for each in of_second} == {1}
        assert (run.reported_overwritten([3, 5]), run.reported_overwritten([3, 5], source=1)) == ({5}, set())
        assert run.stored_otherwise(None, 9) == run.stored_otherwise(None, 9, source=1) == []


async def test_a_flip_is_the_later_word_in_its_own_source_alone(ledger: WholeLedger) -> None:
    missing = Result(Reference(1, "image/1"), Outcome.MISSING, told("gone"))
    for source in (0, 1):
        ledger.source = source
        await ledger.record_not_flipped([missing])
    await ledger.record_flips([flip(1)], unix_time=1.0)
    assert await ledger.first_unresolved(9) == (Problem(0, missing),)


async def test_attempts_and_words_tell_their_source(ledger: WholeLedger, place: LedgerPlace) -> None:
    missing = Result(Reference(1, "image/1"), Outcome.MISSING, told("gone"))
    async with place.open("w1", asyncio.Event()) as worker:
        for source in (0, 1):
            await worker.begin_attempt(1, source, KeyRange(), source=source)
            assert worker.source == source
            await worker.record_not_flipped([missing])
            await worker.open_copies([move(1)])
            await worker.end_attempt(Tally(missing=1), is_clean=True)
        await worker.begin_attempt(1, 2, KeyRange(), 1)
        await worker.record_flips([flip(1)], unix_time=1.0)
        attempts = await ledger.attempts(1)
        assert [each.source for each in attempts] == [0, 1, 1]
        words = await ledger.words(attempts)
        assert sorted((each.source, each.outcome or "", each.new_path) for each in words) == [
            (0, "missing", ""), (1, "", "avatar/1"), (1, "missing", "")
        ]  # fmt: skip
        await ledger.take_over(attempts[:2])
        assert await ledger.first_unresolved(9) == (Problem(0, missing), Problem(1, missing))
        assert await worker.without_unresolved([missing.reference]) == []
        await ledger.take_over(attempts[2:])
        assert await ledger.first_unresolved(9) == (Problem(0, missing),), "it was flipped since"
        assert await worker.without_unresolved([missing.reference]) == [missing.reference]
        ledger.source = 0
        await ledger.settle_copies([1])
        assert await worker.unsettled_among([1]) == {1}, "of the other source"
        ledger.source = 1
        await ledger.settle_copies([1])
        assert await worker.unsettled_among([1]) == set()


async def test_long_values_are_kept_whole(
    settings: Settings, directory: Path, ledger: WholeLedger, place: LedgerPlace
) -> None:
    values = {1: (LONG, LONG_NEW), 2: ("image/2", "avatar/2"), 3: ("image/3", LONG), 4: (LONG, "avatar/4")}
    async with place.open("w1", asyncio.Event()) as worker:
        await worker.begin_attempt(1, 1, KeyRange())
        await worker.record_flips([flip(key, *pair) for key, pair in values.items()], unix_time=1.0)
        await worker.open_copies([move(key, *pair) for key, pair in values.items()])
        words = await ledger.words(await ledger.attempts(1))
        assert {each.reference.key: (each.reference.path, each.new_path) for each in words} == values
        await worker.record_locked([locked(key, old) for key, (old, _) in values.items()])
        assert await worker.locked(None, 9) == [Reference(key, old) for key, (old, _) in values.items()]
        assert await worker.new_paths(list(values)) == {key: new for key, (_, new) in values.items()}
    with past_run(directory, settings) as run:
        assert {each.key: (each.old_path, each.new_path) for each in await all_of(run.newest_first())} == values
        assert {each.key: (each.path, each.new_path) for each in run.unsettled(None, 9)} == values
        flips = [each.flip for each in run.flips_of(list(values))]
        assert {each.key: (each.old_path, each.new_path) for each in flips} == values


async def test_a_word_on_a_long_value_is_one_on_it_alone(
    settings: Settings, directory: Path, ledger: WholeLedger, place: LedgerPlace
) -> None:
    """Another one may begin in the same way, and a short one may look like what is shown of it."""
    looks_alike = "x" * SHOWN_CHARS + "…"
    of_looks = "x" * SHOWN_CHARS * 2
    await ledger.record_flips([flip(1, LONG), flip(2, LONG), flip(3, looks_alike)], unix_time=1.0)
    failed = [
        Result(Reference(key, path), Outcome.FAILED, told("no")) for key, path in ((1, LONG), (2, OTHER), (3, of_looks))
    ]
    await ledger.record_not_flipped(failed)
    asked = [
        Reference(1, LONG),
        Reference(1, OTHER),
        Reference(2, OTHER),
        Reference(2, LONG),
        Reference(3, looks_alike),
    ]
    assert await ledger.without_unresolved(asked) == [asked[1], asked[3], asked[4]]
    async with place.open("w1", asyncio.Event()) as worker:
        assert await worker.without_unresolved(asked) == [asked[1], asked[3], asked[4]]
        await worker.begin_attempt(1, 1, KeyRange())
        await worker.record_not_flipped(failed)
        words = await ledger.words(await ledger.attempts(1))
        assert [each.reference for each in words] == [each.reference for each in failed], "the whole of it"
    shown = [each.result.reference.path for each in await ledger.first_unresolved(9)]
    assert shown == [LONG[:SHOWN_CHARS] + "…", OTHER[:SHOWN_CHARS] + "…", looks_alike]
    with past_run(directory, settings) as run:
        assert [each.key for each in await all_of(run.oldest_first())] == [2, 3]
        assert [each.denied for each in run.flips_of([1, 2, 3])] == [True, False, False]


async def test_what_was_locked_is_known_to_be_set_to_what_the_last_flip_on_record_says(ledger: WholeLedger) -> None:
    await ledger.record_flips([flip(key) for key in range(1, 7_000)], unix_time=1.0)
    await ledger.record_flips([flip(2, "image/2", "avatar/again")], unix_time=2.0)
    assert await ledger.new_paths([1, 2, 9_999]) == {1: "avatar/1", 2: "avatar/again"}
    await ledger.record_locked([locked(2, "image/2"), locked(6_500, "image/6500"), locked(9_999, "image/unseen")])
    await ledger.forget_locked([6_500])
    assert await ledger.new_paths([2, 6_500, 9_999]) == {2: "avatar/again", 6_500: "avatar/6500"}
    ledger.source = 1
    assert await ledger.new_paths([1, 2]) == {}


async def big(ledger: Ledger, keys: range, size: int) -> None:
    """Record flips of values of this size."""
    for key in keys:
        await ledger.record_flips([flip(key, f"{key}" * size, f"{key}" * size + "new")], unix_time=float(key))


async def test_pages_are_bounded_by_the_bytes_of_their_values(
    settings: Settings, directory: Path, ledger: WholeLedger, place: LedgerPlace
) -> None:
    size = 2**20
    async with place.open("w1", asyncio.Event()) as worker:
        await worker.begin_attempt(1, 1, KeyRange())
        await big(worker, range(101, 140, 2), size // 3)
        await big(ledger, range(100, 140, 2), size // 3)
        await worker.open_copies([move(key, "o" * size, "o" * size + "new") for key in range(20)])
        await ledger.open_copies([move(key, "o" * size, "o" * size + "new") for key in range(15, 25)])
        await worker.record_locked([locked(key, f"{key}" + "o" * size) for key in range(20)])
        page = await worker.locked(None, 100)
        assert 8 <= len(page) <= 17
        after, seen = page[-1].key, page
        while page := await worker.locked(after, 100):
            after, seen = page[-1].key, seen + page
        assert [each.key for each in seen] == list(range(20))
    with past_run(directory, settings) as run:
        for pages, order in ((run.newest_first(), range(139, 99, -1)), (run.oldest_first(), range(100, 140))):
            read = [[each.key for each in page] async for page in pages]
            assert [key for page in read for key in page] == list(order)
            assert max(map(len, read)) * 2 * size <= PAGE_BYTES + 2 * size
            assert len(read) == 5
        found: list[int | str] = []
        while copies := run.unsettled(found[-1] if found else None, 100):
            assert len(copies) * 2 * size <= PAGE_BYTES + 2 * size
            found += [each.key for each in copies]
        assert found == list(range(25))


async def test_one_value_that_fills_a_page_is_a_page(settings: Settings, directory: Path, ledger: WholeLedger) -> None:
    await big(ledger, range(2), PAGE_BYTES)
    with past_run(directory, settings) as run:
        assert [[each.key for each in page] async for page in run.newest_first()] == [[1], [0]]


@pytest.mark.parametrize("about", [{}, {"table": "avatars", "path_column": "path"}])
async def test_a_run_that_names_no_sources_has_one(
    settings: Settings, directory: Path, ledger: WholeLedger, about: dict[str, str]
) -> None:
    await ledger.describe(about)
    with past_run(directory, settings) as run:
        assert run.sources == ("avatars.path" if about else "avatars",)
