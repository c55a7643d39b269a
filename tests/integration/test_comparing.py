"""A pair is compared as its HEADs show it: a listing may tell other ETags and sizes (OpenStack Swift, gateways)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sketchmigrate.inspect.comparing import Answer, Pair, compare_portion
from sketchmigrate.inspect.looks import Looks
from tests.integration.test_s3_client import places, run
from tests.servers.stores import fresh_buckets
from tests.sides import sides_of

if TYPE_CHECKING:
    from sketchmigrate.s3 import S3Client
    from tests.servers.stores import StoreServer


def test_a_listing_that_tells_otherwise_is_no_change(moto: StoreServer) -> None:
    async def scenario(client: S3Client) -> None:
        etag = await client.put(legacy, b"picture")
        await client.put(production, b"picture")
        requests: list[int] = []

        async def check_access() -> None:
            raise AssertionError

        pair = Pair("1", legacy, production, 999, "listed", "listed-2")
        same = Answer(True, legacy=(7, etag), production=(7, etag))  # noqa: FBT003
        looks = Looks(sides_of(client), check_access)
        (found,) = await compare_portion(looks, (pair,), lambda _pairs, size_bytes: requests.append(size_bytes))
        assert found._replace(tags_told=False) == same
        assert requests == [7, 7, 0], "each is read once, whatever was listed"
        other = await client.put(production, b"scribbl")
        (found,) = await compare_portion(looks, (pair,), lambda *_: None)
        assert found == Answer(same=False, legacy=(7, etag), production=(7, other))
        longer = await client.put(production, b"a longer one")
        (found,) = await compare_portion(looks, (pair,), lambda *_: None)
        assert found == Answer(same=False, legacy=(7, etag), production=(12, longer))

    with fresh_buckets(moto) as store:
        (legacy, _), (_, production) = places(store, "image/a.png"), places(store, "avatar/a.png")
        run(store, scenario)
