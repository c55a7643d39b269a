"""A listing ends, or it is an error: whatever tokens a store makes up."""

from __future__ import annotations

import asyncio
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sketchmigrate.core.errors import S3Malformed
from sketchmigrate.s3.listing import MAX_EMPTY_PAGES, Paging
from sketchmigrate.s3.wire.listed import ListedObject
from sketchmigrate.s3.wire.xml_listings import ListPage
from tests.unit.s3.scripted import Asked, client_of, reply, scripted


def page_of(*keys: str, token: str | None) -> ListPage:
    return ListPage([ListedObject(key, 1, "etag", "") for key in keys], token)


def pages_until_found(pages: list[ListPage]) -> int:
    """Take pages by turns, with a new token each time; return after how many it was seen that they come again."""
    paging = Paging("ListObjectsV2 s3://b/")
    for number in count():
        assert number < 10 * len(pages) + 10
        try:
            paging.take(page_of(*[each.key for each in pages[number % len(pages)].objects], token=f"t{number}"))
        except S3Malformed:
            return number + 1
    raise AssertionError


@given(st.lists(st.lists(st.text(min_size=1), min_size=1, max_size=3), min_size=1, max_size=20))
def test_keys_that_come_again_are_found_with_ever_new_tokens(keys: list[list[str]]) -> None:
    assert pages_until_found([page_of(*each, token="") for each in keys]) >= 2


def test_the_same_page_is_found_at_once() -> None:
    assert pages_until_found([page_of("a", "b", token="")]) == 2


@given(st.lists(st.text(min_size=1), unique=True), st.integers(1, 5))
def test_a_listing_in_any_order_ends_well(keys: list[str], page_keys: int) -> None:
    paging = Paging("ListObjectsV2 s3://b/")
    for first in range(0, len(keys), page_keys):
        paging.take(page_of(*keys[first : first + page_keys], token=f"t{first}"))


def test_pages_without_a_key_end_too() -> None:
    paging = Paging("ListObjectsV2 s3://b/p")
    for number in range(MAX_EMPTY_PAGES):
        paging.take(page_of(token=f"t{number}"))
    with pytest.raises(S3Malformed, match=r"s3://b/p: 1,000 pages in a row hold no key"):
        paging.take(page_of(token="one more"))


def test_a_store_with_ever_new_tokens_is_not_listed_for_ever() -> None:
    tokens = count()

    def answer(asked: Asked) -> bytes:
        entry = "<Contents><Key>image/a</Key><LastModified>x</LastModified><ETag>e</ETag><Size>1</Size></Contents>"
        token = f"<NextContinuationToken>{next(tokens)}</NextContinuationToken>"
        del asked
        text = f"<ListBucketResult><IsTruncated>true</IsTruncated>{token}{entry}</ListBucketResult>"
        return reply(200, text.encode())

    async def scenario() -> int:
        async with scripted(*[answer] * 2) as server, client_of(server.url) as client:
            with pytest.raises(S3Malformed, match=r"s3://b/image/: a page comes again"):
                return sum([len(page.objects) async for page in client.list_pages("b", "image/")])
        return 0

    asyncio.run(scenario())
