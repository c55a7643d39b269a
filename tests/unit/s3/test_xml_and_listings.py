"""Listings and documents: what is read and what is written."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sketchmigrate.core.errors import BucketMissing, S3Busy, S3Malformed
from sketchmigrate.s3.wire import xml, xml_listings
from tests.unit.s3.scripted import ETAG, Cut, client_of, copy_document, error, error_document, reply, scripted

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.s3.scripted import Step


def page(*keys: str, token: str = "", truncated: bool | None = None, encoded: bool = True) -> bytes:
    """Write a page as S3 does: a space is a plus there."""
    contents = "".join(
        f"<Contents><Key>{quote_plus(key, safe='/', errors='surrogateescape') if encoded else escape(key)}</Key>"
        f"<LastModified>2026-11-22T18:00:00.000Z</LastModified><ETag>&quot;{ETAG}&quot;</ETag><Size>7</Size>"
        "</Contents>"
        for key in keys
    )
    more = bool(token) if truncated is None else truncated
    return (
        '<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name>'
        f"<IsTruncated>{str(more).lower()}</IsTruncated>{contents}"
        f"{f'<NextContinuationToken>{token}</NextContinuationToken>' if token else ''}"
        f"{'<EncodingType>url</EncodingType>' if encoded else ''}</ListBucketResult>"
    ).encode()


async def listed(*script: Step, **config: Any) -> tuple[list[str], list[str]]:
    """List everything; return the keys and the queries."""
    async with scripted(*script) as server, client_of(server.url, **config) as client:
        keys = [item.key async for found in client.list_pages("b", "image/") for item in found.objects]
        return keys, [asked.target for asked in server.asked]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), max_size=5))
def test_any_key_survives_an_encoded_listing(keys: list[str]) -> None:
    assert [item.key for item in xml_listings.read_list_page(page(*keys)).objects] == keys


def test_bytes_that_are_not_utf_8_survive_too() -> None:
    assert xml_listings.read_list_page(page("a\udcffb")).objects[0].key == "a\udcffb"


def test_a_listing_that_is_not_encoded_is_taken_as_it_is() -> None:
    assert xml_listings.read_list_page(page("a+b%41", encoded=False)).objects[0].key == "a+b%41"


def test_pages_are_followed_by_their_tokens_with_the_encoding_asked_for() -> None:
    keys, targets = asyncio.run(listed(reply(200, page("a", "b", token="t/1+")), reply(200, page("c"))))
    assert keys == ["a", "b", "c"]
    assert targets[0] == "/b/?encoding-type=url&list-type=2&max-keys=1000&prefix=image%2F"
    assert "continuation-token=t%2F1%2B" in targets[1]


def test_only_is_truncated_says_whether_there_is_more() -> None:
    keys, _ = asyncio.run(listed(reply(200, page(token="t1")), reply(200, page("a", token="t2", truncated=False))))
    assert keys == ["a"]


def test_a_token_that_repeats_ends_the_listing_with_an_error() -> None:
    pages = [reply(200, page("a", token="t1")), reply(200, page("b", token="t2")), reply(200, page("a", token="t1"))]
    with pytest.raises(S3Malformed, match="repeats"):
        asyncio.run(listed(*pages))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        page("a")[:-1],
        page("a", truncated=True),
        page("a").replace(b"<IsTruncated>false</IsTruncated>", b""),
        page("a").replace(b"<Size>7</Size>", b""),
        page("a").replace(b"<Key>a</Key>", b""),
        b"<ListAllMyBucketsResult/>",
        b"<html><body>hello</body></html>",
    ],
)
def test_a_damaged_listing_is_never_an_empty_one(body: bytes) -> None:
    with pytest.raises(S3Malformed):
        asyncio.run(listed(reply(200, body), retry_seconds=0))
    assert asyncio.run(listed(reply(200, body), reply(200, page("a"))))[0] == ["a"]


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (error(404, "NoSuchBucket"), BucketMissing),
        (reply(200, error_document("NoSuchBucket")), BucketMissing),
        (error(503, "SlowDown"), S3Busy),
    ],
)
def test_a_failed_listing_is_never_an_empty_one(failure: bytes, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        asyncio.run(listed(reply(200, page("a", token="t1")), failure, retry_seconds=0))


def test_a_listing_goes_on_after_a_connection_broke() -> None:
    keys, _ = asyncio.run(listed(reply(200, page("a", token="t1")), Cut(page("b")[:50]), reply(200, page("b"))))
    assert keys == ["a", "b"]


@pytest.mark.parametrize("written", ["k&#1;+", "k&#x1;+", "k\ufffe+"])
def test_a_token_with_characters_that_xml_cannot_carry_is_returned_as_it_is_meant(written: str) -> None:
    """Ceph's token is the last key of the page, not encoded."""
    body = page("a", token="TOKEN").replace(b"TOKEN", written.encode())
    meant = written.replace("&#1;", "\x01").replace("&#x1;", "\x01")
    assert xml_listings.read_list_page(body).next_token == meant
    with pytest.raises(xml.NotS3):
        xml_listings.read_list_page(body[:-1])


