"""Under a cap on bytes a second a body takes the time that the cap gives it, and is no burst.

All bounds are of one side: a slow machine takes longer, and never less.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from typing import TYPE_CHECKING

import pytest
import uvloop

from sketchmigrate.core.errors import S3Error
from sketchmigrate.flow.caps import Caps
from sketchmigrate.migration import watch
from sketchmigrate.migration.watch import SilenceWatch
from sketchmigrate.s3.wire.pacing import LEAST_BYTES_PER_SECOND, PIECE_SECONDS, Pacing
from tests.unit.s3.scripted import ETAG, SOURCE, TARGET, Hang, client_of, reply, scripted

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sketchmigrate.s3 import S3Client
    from tests.unit.s3.scripted import Step

RATE = 500_000
BODY = b"0123456789abcdef" * (RATE // 16)
"""What passes in a second."""

BUFFERED_BYTES = 200_000
"""What may have come at once: the head, a piece, and what lies in the sockets meanwhile."""

LAST_PIECE_BYTES = 256_000
"""What the event loop reads at once: after the last of it there is nothing to wait for."""


def test_a_body_may_be_a_piece_ahead_and_no_more() -> None:
    pacing = Pacing(1_000_000, began=10.0)
    assert pacing.piece_bytes(2**20) == 100_000
    assert pacing.hold_seconds(100_000, now=10.0) == 0
    assert pacing.hold_seconds(300_000, now=10.1) == pytest.approx(0.2)
    assert pacing.hold_seconds(300_000, now=10.3) == 0
    assert pacing.held_seconds == pytest.approx(0.2)


def test_without_a_cap_nothing_is_held() -> None:
    pacing = Pacing(math.inf, began=10.0)
    assert pacing.piece_bytes(2**18) == 2**18
    assert pacing.hold_seconds(2**40, now=10.0) == 0


def test_under_the_lowest_caps_a_connection_does_not_stand_still() -> None:
    assert Pacing(1).piece_bytes(2**20) == int(LEAST_BYTES_PER_SECOND * PIECE_SECONDS)
    assert Pacing(1).hold_seconds(2 * LEAST_BYTES_PER_SECOND, now=0.0) == pytest.approx(2)


def test_a_body_is_sent_at_the_pace_of_the_cap() -> None:
    async def main() -> None:
        arrived: list[tuple[float, int]] = []
        done = asyncio.Event()

        async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = await reader.readuntil(b"\r\n\r\n")
            began, got = time.monotonic(), 0
            assert b"content-length: %d\r\n" % len(BODY) in head
            while got < len(BODY):
                got += len(await reader.read(2**16))
                arrived.append((time.monotonic() - began, got))
            writer.write(reply(200, etag=f'"{ETAG}"'))
            await writer.drain()
            done.set()

        listener = await asyncio.start_server(take, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        caps = Caps(bytes_per_second=RATE)
        async with listener, client_of(url, caps=caps, timeout_seconds=0.4) as client:
            assert await client.put(TARGET, BODY) == ETAG
            await done.wait()
        assert all(got <= BUFFERED_BYTES + RATE * seconds for seconds, got in arrived), arrived
        assert arrived[-1][0] > 0.6

    uvloop.run(main())


def test_a_body_is_read_at_the_pace_of_the_cap_and_not_taken_for_silent() -> None:
    """The server has all of it sent at once. Each hold is longer than the time of silence that is allowed."""

    async def main() -> None:
        body = 2 * BODY
        told = reply(206, body, content_range=f"bytes 0-{len(body) - 1}/{len(body)}", etag=f'"{ETAG}"')
        caps = Caps(bytes_per_second=RATE)
        async with scripted(told) as server, client_of(server.url, caps=caps, timeout_seconds=0.2) as client:
            began = time.monotonic()
            assert await client.get(SOURCE, 0, len(body) - 1) == body
            seconds = time.monotonic() - began
            assert client.requests_sent["GetObject"] == 1
        assert seconds > (len(body) - LAST_PIECE_BYTES) / RATE - PIECE_SECONDS

    uvloop.run(main())


async def read_two_seconds(client: S3Client) -> None:
    await client.get(SOURCE, 0, 2 * len(BODY) - 1)


async def send_two_seconds(client: S3Client) -> None:
    await client.put(TARGET, 2 * BODY)


READ = reply(206, 2 * BODY, content_range=f"bytes 0-{2 * len(BODY) - 1}/{2 * len(BODY)}", etag=f'"{ETAG}"')


@pytest.mark.parametrize(
    ("act", "told", "is_silent"),
    [
        (read_two_seconds, READ, False),
        (send_two_seconds, reply(200, etag=f'"{ETAG}"'), False),
        (read_two_seconds, Hang(), True),
    ],
    ids=["read", "sent", "none"],
)
def test_a_body_that_our_own_pace_holds_is_no_silence_of_the_store(
    act: Callable[[S3Client], Awaitable[None]],
    told: Step,
    *,
    is_silent: bool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(watch, "SAID_AFTER_SECONDS", 1.0)  # which are 10 s otherwise
    monkeypatch.setattr(watch, "LOOK_SECONDS", 0.1)

    async def main() -> None:
        caps = Caps(bytes_per_second=RATE)
        async with (
            scripted(told) as server,
            client_of(server.url, caps=caps, timeout_seconds=1.6, retry_seconds=0.0) as client,
            SilenceWatch([("the store", client)]),
        ):
            began = time.monotonic()
            try:
                await act(client)
            except S3Error:
                assert is_silent
            assert time.monotonic() - began > 1.0, "it was over before anything could be said"

    with caplog.at_level(logging.WARNING):
        uvloop.run(main())
    assert ("has not answered for" in caplog.text) is is_silent, caplog.text
