"""Which objects a repair takes for ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sketchmigrate.core.rule import BOTH_SIDES
from sketchmigrate.inspect.evidence import Evidence
from sketchmigrate.inspect.repair import CountedOurs, count_ours
from sketchmigrate.inspect.standing import Standing
from tests.unit.evidence_site import site_between

if TYPE_CHECKING:
    from pathlib import Path

SITE = site_between("old", "new")


async def test_an_object_that_several_rows_name_is_one_and_the_newest_record_tells_whose_it_is(tmp_path: Path) -> None:
    flips = [("1", "shared", "old"), ("2", "shared", "e"), ("3", "shared", "e"), ("4", "theirs", "old")]
    async with Evidence(tmp_path / "evidence.duckdb", SITE) as evidence:
        rows = [(0, key, 0, f"avatar/{tail}", "production", 1, tail, 0) for key, tail, _ in flips]
        await evidence.insert("reference", rows)
        for side in BOTH_SIDES:
            objects = [(1, tail, 5, None, "e", "2026-01-01", "", 0) for tail in ("shared", "theirs")]
            await evidence.insert(f"{side}_object", objects)
        await evidence.insert("flip", [(0, key, f"avatar/{tail}", etag, 1.0) for key, tail, etag in flips])
        await evidence.insert("flip", [(0, "4", "avatar/theirs", "e", 0.5)])  # the newer one says otherwise
        await evidence.judge()
        for standing in (Standing.STALE, Standing.OTHER_HEADERS):
            await evidence.ask("UPDATE verdict SET standing = ?", [standing.value])
            assert await count_ours(evidence, standing) == CountedOurs(ours=1, others=1, large=0)
