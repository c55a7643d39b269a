"""Documents that a store would not send: too deep, too many elements, words that do something to a terminal."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from sketchmigrate.core.errors import S3Error, S3Malformed
from sketchmigrate.core.objects import ObjectInfo
from sketchmigrate.s3.config import Keep
from sketchmigrate.s3.headers import tags_of
from sketchmigrate.s3.wire import xml, xml_listings
from tests.unit.s3.scripted import ETAG, SOURCE, client_of, copy_against, found, reply, scripted

if TYPE_CHECKING:
    from collections.abc import Callable

DEEP = b"<a>" * 20 + b"x" * xml.SMALL_BYTES + b"</a>" * 20
READERS: list[tuple[Callable[[bytes], object], bytes]] = [
    (xml.read_copy_result, b"CopyObjectResult"),
    (xml.read_part_copy_result, b"CopyPartResult"),
    (xml.read_complete_result, b"CompleteMultipartUploadResult"),
    (xml.read_upload_id, b"InitiateMultipartUploadResult"),
    (xml.read_tags, b"Tagging"),
    (xml_listings.read_list_page, b"ListBucketResult"),
    (xml_listings.read_versions, b"ListVersionsResult"),
]
RIGHT = (
    b"<ETag>e</ETag><UploadId>u</UploadId><IsTruncated>false</IsTruncated><TagSet/>"
    b"<Contents><Key>k</Key><ETag>e</ETag><Size>1</Size></Contents>"
)


@pytest.mark.parametrize(("read", "root"), READERS, ids=[root.decode() for _, root in READERS])
@pytest.mark.parametrize(
    ("more", "told"),
    [
        (DEEP, "deep"),
        (b"<a>" * 300_000 + b"</a>" * 300_000, "more elements"),
        (b"<a/>" * 300_000, "more elements"),
        (b"<a %b/>" % b" ".join(b'a%d=""' % number for number in range(100_001)), "more elements"),
    ],
    ids=["deep", "very deep", "wide", "attributes"],
)
def test_a_document_is_bounded(read: Callable[[bytes], object], root: bytes, more: bytes, told: str) -> None:
    read(b"<%b>%b</%b>" % (root, RIGHT, root))
    with pytest.raises(xml.NotS3, match=told):
        read(b"<%b>%b%b</%b>" % (root, RIGHT, more, root))


def test_an_error_document_is_bounded_too() -> None:
    assert xml.read_error(b"<Error><Code>SlowDown</Code>%b</Error>" % DEEP) is None
    assert xml.read_error(b"<Error><Code>SlowDown</Code><a><b/></a></Error>") == xml.ErrorDocument("SlowDown")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_a_document_type_does_not_hide_in_another_encoding(encoding: str) -> None:
    text = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e "e">]><CopyObjectResult><ETag>&e;</ETag></CopyObjectResult>'
    with pytest.raises(xml.NotS3):
        xml.read_copy_result(text.encode(encoding))


@pytest.mark.parametrize("size", ["9" * 19, "9" * 5000], ids=len)
def test_a_size_that_no_object_has_is_none(size: str) -> None:
    for extra in ("", "<Unusual>&#233;</Unusual>"):  # on both ways that a page is read
        entry = (
            f"<Contents><Key>k</Key><LastModified>x</LastModified><ETag>e</ETag><Size>{size}</Size>{extra}</Contents>"
        )
        with pytest.raises(xml.NotS3, match="size"):
            xml_listings.read_list_page(
                f"<ListBucketResult><IsTruncated>false</IsTruncated>{entry}</ListBucketResult>".encode()
            )


def test_a_range_that_no_object_has_is_an_error() -> None:
    async def scenario() -> None:
        answer = reply(206, b"x", content_range=f"bytes 0-{'9' * 5000}/{'9' * 5000}")
        async with scripted(answer) as server, client_of(server.url, retry_seconds=0) as client:
            with pytest.raises(S3Malformed, match="not the range"):
                await client.get(SOURCE, 0, 0)

    asyncio.run(scenario())


@pytest.mark.parametrize("count", ["many", "9" * 5000, "\u00b2"], ids=len)
def test_a_count_of_tags_that_is_none_is_an_error(count: str) -> None:
    async def scenario() -> None:
        tags = reply(200, b"<Tagging><TagSet></TagSet></Tagging>")
        async with scripted(tags) as server, client_of(server.url) as client:
            info = ObjectInfo(1, ETAG, {"x-amz-tagging-count": count})
            with pytest.raises(S3Error, match="not all of its tags"):
                await tags_of(client, SOURCE, info)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "etag", ["a&#13;&#10;x-evil: 1", "&#27;[2J", "e" * 2000], ids=["line break", "terminal", "long"]
)
def test_an_etag_that_no_header_can_carry_is_none(etag: str) -> None:
    body = f"<CopyObjectResult><ETag>{etag}</ETag></CopyObjectResult>".encode()
    if "&" in etag:
        body = body.replace(b"&#27;", b"\xc2\x9b")  # the same to a terminal, and allowed in XML
    with pytest.raises(xml.NotS3, match="ETag"):
        xml.read_copy_result(body)


@pytest.mark.parametrize("field", ["Code", "Message", "RequestId"])
def test_what_a_store_says_is_one_short_line(field: str) -> None:
    """A line break would begin a line of the log, and CSI (U+009B) would do something to a terminal."""
    words = f"bad\nerror: all is well\u009b2J\u202e{'x' * 100_000}"
    texts = {"Code": "AccessDenied", "Message": "no", "RequestId": "r", field: words}
    document = "".join(f"<{name}>{text}</{name}>" for name, text in texts.items())
    with pytest.raises(S3Error) as caught:
        asyncio.run(copy_against(reply(403, f"<Error>{document}</Error>".encode()), keep=Keep(tags="required")))
    assert caught.value.message.isprintable()
    assert "bad error: all is well" in caught.value.message
    assert len(caught.value.message) < 1000
    assert caught.value.code.isprintable()


def test_a_date_with_numbers_that_no_date_has_is_no_crash() -> None:
    dated = reply(403, b"<Error><Code>AccessDenied</Code></Error>", date="Mon, 01 Jan 2024 00:00:00 +99999999999999")
    with pytest.raises(S3Error, match="AccessDenied"):
        asyncio.run(copy_against(dated, keep=Keep(tags="required")))


def test_a_head_of_an_object_larger_than_any_is_none() -> None:
    with pytest.raises(S3Malformed, match="Content-Length"):
        asyncio.run(head_of(found(10**19)))


async def head_of(answer: bytes) -> ObjectInfo:
    async with scripted(answer) as server, client_of(server.url, retry_seconds=0) as client:
        return await client.head(SOURCE)
