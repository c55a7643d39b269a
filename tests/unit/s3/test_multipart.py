"""Copies above the limit of CopyObject."""

from __future__ import annotations

import asyncio
import re
from hashlib import md5
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sketchmigrate.core.errors import PreconditionFailed, S3Error, S3Refused
from sketchmigrate.s3.config import Keep
from sketchmigrate.s3.etags import expected_etag
from sketchmigrate.s3.headers import kept_headers
from sketchmigrate.s3.keeping_copy import KeepingCopy
from sketchmigrate.s3.multipart import MAX_PARTS, MultipartUpload, part_ranges
from sketchmigrate.s3.wire.xml_subresources import ListedPart
from tests.unit.s3.scripted import ETAG, SOURCE, TARGET, Asked, Cut, client_of, error, found, reply, scripted

if TYPE_CHECKING:
    from sketchmigrate.s3 import CopyResult, S3Client
    from tests.unit.s3.scripted import Step

SIZE = 25
TOO_LARGE = error(400, "InvalidRequest")
TAGS = reply(200, b"<Tagging><TagSet><Tag><Key>k 1</Key><Value>v&amp;</Value></Tag></TagSet></Tagging>")
NO_TAGS = error(404, "NoSuchTagSet")
STARTED = reply(200, b"<InitiateMultipartUploadResult><UploadId>U/1</UploadId></InitiateMultipartUploadResult>")
COMPLETED = reply(200, b'<CompleteMultipartUploadResult><ETag>"whole-3"</ETag></CompleteMultipartUploadResult>')


def part(asked: Asked) -> bytes:
    number = re.search(r"partNumber=(\d+)", asked.target)
    assert number
    return reply(200, f'<CopyPartResult><ETag>"part{number[1]}"</ETag></CopyPartResult>'.encode())


def client_of_parts(url: str, keep: Keep | None = None) -> S3Client:
    return client_of(url, copy_limit_bytes=20, part_size_bytes=10, retry_seconds=1, keep=keep or Keep())