def test_a_listing_can_start_after_a_key() -> None:
    async def scenario() -> str:
        async with scripted(reply(200, page("c"))) as server, client_of(server.url) as client:
            await client.list_page("b", "", start_after="b+", max_keys=1)
            return server.asked[0].target

    assert asyncio.run(scenario()).endswith("max-keys=1&prefix=&start-after=b%2B")


@pytest.mark.parametrize("quote", ['"', "&quot;", "&#34;", ""])
def test_a_copy_result_is_read_alike_on_both_ways(quote: str) -> None:
    """The shortcut for the usual reply and the XML parser agree."""
    usual = copy_document().replace(b"&quot;", quote.encode())
    unusual = usual.replace(b"</ETag>", b"</ETag><ChecksumCRC32>x</ChecksumCRC32>")
    assert xml.read_copy_result(usual) == xml.read_copy_result(unusual) == ETAG


@given(st.integers(1, len(copy_document()) - 1))
def test_a_copy_result_that_is_cut_anywhere_is_none(length: int) -> None:
    with pytest.raises(xml.NotS3):
        xml.read_copy_result(copy_document()[:length])


PIECES = (
    b"",
    b"<",
    b">",
    b"&",
    b"&amp;",
    b"-",
    b"<!--",
    b"-->",
    b"<x>",
    b"</x>",
    b"<x/>",
    b"</ETag>",
    b"<ETag>",
    b"</LastModified>",
)


@given(st.lists(st.tuples(st.integers(0, len(copy_document())), st.sampled_from(PIECES)), max_size=3))
def test_the_shortcut_for_a_copy_result_takes_what_the_parser_does(
    changes: list[tuple[int, bytes]],
) -> None:
    body = copy_document()
    for place, piece in changes:
        body = body[:place] + piece + body[place:]
    other = body.replace(b"CopyObjectResult", b"CompleteMultipartUploadResult")  # for this there is the parser alone
    assert read_or_refused(xml.read_copy_result, body) == read_or_refused(xml.read_complete_result, other)


def read_or_refused(read: Callable[[bytes], str], body: bytes) -> str:
    try:
        return read(body)
    except xml.NotS3:
        return "refused"


@pytest.mark.parametrize("encoding", ["UT-F-8", "utf-7", "shift_jis", "rot13"])
def test_a_document_in_an_encoding_that_nobody_has_is_none(encoding: str) -> None:
    with pytest.raises(xml.NotS3):
        xml.read_copy_result(f'<?xml version="1.0" encoding="{encoding}"?><CopyObjectResult/>'.encode())


@given(st.binary(max_size=200))
def test_no_bytes_at_all_make_a_reader_fail_in_another_way(body: bytes) -> None:
    for read in (
        xml.read_error,
        xml.read_copy_result,
        xml_listings.read_list_page,
        xml.read_tags,
        xml.read_upload_id,
        xml.read_complete_result,
    ):
        with contextlib.suppress(xml.NotS3):  # some bytes are a document
            read(body)


def test_the_documents_that_are_sent_read_back() -> None:
    tags = [("a&b", "<1>"), ("ü", "")]
    assert xml.read_tags(xml.tagging_document(tags)) == tags
    complete = ET.fromstring(xml.complete_document(["e1", "e2"]))  # noqa: S314 - our own document
    assert [element.text for element in complete.iter() if element.text] == ["1", '"e1"', "2", '"e2"']
