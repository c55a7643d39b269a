"""Which legacy objects a manifest holds, by the evidence of a verify, of those that compared objects, and of now."""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import unquote

import pytest

from sketchmigrate.core.objects import Location
from sketchmigrate.core.pairing import Pairing
from sketchmigrate.core.routes import Route, Routes
from sketchmigrate.core.rule import BOTH_SIDES, SideName
from sketchmigrate.inspect.evidence import Evidence, EvidenceSite, EvidenceSource
from sketchmigrate.inspect.manifest import PROVED, Found, Manifest, judge, write_manifest

IMAGES = Route("old", "image/", "new", "avatar/")
LARGE = Route("old", "image/large/", "new", "large/")
SOURCES = tuple(EvidenceSource(f"{name}.path", name, "id", "path") for name in ("avatars", "covers"))


def site_of(pairing: Pairing) -> EvidenceSite:
    return EvidenceSite("0", "", "", pairing, SOURCES)


async def fill(evidence: Evidence, *keys: str) -> None:
    """Have production references, one of each source in turn, and the two equal objects of each."""
    pairing, pairs = evidence.site.pairing, set()
    for number, key in enumerate(keys):
        pair = pairing.pair_of(SideName.PRODUCTION, Location("new", key), number if len(pairing.families) > 1 else 0)
        assert pair is not None
        route, tail = pair
        await evidence.insert("reference", [(number, "1", 0, key, "production", route, tail, 0)])
        pairs.add((route, tail))
    for side in BOTH_SIDES:
        await evidence.insert(f"{side}_object", [(*pair, 5, None, "e", "2026-01-01", "", 0) for pair in pairs])
    await evidence.judge()


async def left_out(folder: Path, site: EvidenceSite, keys: tuple[str, str], *, differs: int) -> list[tuple[str]]:
    """Have a verify --metadata find one of two references to differ and the other alike; return what is left out."""
    compared, proved = folder / "compared.duckdb", folder / "proved.duckdb"
    async with Evidence(compared, site) as evidence:
        await fill(evidence, *keys)
        await evidence.ask("UPDATE verdict SET standing = 'other headers', proof = '' WHERE source = ?", [differs])
        await evidence.insert("metadata_compared", [(1 - differs, "1", 0)])
    async with Evidence(proved, site) as evidence:
        await fill(evidence, *keys)
    async with Evidence(folder / "now.duckdb", site) as now:
        await now.attach(proved, PROVED)
        await fill(now, *keys)
        await judge(now, proved, [Found(compared, has_metadata=True)])
        assert await now.ask("SELECT count(*) FROM proved_key") == [(1,)]
        return await now.ask("SELECT reason FROM left_out")


async def test_a_pair_that_one_look_of_a_verify_found_to_differ_is_left_out_though_another_did_not(
    tmp_path: Path,
) -> None:
    """Two references of one pair are two looks at it, and the application may have stored it anew in between."""
    site = site_of(Pairing.of(Routes((IMAGES,))))
    keys = ("avatar/1.png", "avatar/1.png")
    assert await left_out(tmp_path, site, keys, differs=0) == [("found_different",)]


@pytest.mark.parametrize("differs", [0, 1])
async def test_a_copy_that_is_alike_says_nothing_of_another_copy_of_the_same_legacy_object(
    tmp_path: Path, differs: int
) -> None:
    """A source that has chosen moves may take the objects of a nested one elsewhere."""
    site = site_of(Pairing.of(Routes((IMAGES, LARGE)), [Routes((IMAGES,))]))
    keys = ("large/1.png", "avatar/large/1.png")
    assert await left_out(tmp_path, site, keys, differs=differs) == [("found_different",)]


def test_the_list_for_batch_operations_is_cut_where_it_would_be_too_large(tmp_path: Path) -> None:
    """S3 takes no manifest of more than 1 GB."""
    keys = [f"image/{'é' * 9} {number}.png" for number in range(20)]

    async def write() -> tuple[Manifest, Manifest]:
        async with Evidence(tmp_path / "now.duckdb", site_of(Pairing.of(Routes((IMAGES,))))) as now:
            await now.execute("CREATE TABLE left_out (reason VARCHAR)")
            columns = "bucket VARCHAR, key VARCHAR, size_bytes BIGINT, etag VARCHAR, headers_compared BOOLEAN"
            await now.execute(f"CREATE TABLE safe ({columns})")
            empty = await write_manifest(now, tmp_path, tmp_path)
            await now.insert("safe", [("old", key, 7, "e", True) for key in keys])
            return empty, await write_manifest(now, tmp_path, tmp_path, most_file_bytes=300)

    empty, made = asyncio.run(write())
    assert (empty.objects, empty.csv_files) == (0, ())
    texts = [Path(file).read_text() for file in made.csv_files]
    assert [Path(file).name for file in made.csv_files[:2]] == ["manifest.csv", "manifest-2.csv"]
    assert max(map(len, texts)) <= 300
    assert sorted(unquote(line.partition(",")[2]) for line in "".join(texts).splitlines()) == sorted(keys)
    assert (made.objects, made.size_bytes, Path(made.parquet_file).is_file()) == (20, 140, True)
