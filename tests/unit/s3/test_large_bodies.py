"""A large body is put into memory that it has from the start, however it comes."""

from __future__ import annotations

import pytest
import uvloop

from sketchmigrate.core.errors import ObjectMissing, S3Error
from tests.unit.s3.scripted import ETAG, SOURCE, Step, client_of, error, reply, scripted

BODY = b"0123456789abcdef" * 2**18
"""4 MiB."""

RANGE = {"content_range": f"bytes 0-{len(BODY) - 1}/{len(BODY)}", "etag": f'"{ETAG}"'}


def in_chunks() -> bytes:
    """Write the reply without its length, as rclone's server does."""
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in RANGE.items())
    pieces = (BODY[first : first + 2**16] for first in range(0, len(BODY), 2**16))
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return f"HTTP/1.1 206 Told\r\ntransfer-encoding: chunked\r\n{head}\r\n".encode() + chunks + b"0\r\n\r\n"


def got(*script: Step) -> bytes:
    """Ask for the whole body."""

    async def main() -> bytes:
        async with scripted(*script) as server, client_of(server.url, retry_seconds=0) as client:
            return await client.get(SOURCE, 0, len(BODY) - 1)

    return uvloop.run(main())


@pytest.mark.parametrize("told", [reply(206, BODY, **RANGE), in_chunks()], ids=["by its length", "in chunks"])
def test_a_large_body_is_what_came(told: bytes) -> None:
    assert got(told) == BODY


def test_less_than_was_asked_for_is_no_body_of_that_size() -> None:
    less = BODY[: 3 * 2**20]
    told = {**RANGE, "content_range": f"bytes 0-{len(less) - 1}/{len(less)}"}
    assert got(reply(206, less, **told)) == less, "the object ends there"
    with pytest.raises(S3Error, match="bytes came instead of"):
        got(reply(206, less, **RANGE))


def test_an_error_in_place_of_a_large_body_is_read() -> None:
    with pytest.raises(ObjectMissing):
        got(error(404, "NoSuchKey"))
