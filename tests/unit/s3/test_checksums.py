"""Checksums that a store tells of its objects, and what is believed of what was read by them."""

from __future__ import annotations

import zlib
from base64 import b64encode
from hashlib import sha1, sha256
from typing import TYPE_CHECKING

import pytest

from sketchmigrate.core.errors import S3Error
from sketchmigrate.s3.checksums import Checksum, ChecksumHash, told_checksum
from sketchmigrate.s3.etags import digests_of
from sketchmigrate.s3.memory import MemoryBudget
from sketchmigrate.s3.proof import CHECKSUM_QUESTIONS, READINGS_AGAINST
from sketchmigrate.s3.streaming import Streamer
from tests.unit.s3.scripted import SOURCE, TARGET, Asked, client_of, error, found, reply, scripted

if TYPE_CHECKING:
    from sketchmigrate.s3.wire.messages import CopyResult

BODY = b"0123456789"
DAMAGED = b"0123456788"
OPAQUE = "f" * 32
"""An ETag that looks like an MD5, and is none: that of AWS under SSE-KMS."""

MD5 = digests_of(BODY).md5
CONTENT_MD5 = digests_of(BODY).content_md5


def base64_of(digest: bytes) -> str:
    return b64encode(digest).decode()


SHA256 = base64_of(sha256(BODY).digest())
TOLD = {
    "x-amz-checksum-sha256": SHA256,
    "x-amz-checksum-sha1": base64_of(sha1(BODY, usedforsecurity=False).digest()),
    "x-amz-checksum-crc32": base64_of(zlib.crc32(BODY).to_bytes(4, "big")),
}


def read(body: bytes = BODY, etag: str = OPAQUE) -> bytes:
    """Write the reply to the first read of an object under SSE-KMS that has no more bytes."""
    told = f"bytes 0-{len(body) - 1}/{len(body)}"
    return reply(
        206, body, etag=f'"{etag}"', content_range=told, x_amz_server_side_encryption="aws:kms", x_amz_tagging_count="0"
    )


def stored(etag: str = MD5, **headers: str) -> bytes:
    return reply(200, b"", etag=f'"{etag}"', **headers)


def seen(**headers: str) -> bytes:
    """Write the reply to the HEAD that asks for checksums."""
    return found(len(BODY), OPAQUE, **headers)


async def stream(
    legacy: list[bytes], production: list[bytes], *, objects: int = 1
) -> tuple[list[CopyResult], list[Asked], list[Asked]]:
    """Bring an object, again and again; return the results and what both sides were asked."""
    async with (
        scripted(*legacy) as one,
        scripted(*production) as other,
        client_of(one.url) as reading,
        client_of(other.url) as writing,
    ):
        streamer = Streamer(reading, writing, MemoryBudget(2**20))
        results = [await streamer.copy(SOURCE, TARGET) for _ in range(objects)]
        return results, one.asked, other.asked


@pytest.mark.parametrize(("header", "value"), TOLD.items())
def test_a_checksum_is_made_of_pieces(header: str, value: str) -> None:
    assert told_checksum({header: value}) == Checksum(header, value)
    whole = ChecksumHash(header)
    for first in range(0, len(BODY), 3):
        whole.update(BODY[first : first + 3])
    assert whole.value() == value


def test_the_strongest_is_taken_and_none_of_parts() -> None:
    assert told_checksum(TOLD) == Checksum("x-amz-checksum-sha256", SHA256)
    assert told_checksum({"x-amz-checksum-sha256": f"{SHA256}-2", "x-amz-checksum-crc32": "aaaaaA=="}) == Checksum(
        "x-amz-checksum-crc32", "aaaaaA=="
    )
    assert told_checksum(TOLD | {"x-amz-checksum-type": "COMPOSITE"}) is None
    assert told_checksum({"x-amz-checksum-crc64nvme": "AAAAAAAAAAA="}) is None


