"""Listings in ranges, on every server at hand, and the cuts, from a real PostgreSQL."""

from __future__ import annotations

import asyncio
import random
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
import uvloop

from sketchmigrate.core.errors import BucketMissing
from sketchmigrate.inspect.listing import ranges
from sketchmigrate.inspect.listing.complete import Extent, list_all
from sketchmigrate.inspect.listing.keyspace import order
from sketchmigrate.postgres.database import Database as Reach
from sketchmigrate.postgres.row_key import RowKey
from sketchmigrate.postgres.statistics import spread_paths
from sketchmigrate.postgres.table import Table
from sketchmigrate.s3 import CredentialSource, S3Client, S3Config
from sketchmigrate.settings import Settings
from tests.unit.shelf import Heap

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import LiteralString

    from tests.servers.databases import Database
    from tests.servers.stores import Store

ODD = ["a b", "a+b", "a%41", "A", "ü", "u\u0308", "\uff5a", "\U0001f600", "'&<>\"", "~"]
TAILS = [f"{folder}{number:03}.png" for folder in ("", "sub/") for number in range(60)] + [
    f"{odd}/{odd}.png" for odd in ODD
]


def listed(store: Store, cuts: Sequence[str], *, page_keys: int) -> tuple[list[str], int]:
    """List in ranges; return the keys in order, and how often the listing had to begin again."""

    async def main() -> Heap:
        source = CredentialSource.static(store.access_key, store.secret_key)
        async with S3Client(S3Config(endpoint_url=store.endpoint_url), source) as client:
            heap = Heap(random.Random(1))
            await list_all(client, store.legacy_bucket, "image/", heap, cuts=cuts, page_keys=page_keys)
            return heap

    heap = uvloop.run(main())
    return sorted(heap.keys, key=order), heap.times_forgotten


@pytest.mark.parametrize("page_keys", [1, 7, 1000])
def test_each_key_is_listed_exactly_once(store: Store, page_keys: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranges, "WORTH_SPLITTING_KEYS", 5)
    tails = TAILS if store.takes_any_key else TAILS[: -len(ODD)]
    keys = sorted((f"image/{tail}" for tail in tails), key=order)
    store.put_all(store.legacy_bucket, dict.fromkeys([*keys, "imagine", "z"], b"x"))
    for cuts in (
        [],
        keys[::20],
        [key + "~" for key in keys[::9]],
        ["image/a", "elsewhere", "image/\U0010ffff", "image/"],
    ):
        found, times_forgotten = listed(store, cuts, page_keys=page_keys)
        assert found == keys
        if store.lists_in_order:
            assert times_forgotten == 0


def test_a_bucket_that_is_not_there_is_not_an_empty_one(store: Store) -> None:
    async def main() -> None:
        source = CredentialSource.static(store.access_key, store.secret_key)
        async with S3Client(S3Config(endpoint_url=store.endpoint_url), source) as client:
            await list_all(client, "no-such-bucket-here", "image/", Extent(), cuts=["image/a", "image/b"])

    with pytest.raises(BucketMissing):
        uvloop.run(main())


TABLE = Table(("od d", "av atars"), RowKey.of("id", "bigint"), 'pa"th')
PATHS = {f"{prefix}{number:05}" for prefix in ("image/", "avatar/") for number in range(3000)}


async def spread(database: Database, table: Table = TABLE) -> list[str]:
    reach = Reach(Settings(), stopping=asyncio.Event(), reached_by={"conninfo": database.conninfo})
    async with reach.session() as session:
        return await spread_paths(session, table)


@pytest.mark.parametrize("path_type", ["text", 'varchar(40) COLLATE "C"', "char(12)"])
async def test_the_statistics_part_the_paths_evenly(any_database: Database, path_type: LiteralString) -> None:
    any_database.execute('CREATE SCHEMA "od d"')
    any_database.execute(f'CREATE TABLE "od d"."av atars" (id bigint PRIMARY KEY, "pa""th" {path_type})')
    fill = 'INSERT INTO "od d"."av atars" SELECT n, path FROM unnest(%s::text[]) WITH ORDINALITY AS path(path, n)'
    any_database.execute(fill, [*sorted(PATHS), None])
    assert {path.strip() for path in await spread(any_database)} == PATHS
    any_database.execute('ANALYZE "od d"."av atars"')
    found = [path.strip() for path in await spread(any_database)]
    assert len(found) == 101
    assert set(found) <= PATHS
    places = [sorted(PATHS).index(path) for path in sorted(found)]
    gaps = [after - before for before, after in pairwise(places)]
    assert max(gaps) <= 2 * len(PATHS) / 100


async def test_a_large_table_without_statistics_is_sampled_all_over(database: Database) -> None:
    """A partitioned one at that, of which only a part is read."""
    database.execute("CREATE TABLE avatars (id bigint PRIMARY KEY, path text) PARTITION BY RANGE (id)")
    for begin, end in ((0, 50_000), (50_000, 100_000)):
        database.execute(f"CREATE TABLE part_{begin} PARTITION OF avatars FOR VALUES FROM ({begin}) TO ({end})")
        database.execute(f"ALTER TABLE part_{begin} SET (autovacuum_enabled = off)")
    database.execute("INSERT INTO avatars SELECT n, 'image/' || n FROM generate_series(0, 99999) AS n")
    found = await spread(database, Table(("avatars",), RowKey.of("id", "bigint"), "path", is_partitioned=True))
    assert 1000 < len(found) <= 10_000
    numbers = [int(path.removeprefix("image/")) for path in found]
    assert min(numbers) < 25_000
    assert max(numbers) > 75_000


async def test_an_empty_table_tells_nothing(database: Database) -> None:
    database.create_avatars([])
    assert await spread(database, Table(("avatars",), RowKey.of("id", "bigint"), "path", is_partitioned=True)) == []


def test_prefixes_stand_for_their_keys(store: Store) -> None:
    odd = ["a b/", "ü+/"] if store.takes_any_key else []
    store.put_all(
        store.legacy_bucket,
        dict.fromkeys(["image/1", "image/sub/2", "thumbs/3", "zz", *(f"{each}4" for each in odd)], b"x"),
    )

    async def main() -> tuple[set[str], list[str], str | None]:
        source = CredentialSource.static(store.access_key, store.secret_key)
        async with S3Client(S3Config(endpoint_url=store.endpoint_url), source) as client:
            page = await client.list_page(store.legacy_bucket, "", delimiter="/")
            return set(page.prefixes), [each.key for each in page.objects], page.next_token

    assert uvloop.run(main()) == ({"image/", "thumbs/", *odd}, ["zz"], None)
