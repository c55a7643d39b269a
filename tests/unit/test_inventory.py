"""Inventories: what their manifests must say, and that their keys become the pairs that a listing's keys become."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sketchmigrate.core.errors import InventoryDamaged, UsageError
from sketchmigrate.core.objects import Location
from sketchmigrate.core.pairing import Pairing
from sketchmigrate.core.routes import Route, Routes
from sketchmigrate.core.rule import SideName
from sketchmigrate.inspect.evidence import Evidence, EvidenceSite, EvidenceSource
from sketchmigrate.inspect.inventory.document import Column, FileFormat, read_document
from sketchmigrate.inspect.inventory.loading import load_inventories
from sketchmigrate.inspect.inventory.opening import open_inventories
from sketchmigrate.s3 import ListPage
from sketchmigrate.sides import Side
from tests.inventories import CSV, PARQUET, Entry, Inventory

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sketchmigrate.s3 import S3Client

MODIFIED = "2026-11-01T02:03:04.000Z"
ETAG = "0123456789abcdef0123456789abcdef"
FAMILY = Routes(
    (
        Route("one", "image/", "new", "avatar/"),
        Route("one", "image/thumb/", "new", "small/"),
        Route("two", "image/", "new", "other/"),
    )
)
COLUMNS = "route, tail, size_bytes, etag, modified_utc, storage_class"
PAIRING = Pairing.of(FAMILY, [Routes((FAMILY.all[0],))])
"""The second family leaves out a move that lies within one that it has: some keys have two pairs."""


class Noise(Inventory):
    """One whose data files are what they are called in name alone."""

    def data(self, entries: Iterable[Entry]) -> bytes:
        """Return no list."""
        return repr(entries).encode()


class Nothing:
    """A store that lists nothing: no inventory lacks any of it."""

    async def list_page(self, bucket: str, prefix: str, *, start_after: str = "") -> ListPage:
        """Return an empty page."""
        del bucket, prefix, start_after
        return ListPage([], None)


def no_count(part: str, number: int, expected: int | None) -> None:
    """Nobody watches."""


async def loaded(folder: Path, side: SideName, manifests: Sequence[Path]) -> tuple[list[tuple[Any, ...]], int]:
    """Load inventories; return the objects in the evidence, and how many were said to be there."""
    of = EvidenceSite("0", "", "", PAIRING, (EvidenceSource("avatars.path", "avatars", "id", "path"),))
    place = PAIRING.routes[0].place(side)
    reached = Side(side, cast("S3Client", Nothing()), place.bucket, place.prefix, "S3")
    opened = await open_inventories([str(each) for each in manifests], reached, of.places(side), folder)
    async with Evidence(folder / "evidence.duckdb", of) as evidence:
        await load_inventories(evidence, reached, opened, no_count)
        ((entries,),) = await evidence.ask("SELECT entries FROM reading")
        return sorted(await evidence.ask(f"SELECT {COLUMNS} FROM {side}_object")), int(entries)  # noqa: S608 - ours


keys = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20)
prefixes = st.sampled_from(["image/", "image/thumb/", "image", "elsewhere/", ""])


@settings(max_examples=25)
@given(st.lists(st.tuples(prefixes, keys), max_size=8), st.sampled_from([CSV, PARQUET]))
def test_each_key_becomes_the_pairs_that_a_listing_makes_of_it(some: list[tuple[str, str]], file_format: str) -> None:
    names = {prefix + name for prefix, name in some} | {'image/line\nbreak, "+%2B" ünï.png', "image/thumb/a b.png"}
    entries = tuple(Entry(key, len(key), ETAG, MODIFIED) for key in sorted(names))
    inventories = [Inventory(bucket, entries, file_format) for bucket in ("one", "two")]
    with TemporaryDirectory() as folder:
        manifests = [each.write(Path(folder)) for each in inventories]
        found, count = asyncio.run(loaded(Path(folder), SideName.LEGACY, manifests))
    at = datetime.fromisoformat(MODIFIED).astimezone(UTC).replace(tzinfo=None)
    places = [Location(bucket, key) for bucket in ("one", "two") for key in names]
    pairs = [(pair, len(place.key)) for place in places for pair in PAIRING.pairs_of(SideName.LEGACY, place)]
    assert found == sorted((*pair, size_bytes, ETAG, at, "STANDARD") for pair, size_bytes in pairs)
    assert count == sum(PAIRING.pair_of(SideName.LEGACY, place) is not None for place in places)


def test_production_has_pairs_too(tmp_path: Path) -> None:
    inventory = Inventory("new", tuple(Entry(key, 1, ETAG, MODIFIED) for key in ("avatar/1", "small/1", "none/1")), CSV)
    found, count = asyncio.run(loaded(tmp_path, SideName.PRODUCTION, [inventory.write(tmp_path)]))
    assert [row[:2] for row in found] == [(1, "1"), (2, "1"), (4, "1")]
    assert count == 2


def test_a_column_that_nobody_needs_may_be_missing(tmp_path: Path) -> None:
    inventory = Inventory("new", (Entry("avatar/1", 1, ETAG, MODIFIED),), PARQUET)
    columns = tuple(each for each in inventory.columns if each != "StorageClass")
    found, _ = asyncio.run(loaded(tmp_path, SideName.PRODUCTION, [replace(inventory, columns=columns).write(tmp_path)]))
    assert found[0][-1] == ""


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        (("Bucket", "Key", "Size", "LastModifiedDate", "ETag", "StorageClass", "IsLatest"), "as Parquet"),
        (("Bucket", "Key", "LastModifiedDate", "Size", "ETag", "StorageClass"), "whose Key or Size cannot be read"),
    ],
)
def test_files_that_are_not_as_their_manifest_says_are_refused(
    tmp_path: Path, columns: tuple[str, ...], told: str
) -> None:
    """The manifest is of other columns than the files that it names."""
    right = Inventory("new", (Entry("avatar/1", 1, ETAG, MODIFIED),), PARQUET if "Parquet" in told else CSV, files=1)
    other = json.loads(replace(right, columns=columns).contents()[right.manifest_key])
    manifest = right.write(tmp_path)
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"fileSchema": other["fileSchema"]}))
    with pytest.raises(InventoryDamaged, match=told):
        asyncio.run(loaded(tmp_path, SideName.PRODUCTION, [manifest]))


@pytest.mark.parametrize("file_format", [CSV, PARQUET])
def test_files_of_another_format_are_refused(tmp_path: Path, file_format: str) -> None:
    """Their checksum is right."""
    manifest = Noise("new", (Entry("avatar/1", 1, ETAG, MODIFIED),), file_format).write(tmp_path)
    with pytest.raises(InventoryDamaged, match=f"cannot be read as {file_format}"):
        asyncio.run(loaded(tmp_path, SideName.PRODUCTION, [manifest]))


def test_each_bucket_has_one_inventory(tmp_path: Path) -> None:
    one, two = (Inventory(bucket, (), CSV).write(tmp_path) for bucket in ("one", "two"))
    with pytest.raises(UsageError, match="there is no inventory of two"):
        asyncio.run(loaded(tmp_path, SideName.LEGACY, [one]))
    with pytest.raises(UsageError, match="are both of the bucket one"):
        asyncio.run(loaded(tmp_path, SideName.LEGACY, [one, one, two]))


NOW = datetime.now(UTC)
OF_ONE = Inventory("b", (Entry("k", 1, ETAG, MODIFIED),), PARQUET)
GOOD = json.loads(OF_ONE.contents()[OF_ONE.manifest_key])


def test_a_manifest_is_read() -> None:
    document = read_document(json.dumps(GOOD).encode(), "it", NOW)
    assert (document.source_bucket, document.file_format, len(document.files)) == ("b", FileFormat.PARQUET, 2)
    assert document.created_at_utc.timestamp() == int(GOOD["creationTimestamp"]) // 1 / 1000
    assert [document.place_of(column) for column in Column] == [1, 2, 4, 3, 5, None, None]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"fileFormat": "ORC"}, "the format ORC cannot be read"),
        ({"fileFormat": "CSV", "fileSchema": "Bucket, Key"}, "lacks Size, ETag, LastModifiedDate"),
        ({"creationTimestamp": "yesterday"}, "not the manifest"),
        ({"creationTimestamp": "9" * 30}, "not the manifest"),
        ({"files": [{"key": "a", "size": 1, "MD5checksum": "x"}]}, "not the manifest"),
        ({"files": None}, "not the manifest"),
    ],
)
def test_what_is_no_manifest_is_refused(change: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        read_document(json.dumps(GOOD | change).encode(), "it", NOW)
    for content in (b"", b"[]", b"\xff", b"{}"):
        with pytest.raises(UsageError, match="it is not the manifest of an S3 Inventory"):
            read_document(content, "it", NOW)


def test_one_of_a_time_to_come_is_refused() -> None:
    """The clocks of two machines may differ, by a day at most."""
    now = datetime(2026, 11, 28, 12, tzinfo=UTC)

    def at(time: datetime) -> bytes:
        return json.dumps(GOOD | {"creationTimestamp": str(int(time.timestamp() * 1000))}).encode()

    assert read_document(at(now + timedelta(days=1)), "it", now).created_at_utc == now + timedelta(days=1)
    told = "it: the inventory is of 2026-11-29 12:00:01 UTC, and this machine's clock says 2026-11-28 12:00:00 UTC"
    with pytest.raises(UsageError, match=told):
        read_document(at(now + timedelta(days=1, seconds=1)), "it", now)