@pytest.mark.parametrize(("header", "value"), TOLD.items())
async def test_what_no_etag_proves_is_proved_by_a_checksum(header: str, value: str) -> None:
    """It is read once over plain HTTP; one that comes damaged is read again."""
    checksum = seen(**{header.replace("-", "_"): value})
    results, asked, _ = await stream([read(), checksum], [stored()])
    assert results[0].read_checksum == "", "nothing is to be kept of what is proved"
    assert asked[1].headers["x-amz-checksum-mode"] == "ENABLED"
    _, asked, sent = await stream([read(DAMAGED), checksum, read(), checksum], [stored()])
    assert [each.method for each in asked] == ["GET", "HEAD", "GET", "HEAD"]
    assert [each.body for each in sent] == [BODY]


async def test_damaged_alike_is_not_believed_where_checksums_were_seen_to_tell() -> None:
    checksum = seen(x_amz_checksum_sha256=SHA256)
    damaged = [read(DAMAGED), checksum]
    with pytest.raises(S3Error, match="at 5 attempts"):
        await stream([read(), checksum, *damaged * 5], [stored()], objects=2)


async def test_a_checksum_that_never_was_that_of_the_bytes_tells_nothing() -> None:
    """Rclone's server keeps what a client said once, whatever the object is by now."""
    wrong = seen(x_amz_checksum_crc32="AAAAAA==")
    results, _, sent = await stream([read(), wrong] * READINGS_AGAINST, [stored()])
    assert (results[0].read_checksum, [each.body for each in sent]) == (MD5, [BODY])


async def test_where_nothing_tells_it_is_read_twice_and_its_checksum_kept() -> None:
    results, _, _ = await stream([read(), seen(), read(), seen()], [stored()])
    assert results[0].read_checksum == MD5


async def test_a_store_that_tells_no_checksums_is_asked_no_more() -> None:
    objects = CHECKSUM_QUESTIONS // 2 + 2  # each is read twice
    asked_first = [read(), seen()] * CHECKSUM_QUESTIONS
    results, asked, _ = await stream([*asked_first, *[read()] * 4], [stored()] * objects, objects=objects)
    assert len(results) == objects
    assert sum(1 for each in asked if each.method == "HEAD") == CHECKSUM_QUESTIONS


@pytest.mark.parametrize(("status", "code"), [(403, "AccessDenied"), (400, "InvalidRequest"), (501, "")])
async def test_a_store_that_refuses_the_question_for_checksums_is_asked_no_more(status: int, code: str) -> None:
    refusal = [reply(status)] + ([error(status, code)] if code else [])  # a HEAD tells no code: a GET does
    _, asked, _ = await stream([read(), *refusal, *[read()] * 3], [stored()] * 2, objects=2)
    assert [each.headers.get("x-amz-checksum-mode") for each in asked] == [
        None, *["ENABLED"] * len(refusal), None, None, None
    ]  # fmt: skip


@pytest.mark.parametrize(
    "refusal",
    [
        [reply(404)],
        [reply(400), error(400, "ExpiredToken")],
        [reply(403), error(403, "SignatureDoesNotMatch")],
        [error(429, "TooManyRequests")],
    ],
    ids=["gone", "expired", "signature", "busy"],
)
async def test_what_is_about_one_object_or_passes_is_not_learned_of_checksums(refusal: list[bytes]) -> None:
    """Else one object that goes meanwhile would turn the proof of all others off."""
    checksum = seen(x_amz_checksum_sha256=SHA256)
    async with (
        scripted(read(), *refusal, read(), checksum) as one,
        scripted(stored()) as other,
        client_of(one.url, retry_seconds=0) as reading,
        client_of(other.url) as writing,
    ):
        streamer = Streamer(reading, writing, MemoryBudget(2**20))
        with pytest.raises(S3Error):
            await streamer.copy(SOURCE, TARGET)
        assert (await streamer.copy(SOURCE, TARGET)).read_checksum == ""


