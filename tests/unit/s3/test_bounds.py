"""A reply has an end: of time, whatever trickles in meanwhile, and of size."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from sketchmigrate.core.errors import S3Malformed, S3Unreachable
from sketchmigrate.core.objects import Location
from sketchmigrate.s3.wire import bounds
from tests.unit.s3.scripted import (
    ETAG,
    SOURCE,
    TARGET,
    Drip,
    client_of,
    copied,
    copy_against,
    copy_document,
    reply,
    scripted,
)

if TYPE_CHECKING:
    from tests.unit.s3.scripted import Step

TICK = 0.02
"""Ten times as often as the time-out of these tests, so that nothing is ever silent."""

CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


@pytest.mark.parametrize(
    ("trickle", "told"),
    [
        (Drip(b"HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n", b" ", TICK), "bytes of a reply"),
        (Drip(CHUNKED, chunk(b" "), TICK), "bytes of a reply"),
        (Drip(CHUNKED, b"1;an-extension-without-end=", TICK), "bytes of a reply"),
        (Drip(b"HTTP/1.1 200 OK\r\n\r\n", b" ", TICK), "bytes of a reply"),
        (Drip(b"HTTP/1.1 200 OK\r\nx-slow: ", b"x", TICK), "no whole head"),
        (Drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n", TICK), "no whole head"),
    ],
)
def test_what_trickles_without_end_is_given_up(trickle: Step, told: str) -> None:
    async def scenario() -> None:
        async with scripted(trickle) as server, client_of(server.url, timeout_seconds=0.2, retry_seconds=0) as client:
            with pytest.raises(S3Unreachable, match=rf"127\.0\.0\.1:\d+ sent .*{told}") as caught:
                await asyncio.wait_for(client.list_page("b", ""), 20)
            assert "S3_TIMEOUT_SECONDS" in caught.value.hint

    asyncio.run(scenario())


def test_a_copy_that_trickles_for_ever_is_given_up_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "WORKING_TIMES", 2)

    async def scenario() -> None:
        trickle = Drip(CHUNKED, chunk(b"\n"), TICK)
        async with scripted(trickle) as server, client_of(server.url, timeout_seconds=0.2, retry_seconds=0) as client:
            with pytest.raises(S3Unreachable, match="bytes of a reply"):
                await asyncio.wait_for(client.copy(SOURCE, TARGET), 20)

    asyncio.run(scenario())


def test_a_copy_that_is_kept_alive_for_longer_than_the_time_out_passes() -> None:
    """White space for three times the time-out, then the result: what AWS does with an object of some gigabytes."""
    kept_alive = Drip(CHUNKED, chunk(b"\n"), TICK, times=30, end=chunk(copy_document()) + b"0\r\n\r\n")
    assert asyncio.run(copy_against(kept_alive, timeout_seconds=0.2, retry_seconds=0)) == (ETAG, 1)


def test_a_large_body_of_a_slow_line_passes() -> None:
    """It takes three times the time-out, and comes at over 1 KiB a second."""
    piece, times = b"x" * 4096, 30
    size = len(piece) * times
    head = (
        f'HTTP/1.1 206 Told\r\ncontent-length: {size}\r\ncontent-range: bytes 0-{size - 1}/{size}\r\netag: "e"\r\n\r\n'
    )

    async def scenario() -> bytes:
        slow = Drip(head.encode(), piece, TICK, times=times)
        async with scripted(slow) as server, client_of(server.url, timeout_seconds=0.2, retry_seconds=0) as client:
            return await client.get(SOURCE, 0, size - 1)

    assert asyncio.run(scenario()) == piece * times


@pytest.mark.parametrize(
    ("endless", "told"),
    [
        (Drip(b"HTTP/1.1 200 OK\r\n", b"x-more: %b\r\n" % (b"x" * 1000) * 50), "its head has over 65,536 bytes"),
        (Drip(b"HTTP/1.1 200 OK\r\nx-long: ", b"x" * 50_000), "its head has over 65,536 bytes"),
        (reply(200, copy_document(), x_one="x" * 66_000), "its head has over 65,536 bytes"),
        (Drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 50), "interim replies"),
        (Drip(CHUNKED, chunk(b" " * 50_000)), "its body has over 1,048,576 bytes"),
        (Drip(CHUNKED, chunk(b"  ") * 10_000), "its body has over 1,048,576 bytes"),
        (Drip(CHUNKED, b"1;" + b"e" * 5_000 + b"\r\n \r\n"), "bytes beside the [0-9,]+ of its body"),
        (Drip(CHUNKED + b"0\r\n", b"x-trailer: %b\r\n" % (b"x" * 50_000)), "bytes beside the 0 of its body"),
        (Drip(b"HTTP/1.1 403 No\r\ncontent-length: 99999999999\r\n\r\n", b" " * 50_000), "its body has over"),
    ],
    ids=[
        "headers",
        "header",
        "head at once",
        "interim",
        "body",
        "chunks",
        "extensions",
        "trailers",
        "length that lies",
    ],
)
def test_what_is_larger_than_anything_of_s3_is_given_up(endless: Step, told: str) -> None:
    with pytest.raises(S3Malformed, match=told) as caught:
        asyncio.run(asyncio.wait_for(copy_against(endless, retry_seconds=0), 20))
    assert caught.value.exit_code == 3


def test_a_range_is_bounded_by_what_was_asked_for() -> None:
    async def scenario() -> None:
        head = b'HTTP/1.1 206 Told\r\ncontent-range: bytes 0-9/10\r\netag: "e"\r\ntransfer-encoding: chunked\r\n\r\n'
        endless = Drip(head, chunk(b"x" * 50_000))
        async with scripted(endless) as server, client_of(server.url, retry_seconds=0) as client:
            with pytest.raises(S3Malformed, match="over 1,048,586 bytes"):
                await client.get(Location("b", "k"), 0, 9)

    asyncio.run(scenario())


def test_some_interim_replies_do_no_harm() -> None:
    step = Drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n", times=20, end=copied())
    assert asyncio.run(copy_against(step)) == (ETAG, 1)


def test_after_a_reply_without_end_the_next_attempt_has_its_own_bounds() -> None:
    endless = Drip(b"HTTP/1.1 200 OK\r\n", b"x-more: %b\r\n" % (b"x" * 1000) * 50)
    assert asyncio.run(copy_against(endless, copied())) == (ETAG, 2)


@pytest.mark.parametrize(("size_bytes", "seconds"), [(0, 60), (1024, 61), (8 * 2**20, 60 + 8192)])
def test_every_byte_earns_time(size_bytes: int, seconds: float) -> None:
    assert bounds.reply_seconds(60, "GetObject", size_bytes) == seconds
    assert bounds.sending_seconds(60, size_bytes) == seconds


@pytest.mark.parametrize("operation", ["CopyObject", "UploadPartCopy", "CompleteMultipartUpload"])
def test_a_server_at_work_has_longer_once_its_head_is_there(operation: str) -> None:
    assert bounds.reply_seconds(60, operation, None) == 60
    assert bounds.reply_seconds(60, operation, 2048) == 15 * 60 + 2
