"""What a client learns of a store from its refusals, byte for byte."""

from __future__ import annotations

import asyncio

import pytest

from sketchmigrate.core.errors import S3Error, StoreFull
from sketchmigrate.s3.dialect import Learned, content_md5, named_limit_bytes, says_full, says_too_large
from sketchmigrate.s3.multipart import MultipartUpload
from tests.unit.s3.scripted import TARGET, Asked, client_of, copied, error, found, reply, scripted

MIB = 2**20


def page(*keys: str, truncated: bool = False, more: str = "") -> bytes:
    entries = "".join(
        f"<Contents><Key>{key}</Key><LastModified>2026-11-22T18:00:00.000Z</LastModified><ETag>&quot;e&quot;</ETag>"
        f"<Size>1</Size></Contents>"
        for key in keys
    )
    return reply(
        200,
        f"<ListBucketResult><Name>b</Name>{more}<EncodingType>url</EncodingType>"
        f"<IsTruncated>{str(truncated).lower()}</IsTruncated>{entries}</ListBucketResult>".encode(),
    )


@pytest.mark.parametrize("next_marker", ["", "<NextMarker>a/b%2B2</NextMarker>"])
def test_a_store_that_ignores_list_type_2_is_asked_by_markers(next_marker: str) -> None:
    """It ignores start-after as well, and would give the beginning for the rest."""

    async def scenario() -> list[str]:
        script = [
            page("a/1", "a/b%2B2", truncated=True, more="<Marker></Marker>"),
            page("a/1", "a/b%2B2", truncated=True, more=f"<Marker></Marker>{next_marker}"),
            page("a/c", more="<Marker>a/b%2B2</Marker>"),
            page("a/c", more="<Marker>a/b</Marker>"),
        ]
        async with scripted(*script) as server, client_of(server.url) as client:
            keys = [each.key async for some in client.list_pages("b", "a/") for each in some.objects]
            assert keys == ["a/1", "a/b+2", "a/c"]
            after = [
                each.key async for some in client.list_pages("b", "a/", start_after="a/b") for each in some.objects
            ]
            assert after == ["a/c"]
            return [asked.target for asked in server.asked]

    first, second, third, fourth = asyncio.run(scenario())
    assert "list-type=2" in first
    assert "list-type" not in second + third + fourth
    assert "marker=a%2Fb%2B2" in third
    assert "marker=a%2Fb&" in fourth


def test_a_listing_that_is_refused_for_something_else_keeps_its_own_error() -> None:
    async def scenario() -> None:
        script = [error(400, "InvalidArgument", "<Why>first</Why>"), error(400, "Other")]
        async with scripted(*script) as server, client_of(server.url) as client:
            with pytest.raises(S3Error) as caught:
                await client.list_page("b", "a/")
            assert caught.value.code == "InvalidArgument"

    asyncio.run(scenario())


def test_a_checksum_is_sent_once_it_is_wanted() -> None:
    wanted = error(400, "InvalidRequest").replace(b"so it is", b"Content-MD5")
    wanted = reply(400, wanted.partition(b"\r\n\r\n")[2].replace(b"Content-MD5", b"Content-MD5 is required"))

    async def scenario() -> list[Asked]:
        stored = reply(200, etag='"e"')
        async with scripted(wanted, stored, stored, copied()) as server, client_of(server.url) as client:
            await client.put(TARGET, b"body")
            await client.put(TARGET, b"other")
            await client.copy(TARGET, TARGET)
            return server.asked

    sums = [asked.headers.get("content-md5") for asked in asyncio.run(scenario())]
    assert sums == [None, content_md5(b"body"), content_md5(b"other"), content_md5(b"")]


def test_headers_of_new_objects_are_signed_and_go_with_all_that_makes_one() -> None:
    async def scenario() -> list[Asked]:
        begun = reply(200, b"<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>")
        script = [copied(), reply(200, etag='"e"'), begun, found(1)]
        demanded = (("x-amz-acl", "private"), ("x-amz-storage-class", "STANDARD"))
        async with scripted(*script) as server, client_of(server.url, new_object_headers=demanded) as client:
            await client.copy(TARGET, TARGET)
            await client.put(TARGET, b"body", {"X-Amz-Storage-Class": "GLACIER_IR"})
            await MultipartUpload.begin(client, TARGET, {})
            await client.head(TARGET)
            return server.asked

    *makers, head = asyncio.run(scenario())
    for asked in makers:
        assert asked.headers["x-amz-acl"] == "private"
        assert asked.headers["x-amz-storage-class"] == "STANDARD"
        assert "x-amz-acl" in asked.headers["authorization"]
    assert "x-amz-acl" not in head.headers


@pytest.mark.parametrize(
    ("said", "limit_bytes"),
    [
        (
            "The specified copy source is larger than the maximum allowable size for a copy source: 5368709120",
            5 * 2**30,
        ),
        ("copies of more than 10 MB are not supported", 10 * MIB),
        ("maximum 1GiB", 2**30),
        ("Your proposed upload exceeds the maximum allowed size", None),
    ],
)
def test_the_limit_is_the_one_that_is_named(said: str, limit_bytes: int | None) -> None:
    assert named_limit_bytes(said) == limit_bytes


def test_a_limit_is_learned_from_a_refusal_and_only_for_what_can_be_cut() -> None:
    learned = Learned(5 * 2**30, 256 * MIB)
    too_large = S3Error("", code="EntityTooLarge", said="at most 10 MB")
    assert not learned.is_too_large(too_large, 4 * MIB), "it would be one part"
    assert not learned.is_too_large(S3Error("", code="InvalidArgument", said="a bad name"), 100 * MIB)
    assert learned.is_too_large(too_large, 100 * MIB)
    assert (learned.copy_limit_bytes, learned.part_limit_bytes) == (10 * MIB, 10 * MIB)
    unnamed = S3Error("", code="EntityTooLarge", said="too large")
    assert learned.is_part_too_large(unnamed, 10 * MIB)
    assert learned.part_limit_bytes == 5 * MIB
    assert not learned.is_part_too_large(unnamed, 5 * MIB), "nothing smaller is allowed"


@pytest.mark.parametrize(
    ("status", "code", "said", "is_full"),
    [
        (507, "", "", True),
        (507, "XMinioStorageFull", "", True),
        (400, "XMinioAdminBucketQuotaExceeded", "", True),
        (403, "QuotaExceeded", "", True),
        (413, "EntityTooLarge", "Upload exceeds quota.", True),
        (403, "AccessDenied", "Cannot upload files, storage cap exceeded.", True),
        (429, "QuotaExceeded", "request quota exceeded", False),
        (503, "SlowDown", "Please reduce your request rate", False),
        (403, "AccessDenied", "", False),
        (413, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size", False),
    ],
)
def test_what_full_stores_say(status: int, code: str, said: str, is_full: bool) -> None:
    assert says_full(status, code, said) is is_full
    assert not (is_full and says_too_large(code, said)) or code == "EntityTooLarge"


def test_a_full_store_is_not_asked_again() -> None:
    async def scenario() -> None:
        async with scripted(error(507, "XMinioStorageFull")) as server, client_of(server.url) as client:
            with pytest.raises(StoreFull, match="so it is"):
                await client.put(TARGET, b"body")

    asyncio.run(scenario())