async def test_a_store_that_tells_no_parts_has_others_prove_the_object() -> None:
    """It takes the whole object, and refuses to look at a part of it: that is no trouble that passes."""
    etag = f"{OPAQUE}-2"
    whole = reply(206, BODY, etag=f'"{etag}"', content_range="bytes 0-9/10", x_amz_tagging_count="0")
    first = reply(206, BODY[:1], etag=f'"{etag}"', content_range="bytes 0-0/10")
    checksum = found(len(BODY), etag, x_amz_checksum_sha256=SHA256)
    results, asked, sent = await stream([whole, reply(400), first, checksum], [stored()])
    assert [each.target.partition("?")[2] for each in asked] == ["", "partNumber=1", "", ""]
    assert results[0].read_checksum == ""
    assert [each.method for each in asked] == ["GET", "HEAD", "GET", "HEAD"]
    assert [each.body for each in sent] == [BODY]


async def test_the_etag_of_most_objects_is_enough() -> None:
    results, asked, sent = await stream([read(etag=MD5)], [stored()])
    assert (results[0].etag, results[0].read_checksum, len(asked)) == (MD5, "", 1)
    assert sent[0].headers["content-md5"] == CONTENT_MD5
    assert "x-amz-checksum-sha256" not in sent[0].headers


async def test_replies_are_compared_by_their_checksum_where_their_etag_tells_nothing() -> None:
    """And what is stored damaged is replaced, as the very object that came of it."""
    right, wrong = stored("kms-1", x_amz_checksum_sha256=SHA256), stored("kms-2", x_amz_checksum_sha256="other")
    script = [stored("kms-0"), wrong, right, right]
    _, _, sent = await stream([read(etag=MD5)] * 3, script, objects=3)
    assert [each.headers.get("x-amz-checksum-sha256", "") for each in sent] == ["", SHA256, SHA256, SHA256]
    assert [each.headers.get("content-md5", "") for each in sent] == [CONTENT_MD5, "", "", ""]
    assert [each.headers.get("if-match") for each in sent] == [None, None, '"kms-2"', None]


async def test_a_store_that_tells_no_checksum_gets_the_md5_again() -> None:
    """One that does not know the header would check nothing."""
    _, _, sent = await stream([read(etag=MD5)] * 4, [stored("opaque")] * 4, objects=4)
    assert [("content-md5" in each.headers, "x-amz-checksum-sha256" in each.headers) for each in sent] == [
        (True, False), (False, True), (True, False), (True, False)
    ]  # fmt: skip


def refused(said: str, code: str = "InvalidRequest") -> bytes:
    body = f"<Error><Code>{code}</Code><Message>{said}</Message></Error>"
    return reply(400, body.encode())


async def test_a_store_that_refuses_the_md5_gets_the_sha256_from_then_on() -> None:
    """As a directory bucket of AWS does."""
    script = [refused("Content-MD5 is not supported by directory buckets"), *[stored("opaque")] * 3]
    _, _, sent = await stream([read(etag=MD5)] * 3, script, objects=3)
    assert [each.headers.get("x-amz-checksum-sha256", "") for each in sent] == ["", SHA256, SHA256, SHA256]
    assert [("content-md5" in each.headers) for each in sent] == [True, False, False, False]


async def test_a_store_that_wants_another_checksum_than_the_md5_gets_it() -> None:
    """And a wrong MD5 is a damaged body, and no reason to send another checksum."""
    wanted = refused("x-amz-checksum-* is required, Content-MD5 does not count")
    _, _, sent = await stream([read(etag=MD5)], [wanted, stored()])
    assert "x-amz-checksum-sha256" in sent[1].headers
    damaged = refused("The Content-MD5 you specified did not match what we received", "BadDigest")
    _, _, sent = await stream([read(etag=MD5)], [damaged, stored()])
    assert ["content-md5" in each.headers for each in sent] == [True, True]
