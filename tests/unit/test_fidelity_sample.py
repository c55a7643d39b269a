"""Which objects plan looks at for what their copies would not keep: some of those that are to be copied, or all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sketchmigrate.core.objects import Location
from sketchmigrate.inspect.evidence import Evidence
from sketchmigrate.inspect.fidelity_sample import objects_to_copy
from sketchmigrate.migration.keeping import SAMPLE_OBJECTS
from tests.unit.evidence_site import site_between

if TYPE_CHECKING:
    from pathlib import Path

SITE = site_between("old", "new")


async def sampled(evidence: Evidence, *, full: bool) -> list[Location]:
    return [place async for some in objects_to_copy(evidence, SITE, full=full) for place in some]


async def test_objects_in_production_are_not_looked_at(tmp_path: Path) -> None:
    to_copy = [f"{number:04}" for number in range(3 * SAMPLE_OBJECTS)]
    in_place = [f"in-place-{number}" for number in range(3 * SAMPLE_OBJECTS)]
    async with Evidence(tmp_path / "evidence.duckdb", SITE) as evidence:
        tails = [*to_copy, *in_place, *to_copy[:9], "missing"]  # some are named by two rows
        rows = [(0, str(number), 0, f"image/{tail}", "legacy", 1, tail, 0) for number, tail in enumerate(tails)]
        await evidence.insert("reference", rows)
        objects = [(1, tail, 5, None, "e", "2026-01-01", "", 0) for tail in [*to_copy, *in_place]]
        await evidence.insert("legacy_object", objects)
        await evidence.insert("production_object", objects[len(to_copy) :])
        await evidence.judge()
        expected = {Location("old", f"image/{tail}") for tail in to_copy}
        assert sorted(await sampled(evidence, full=True)) == sorted(expected)
        some = await sampled(evidence, full=False)
        assert len(set(some)) == len(some) == SAMPLE_OBJECTS
        assert set(some) <= expected
        assert max(some) > Location("old", f"image/{to_copy[SAMPLE_OBJECTS]}"), "not the first ones"
        assert some == await sampled(evidence, full=False), "the same each time"