async def copy_large(*script: Step, keep: Keep | None = None) -> tuple[CopyResult, list[Asked]]:
    async with scripted(TOO_LARGE, *script) as server, client_of_parts(server.url, keep) as client:
        return await client.copy(SOURCE, TARGET), server.asked


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let parts be of a few bytes: the smallest unit of their size is a mebibyte otherwise."""
    monkeypatch.setattr("sketchmigrate.s3.multipart._MIB", 1)


def test_what_is_over_the_limit_is_copied_in_parts_with_all_that_copy_object_keeps() -> None:
    info = found(
        SIZE,
        content_type="image/png",
        cache_control="no-cache",
        x_amz_meta_owner="Zoë  Q",
        x_amz_storage_class="GLACIER",
        x_amz_website_redirect_location="/x",
        x_amz_tagging_count="1",
    )
    result, asked = asyncio.run(copy_large(info, TAGS, STARTED, part, part, part, found(SIZE), COMPLETED, TAGS))
    assert (result.etag, result.size_bytes) == ("whole-3", SIZE)
    start, parts, complete = asked[3], asked[4:7], asked[8]
    assert start.target == "/production/avatar/a.png?uploads="
    assert {name: start.headers[name] for name in ("content-type", "cache-control", "x-amz-meta-owner")} == {
        "content-type": "image/png",
        "cache-control": "no-cache",
        "x-amz-meta-owner": "Zoë  Q",
    }
    assert start.headers["x-amz-tagging"] == "k%201=v%26"
    assert not {"x-amz-storage-class", "x-amz-website-redirect-location"} & set(start.headers)
    ranges = sorted(asked.headers["x-amz-copy-source-range"] for asked in parts)
    assert ranges == ["bytes=0-9", "bytes=10-19", "bytes=20-24"]
    assert {asked.headers["x-amz-copy-source-if-match"] for asked in parts} == {f'"{ETAG}"'}
    assert complete.target.endswith("?uploadId=U%2F1")
    assert re.findall(rb"part\d", complete.body) == [b"part1", b"part2", b"part3"]


def test_tags_that_a_store_ignored_at_the_beginning_are_set_at_the_end() -> None:
    beginning: list[Step] = [found(SIZE), TAGS, STARTED, part, part, part, found(SIZE), COMPLETED, reply(200)]
    _, asked = asyncio.run(copy_large(*beginning, found(SIZE, "whole-3"), reply(200)))
    assert (asked[-1].method, asked[-1].target) == ("PUT", "/production/avatar/a.png?tagging=")
    assert b"<Key>k 1</Key><Value>v&amp;</Value>" in asked[-1].body
    assert asked[-1].headers["content-md5"]


def test_the_object_that_someone_stored_since_gets_none_of_our_tags() -> None:
    beginning: list[Step] = [found(SIZE), TAGS, STARTED, part, part, part, found(SIZE), COMPLETED, reply(200)]
    _, asked = asyncio.run(copy_large(*beginning, found(SIZE, "someone-elses")))
    assert asked[-1].method == "HEAD"


def test_tags_that_cannot_be_read_fail_the_copy_before_it_begins() -> None:
    with pytest.raises(S3Refused):
        asyncio.run(copy_large(found(SIZE), error(403, "AccessDenied"), keep=Keep(tags="required")))
    with pytest.raises(S3Error, match="tags"):
        asyncio.run(copy_large(found(SIZE, x_amz_tagging_count="2"), TAGS))


async def test_what_is_learned_with_one_object_in_parts_holds_for_the_next(caplog: pytest.LogCaptureFixture) -> None:
    """That the store takes no tags costs one request, and is said once."""
    look = found(SIZE, x_amz_tagging_count="1")
    parts: list[Step] = [part, part, part, found(SIZE), COMPLETED]
    first: list[Step] = [TOO_LARGE, look, TAGS, error(501, "NotImplemented"), STARTED, *parts]
    async with scripted(*first, look, STARTED, *parts) as server, client_of_parts(server.url) as client:
        for _ in range(2):
            await client.copy(SOURCE, TARGET)
        assert ["x-amz-tagging" in each.headers for each in server.asked if each.target.endswith("uploads=")] == [
            True, False, False
        ]  # fmt: skip
    assert caplog.text.count("production takes no tags") == 1


async def test_what_was_looked_at_for_its_metadata_is_not_looked_at_for_its_size() -> None:
    look = found(SIZE, x_amz_tagging_count="0", last_modified="Wed, 21 Oct 2026 07:28:00 GMT")
    parts: list[Step] = [STARTED, part, part, part, found(SIZE), COMPLETED]
    async with (
        scripted(look, TOO_LARGE, *parts, look, *parts) as server,
        client_of_parts(server.url, Keep(mtime=True)) as client,
    ):
        copying = KeepingCopy(client)
        for _ in range(2):
            assert (await copying.copy(SOURCE, TARGET)).in_parts
        begun = [each.headers["x-amz-meta-mtime"] for each in server.asked if each.target.endswith("uploads=")]
    assert begun == ["1792567680"] * 2


def test_a_refusal_that_is_not_about_the_size_stays_what_it_was() -> None:
    with pytest.raises(S3Error, match="InvalidRequest"):
        asyncio.run(copy_large(found(20)))


def test_a_source_that_is_replaced_meanwhile_is_not_mixed_and_the_upload_aborted() -> None:
    """By the condition on the part, and where the store ignores that, by the look before the end."""
    changed = error(412, "PreconditionFailed")
    for rest in ([changed] * 3, [part, part, part, found(SIZE, "another")]):
        aborted: list[Asked] = []

        def abort(asked: Asked, aborted: list[Asked] = aborted) -> bytes:
            aborted.append(asked)
            return reply(204)

        with pytest.raises(PreconditionFailed):
            asyncio.run(copy_large(found(SIZE), NO_TAGS, STARTED, *rest, abort))
        assert [(asked.method, asked.target) for asked in aborted] == [
            ("DELETE", "/production/avatar/a.png?uploadId=U%2F1")
        ]


def test_parts_that_could_not_be_discarded_are_reported(caplog: pytest.LogCaptureFixture) -> None:
    script: list[Step] = [found(SIZE), NO_TAGS, STARTED, *[error(403, "AccessDenied")] * 3, error(403, "AccessDenied")]
    with pytest.raises(S3Refused):
        asyncio.run(copy_large(*script))
    assert "U/1" in caplog.text
    assert "cost storage" in caplog.text


def test_a_completed_upload_whose_reply_was_lost_is_recognised_by_its_etag() -> None:
    etags = [md5(str(number).encode(), usedforsecurity=False).hexdigest() for number in range(3)]

    def md5_part(asked: Asked) -> bytes:
        number = re.search(r"partNumber=(\d+)", asked.target)
        assert number
        return reply(200, f"<CopyPartResult><ETag>{etags[int(number[1]) - 1]}</ETag></CopyPartResult>".encode())

    parts: list[Step] = [md5_part] * 3
    beginning: list[Step] = [found(SIZE), NO_TAGS, STARTED, *parts, found(SIZE), Cut(), error(404, "NoSuchUpload")]
    result, _ = asyncio.run(copy_large(*beginning, found(SIZE, expected_etag(etags))))
    assert result.etag == expected_etag(etags)
    with pytest.raises(S3Error, match="NoSuchUpload"):
        asyncio.run(copy_large(*beginning, found(SIZE, "someone-elses"), reply(204)))


PART_ETAGS = [md5(bytes([number]), usedforsecurity=False).hexdigest() for number in range(3)]
WHOLE = expected_etag(PART_ETAGS)
UPLOAD_GONE = error(404, "NoSuchUpload")
OUTCOME_UNKNOWN: list[Step] = [
    reply(200, b"<CompleteMultipartUploadResult><ETag></ETag></CompleteMultipartUploadResult>"),  # Ceph 16's first
    error(503, "SlowDown"),
    Cut(),
]


async def complete_while_stopping(*script: Step) -> str:
    async with scripted(*script) as server, client_of(server.url) as client:
        client.stop_retrying()
        return await MultipartUpload(client, TARGET, "U/1").complete(PART_ETAGS)


@pytest.mark.parametrize("told", OUTCOME_UNKNOWN, ids=["no ETag", "503", "no reply"])
async def test_what_was_completed_is_not_forgotten_as_the_run_stops(told: Step) -> None:
    for gone in (UPLOAD_GONE, error(404, "NoSuchKey")):  # Ceph 16 says the latter of an upload
        assert await complete_while_stopping(told, found(SIZE, WHOLE), gone) == WHOLE


@pytest.mark.parametrize("told", OUTCOME_UNKNOWN, ids=["no ETag", "503", "no reply"])
async def test_as_the_run_stops_no_other_object_is_taken_for_what_was_completed(told: Step) -> None:
    """Somebody else's; none; one of the same bytes that was to be replaced, while the upload is open, or not told."""
    beginnings: list[list[Step]] = [
        [found(SIZE, "someone-elses")],
        [reply(404)],
        [Cut()],
        [found(SIZE, WHOLE), parts_page(1, 2, 3, more=False)],
        [found(SIZE, WHOLE), error(403, "AccessDenied")],
    ]
    for seen in beginnings:
        with pytest.raises(S3Error, match="CompleteMultipartUpload"):
            await complete_while_stopping(told, *seen)


