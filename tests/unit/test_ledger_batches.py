"""Flips in batches: each comes back as it was put on record, whatever they have in common."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sketchmigrate.core.errors import RunDirectoryError
from sketchmigrate.core.outcome import Outcome, Result
from sketchmigrate.core.reference import Reference
from sketchmigrate.ledger import Flip, PastFiles, PastFlip, SqliteLedger
from sketchmigrate.ledger.sqlite.batch import MOST_FLIPS, batch_of
from sketchmigrate.ledger.values import pack
from tests.reasons import told

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from sketchmigrate.core.reference import Key

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
PATHS = st.one_of(TEXTS, TEXTS.map("image/avatar-{}".format), TEXTS.map("avatar/avatar-{}".format))
ETAGS = st.one_of(
    st.integers(0, 2**128 - 1).map("{:032x}".format),
    st.integers(0, 2**128 - 1).map("{:032X}".format),
    st.sampled_from(["", "0" * 31, "0" * 33, f"{'0' * 32}-2", " " * 32, '{"avatar/1": "e"}', "ß" * 32]),
)
KEYS = (st.integers(-(2**63), 2**63 - 1), TEXTS, st.uuids())
ROWS = st.tuples(
    PATHS, PATHS, st.none() | st.integers(0, 2**50), ETAGS, st.booleans(), st.sampled_from(["", "", "f" * 32])
)
FLIPS = st.one_of(
    *(st.lists(st.tuples(key, ROWS).map(lambda both: Flip(both[0], *both[1])), min_size=1, max_size=9) for key in KEYS)
)


def _stored(flip: Flip) -> Flip:
    return flip._replace(key=str(flip.key)) if isinstance(flip.key, UUID) else flip


@given(FLIPS)
def test_what_is_packed_is_unpacked(flips: Sequence[Flip]) -> None:
    batch, long_values = batch_of(flips, 7, 1.5, 2, 3)
    assert (batch.number, batch.flips, long_values) == (7, len(flips), [])
    assert batch.unpacked() == [_stored(flip) for flip in flips]
    assert all(batch.first_key <= flip.key <= batch.last_key for flip in batch.unpacked())  # type: ignore[operator]  # of one type


@given(st.lists(st.text("ab/", max_size=6), min_size=1), TEXTS, TEXTS, st.booleans())
def test_what_paths_have_in_common_is_there_once(rests: Sequence[str], old: str, new: str, odd: bool) -> None:
    """One path that becomes another than the rest do costs its batch the new paths, and no more."""
    flips = [Flip(number, old + rest, new + rest, 5, f"{number:032x}") for number, rest in enumerate(rests)]
    usual, _ = batch_of(flips, 1, 1.0, 0, 0)
    assert usual.old_begin.startswith(old)
    assert usual.rows.count(",") == 4 * len(flips) - 1
    flips[0] = flips[0]._replace(new_path=f"{flips[0].new_path}!" if odd else flips[0].new_path)
    batch, _ = batch_of(flips, 1, 1.0, 0, 0)
    assert batch.unpacked() == flips
    assert batch.etags == b"".join(number.to_bytes(16) for number in range(len(flips)))


def _rows_of_the_view(path: Path) -> list[tuple[object, ...]]:
    """Read the flips as a person would, with nothing but SQLite."""
    with closing(sqlite3.connect(path)) as database:
        return database.execute("SELECT * FROM flip").fetchall()


SEVERAL = [
    Flip(1, "image/1.png", "avatar/1.png", 12, f"{1:032x}", copied=True),
    Flip(2, "image/2.png", "avatar/2.png", None, "", copied=False),
    Flip(3, 'image/é "3"\n', "elsewhere", 14, f"{3:032x}-2", copied=True, read_checksum="f" * 32),
]
LONG = Flip(4, "x" * 2_000 + "image", "x" * 2_000 + "avatar", 15, f"{4:032x}", copied=True)


async def test_a_person_sees_each_flip_as_a_row(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    async with SqliteLedger(path, description={}) as ledger:
        await ledger.record_flips(SEVERAL[:1], unix_time=7.5)
        ledger.attempt, ledger.source = 3, 2
        await ledger.record_flips([*SEVERAL[1:], LONG], unix_time=8.5)
    *rows, (key, old, new, *more) = _rows_of_the_view(path)
    expected = [(*flip[:5], 7.5 if flip.key == 1 else 8.5, flip.copied) for flip in SEVERAL]
    assert [row[:7] for row in rows] == expected
    assert [row[7:] for row in rows] == [(0, 0, ""), (3, 2, ""), (3, 2, "f" * 32)]
    assert (key, *more) == (4, 15, f"{4:032x}", 8.5, 1, 3, 2, "")
    assert (old, new) == pack(LONG.old_path, LONG.new_path), "packed, as long values are"


async def test_pages_of_any_size_are_the_same_flips_both_ways(tmp_path: Path) -> None:
    """Batches of several sizes, one of them in several rows; some flips did not come about, one was meant otherwise."""
    flips = [Flip(n, f"image/{n}", f"avatar/{n}", n, f"{n:032x}" if n % 3 else "") for n in range(2 * MOST_FLIPS + 50)]
    flips[20] = LONG._replace(key=20)
    sizes = [1, 7, 30, 2 * MOST_FLIPS + 2, 10]
    first = 0
    async with SqliteLedger(tmp_path / "ledger.sqlite", description={}) as ledger:
        for size in sizes:
            await ledger.record_flips(flips[first : first + size], unix_time=1.0)
            first += size
        assert first == len(flips)
        denied = (0, 5, 20, 21, 1_500, len(flips) - 1)
        await ledger.record_not_flipped(
            [Result(Reference(key, flips[key].old_path), Outcome.SUPERSEDED, told("changed")) for key in denied]
        )
        other = [Reference(30, "image/before"), Reference(31, LONG.old_path)]
        await ledger.record_not_flipped([Result(each, Outcome.FAILED, told("no")) for each in other])
        await ledger.record_not_flipped([Result(Reference(32, "image/32"), Outcome.MIGRATED, told("replaced"))])
    expected = [
        PastFlip(flip.key, flip.old_path, flip.new_path, flip.etag, 1.0)  # type: ignore[arg-type]  # numbers
        for flip in flips
        if flip.key not in denied
    ]
    with PastFiles(tmp_path) as run:
        assert run.flips == len(flips)
        for page_flips in (70, 1_000, 5_000):
            pages = [page async for page in run.oldest_first(page_flips=page_flips)]
            assert [flip for page in pages for flip in page] == expected
            assert all(len(page) == page_flips for page in pages[:-1])
            newest_first = [flip async for page in run.newest_first(page_flips=page_flips) for flip in page]
            assert newest_first == expected[::-1]
        found = run.flips_of([5, 6, 20, 5_000])
        assert [(each.flip.key, each.denied) for each in found] == [(5, True), (6, False), (20, True)]
        assert run.newest_objects(2) == [(flip.new_path, flip.size_bytes) for flip in flips[:-3:-1]]
        assert len(run.newest_objects(10_000)) == len(flips) - 1, "but for the long value"


async def test_a_ledger_that_is_opened_again_goes_on_counting(tmp_path: Path) -> None:
    for key in (1, 2):
        async with SqliteLedger(tmp_path / "ledger.sqlite", description={}) as ledger:
            await ledger.record_flips([Flip(key, "image/a", "avatar/a", None, "")] * 3, unix_time=float(key))
    with PastFiles(tmp_path) as run:
        assert (run.flips, run.last_flip_at) == (6, 2.0)
        assert [flip.key async for page in run.oldest_first(page_flips=2) for flip in page] == [1, 1, 1, 2, 2, 2]


@pytest.mark.parametrize("to_key", [int, "{:05}".format, lambda number: UUID(int=number)], ids=["int", "text", "uuid"])
async def test_the_last_flip_of_a_key_is_found_among_many(tmp_path: Path, to_key: Callable[[int], Key]) -> None:
    async with SqliteLedger(tmp_path / "ledger.sqlite", description={}) as ledger:
        for again in (1, 2):
            for first in range(0, 100, 10):
                flips = [Flip(to_key(n), "image/a", f"avatar/{again}/{n}", None, "") for n in range(first, first + 10)]
                await ledger.record_flips(flips, unix_time=float(again))
        ledger.source = 1
        await ledger.record_flips([Flip(to_key(15), "image/a", "of another source", None, "")], unix_time=3.0)
        ledger.source = 0
        wanted = [to_key(number) for number in (3, 15, 99, 100)]
        found = await ledger.new_paths(wanted)
        assert found == {to_key(number): f"avatar/2/{number}" for number in (3, 15, 99)}


DAMAGES = {
    "fewer ETags": "UPDATE batch SET etags = substr(etags, 1, 20) WHERE number = 11",
    "rows cut": "UPDATE batch SET rows = substr(rows, 1, 50) WHERE number = 11",
    "rows of another kind": "UPDATE batch SET rows = '[[1], 2]' WHERE number = 11",
    "fewer rows": "UPDATE batch SET rows = '[[11, \"11\", null, 0]]' WHERE number = 11",
    "no batch": "DELETE FROM batch WHERE number = 11",
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
async def test_damage_is_an_error_and_no_flip_less(tmp_path: Path, damage: str) -> None:
    async with SqliteLedger(tmp_path / "ledger.sqlite", description={}) as ledger:
        for first in (1, 11, 21):
            flips = [Flip(n, f"image/{n}", f"avatar/{n}", None, f"{n:032x}") for n in range(first, first + 10)]
            await ledger.record_flips(flips, unix_time=1.0)
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as database, database:
        database.execute(damage)
    with (
        pytest.raises(RunDirectoryError, match=r"ledger\.sqlite cannot be read: its? .*(is damaged|20 of 30)"),
        PastFiles(tmp_path) as run,
    ):
        assert [page async for page in run.oldest_first()]
