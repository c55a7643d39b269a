"""Ledgers in files of the edition before: they are read as those of today are."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from sketchmigrate.ledger import OpenUpload, PastFiles, PastFlip, UnsettledCopy
from sketchmigrate.ledger.export import csv_of

DATA = Path(__file__).parents[1] / "data" / "ledgers"


async def test_a_file_of_the_fourth_edition_is_read(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with closing(sqlite3.connect(path)) as database:
        database.executescript((DATA / "edition-4.sql").read_text())
    before = path.read_bytes()
    with PastFiles(tmp_path) as run:
        assert (run.sources, run.flips, run.last_flip_at) == (("avatars.path",), 4, 2.0)
        made = [PastFlip(key, f"image/{key}", f"avatar/{key}", "etag", (key + 1) // 2) for key in (1, 2, 4)]
        assert [page async for page in run.newest_first()] == [made[::-1]]
        assert [page async for page in run.oldest_first(page_flips=2)] == [made[:2], made[2:]]
        assert [page async for page in run.newest_first(source=1)] == []
        assert run.unsettled(None, 9) == [
            UnsettledCopy(2, "image/2", "avatar/2", 77), UnsettledCopy(4, "image/4", "avatar/4")
        ]  # fmt: skip
        assert [(each.flip.key, each.was_made({77})) for each in run.flips_of([1, 2, 3, 4])] == [
            (1, True), (2, True), (3, False), (4, False)
        ]  # fmt: skip
        assert run.reported_overwritten([3, 5]) == {5}
        assert (run.flips_of([1], source=1), run.unsettled(None, 9, source=1)) == ([], [])
        assert run.stored_otherwise(None, 9) == []
    assert path.read_bytes() == before


async def test_a_file_of_the_fifth_edition_is_read(tmp_path: Path) -> None:
    """Its uploads do not tell what they were begun for: they can be aborted, and not resumed."""
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as database:
        database.executescript((DATA / "edition-5.sql").read_text())
    with PastFiles(tmp_path) as run:
        assert [page async for page in run.newest_first()] == [[PastFlip(1, "image/1", "avatar/1", "etag", 1.0)]]
        begun = [OpenUpload("b", f"avatar/{number}", f"U/{number}", f"etag{number}") for number in (2, 3)]
        assert run.uploads() == (begun, {"U/3"})


async def test_a_file_of_the_fifth_edition_from_before_there_were_uploads_is_read(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as database:
        database.executescript((DATA / "edition-5.sql").read_text() + "DROP TABLE upload;")
    with PastFiles(tmp_path) as run:
        assert (run.flips, run.uploads()) == (1, ([], set()))


async def test_a_file_of_the_sixth_edition_is_read(tmp_path: Path) -> None:
    """It has no samples, and tells all else that a page shows."""
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as database:
        database.executescript((DATA / "edition-6.sql").read_text())
    with PastFiles(tmp_path) as run:
        assert run.samples() == []
        assert run.newest_objects(1) == [("avatar/2.png", None)]
        assert run.newest_objects(9) == [("avatar/2.png", None), ("avatar/1.png", 12)]
        (group,) = run.problem_groups()
        assert (group.references, group.outcome, group.kind) == (1, "missing", "no_legacy_object")


async def test_of_the_fourth_and_fifth_edition_there_are_no_samples(tmp_path: Path) -> None:
    for edition in (4, 5):
        directory = tmp_path / str(edition)
        directory.mkdir()
        with closing(sqlite3.connect(directory / "ledger.sqlite")) as database:
            database.executescript((DATA / f"edition-{edition}.sql").read_text())
        with PastFiles(directory) as run:
            assert run.samples() == []
            assert run.newest_objects(1)
            run.problem_groups()


async def test_a_file_of_the_seventh_edition_is_read(tmp_path: Path) -> None:
    """It has a row for each flip: with a long value, a second source, and flips that did not come about."""
    path = tmp_path / "ledger.sqlite"
    with closing(sqlite3.connect(path)) as database:
        database.executescript((DATA / "edition-7.sql").read_text())
    before = path.read_bytes()
    old = f'{{"a": "{"x" * 1100}", "avatar": "image/4.png"}}'
    new = old.replace("image", "avatar")
    first = PastFlip(1, "image/1.png", "avatar/1.png", f"{1:032x}", 1.0)
    second = PastFlip(2, "image/2.png", "avatar/2.png", "", 1.0)
    fourth = PastFlip(4, old, new, f"{4:032x}", 2.0)
    other = PastFlip("a", "image/a.png", "avatar/a.png", f"{10:032x}", 3.0, source=1)
    with PastFiles(tmp_path) as run:
        assert (run.sources, run.flips, run.last_flip_at) == (("avatars.path", "books.cover"), 5, 3.0)
        assert [page async for page in run.newest_first(page_flips=3)] == [[other, fourth, second], [first]]
        assert [page async for page in run.oldest_first(page_flips=2)] == [[first, second], [fourth, other]]
        assert [page async for page in run.newest_first(source=1)] == [[other]]
        assert [(each.flip.key, each.was_made({77})) for each in run.flips_of([1, 2, 3, 4])] == [
            (1, True), (2, True), (3, False), (4, False)
        ]  # fmt: skip
        (third,) = run.flips_of([3])
        assert (third.flip.etag, third.flip.read_checksum) == ("etag-2", "f" * 32)
        assert run.newest_objects(2) == [("avatar/a.png", 12), ("avatar/3.png", 12)]
        assert [each.at for each in run.samples()] == [10.0]
        text = "".join([part async for _, part in csv_of(run)])
    quoted = [value.replace('"', '""') for value in (old, new)]
    assert text.splitlines() == [
        "source,key,old,new",
        '"avatars.path",1,"image/1.png","avatar/1.png"',
        '"avatars.path",2,"image/2.png","avatar/2.png"',
        f'"avatars.path",4,"{quoted[0]}","{quoted[1]}"',
        '"books.cover","a","image/a.png","avatar/a.png"',
    ]
    assert path.read_bytes() == before