async def test_what_was_refused_is_not_looked_for() -> None:
    for refusal in (error(403, "AccessDenied"), error(400, "InvalidPart"), UPLOAD_GONE):
        with pytest.raises(S3Error, match="CompleteMultipartUpload"):
            await complete_while_stopping(refusal)


@given(st.integers(1, 5 * 2**40), st.integers(5 * 2**20, 5 * 2**30))
def test_parts_cover_the_object_exactly_and_are_at_most_10_000(size_bytes: int, part_size_bytes: int) -> None:
    ranges = part_ranges(size_bytes, part_size_bytes)
    assert len(ranges) <= MAX_PARTS == 10_000
    assert ranges[0][0] == 0
    assert ranges[-1][1] == size_bytes - 1
    assert all(one[1] + 1 == following[0] for one, following in pairwise(ranges))


def test_what_is_kept_is_only_what_copy_object_keeps() -> None:
    headers = {"content-type": "a/b", "x-amz-meta-k": "v", "etag": "e", "x-amz-request-id": "r", "expires": ""}
    assert kept_headers(headers, Keep()) == {"content-type": "a/b", "x-amz-meta-k": "v"}


@pytest.mark.parametrize(
    ("headers", "kept"),
    [
        ({"last-modified": "Wed, 21 Oct 2026 07:28:00 GMT"}, {"x-amz-meta-mtime": "1792567680"}),
        ({"last-modified": "Wed, 21 Oct 2026 07:28:00 GMT", "x-amz-meta-mtime": "1.5"}, {"x-amz-meta-mtime": "1.5"}),
        ({"last-modified": "yesterday"}, {}),
        ({}, {}),
    ],
    ids=["told", "kept already", "not a date", "not told"],
)
def test_the_time_is_kept_as_metadata_where_it_is_not_there_already(
    headers: dict[str, str], kept: dict[str, str]
) -> None:
    assert kept_headers(headers, Keep(mtime=True)) == kept


@pytest.mark.parametrize(
    ("storage_class", "kept"),
    [("STANDARD_IA", True), ("GLACIER_IR", True), ("GLACIER", False), ("DEEP_ARCHIVE", False)],
)
def test_the_storage_class_is_kept_unless_it_is_an_archive(storage_class: str, kept: bool) -> None:
    headers = {"x-amz-storage-class": storage_class}
    assert kept_headers(headers, Keep(storage_class=True)) == (headers if kept else {})
    assert kept_headers(headers, Keep()) == {}


def test_an_etag_of_parts_is_only_predicted_from_md5s() -> None:
    assert expected_etag(["not hex"]) == ""
    assert re.fullmatch(r"[0-9a-f]{32}-2", expected_etag([ETAG, ETAG]))


def parts_page(*numbers: int, more: bool) -> bytes:
    parts = "".join(f"<Part><PartNumber>{n}</PartNumber><ETag>e{n}</ETag><Size>{n}</Size></Part>" for n in numbers)
    return reply(
        200, f"<ListPartsResult>{parts}<IsTruncated>{str(more).lower()}</IsTruncated></ListPartsResult>".encode()
    )


@pytest.mark.parametrize(
    "repeated", [[], [parts_page(1, 2, more=True)], [parts_page(more=True)]], ids=["told", "rclone's", "empty"]
)
async def test_parts_that_are_there_are_told_page_by_page(repeated: list[bytes]) -> None:
    """A store that tells the first page again and again (rclone's server) tells no more."""
    pages = [parts_page(1, 2, more=True), *(repeated or [parts_page(7, more=False)])]
    async with scripted(*pages) as server, client_of(server.url) as client:
        parts = await MultipartUpload(client, TARGET, "U/1").parts()
    assert parts == {n: ListedPart(f"e{n}", n) for n in ([1, 2] if repeated else [1, 2, 7])}
    assert [asked.target.partition("?")[2] for asked in server.asked] == [
        "uploadId=U%2F1",
        "part-number-marker=2&uploadId=U%2F1",
    ]
