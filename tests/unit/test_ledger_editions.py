"""Ledgers in files of the edition before: they are read as those of today are."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from sketchmigrate.ledger import PastFiles, PastFlip, UnsettledCopy

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
