"""The client's share of one copy: sign, build, take apart, count; and one page of a listing."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from sketchmigrate.core.objects import Location
from sketchmigrate.core.traffic import Counted
from sketchmigrate.s3.wire.addressing import Origin, copy_source, encode_key
from sketchmigrate.s3.wire.messages import Request, wire
from sketchmigrate.s3.wire.sigv4 import Credentials, Signer
from sketchmigrate.s3.wire.transport import Connection
from sketchmigrate.s3.wire.xml import read_copy_result
from sketchmigrate.s3.wire.xml_listings import read_list_page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_benchmark.fixture import BenchmarkFixture

    from sketchmigrate.s3.wire.pool import Pool

SOURCE = Location("sketch-legacy-s3", "image/avatar-0000123.png")
TARGET = Location("sketch-production-s3", "avatar/avatar-0000123.png")
HOST = "127.0.0.1:9000"
NOW = 1_795_370_400
ETAG = "d41d8cd98f00b204e9800998ecf8427e"
MODIFIED_AND_ETAG = f"<LastModified>2026-11-22T18:00:00.000Z</LastModified><ETag>&quot;{ETAG}&quot;</ETag>"
COPIED = f'<?xml version="1.0" encoding="UTF-8"?>\n<CopyObjectResult>{MODIFIED_AND_ETAG}</CopyObjectResult>'.encode()
REPLY = b"HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\nDate: Sun, 22 Nov 2026 18:00:00 GMT\r\n" + (
    b"Content-Length: %d\r\n\r\n" % len(COPIED) + COPIED
)
KEYS_A_PAGE = 1000
MANY = 1000
"""So many make a round: a clock's tick is no part of it then."""


@pytest.fixture
def signer() -> Signer:
    """A signer at work."""
    return Signer(Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"), "us-east-1")


@pytest.fixture
def connection() -> Iterator[Connection]:
    """A connection to a transport that takes everything."""
    loop = asyncio.new_event_loop()
    pool = SimpleNamespace(loop=loop, opened=lambda _connection: None, write_soon=lambda _connection, _request: None)
    made = Connection(cast("Pool", pool), Origin("127.0.0.1", 9000, tls=False))
    transport = SimpleNamespace(is_closing=lambda: False)
    made.connection_made(cast("asyncio.Transport", transport))
    yield made
    loop.close()


def headers() -> list[tuple[str, str]]:
    return [("host", HOST), ("x-amz-copy-source", copy_source(SOURCE))]


def built(signer: Signer) -> bytes:
    path = f"/{TARGET.bucket}/{encode_key(TARGET.key)}"
    return wire("PUT", path, signer.sign(NOW, "PUT", path, "", headers()), b"")


def repeat(benchmark: BenchmarkFixture, what: str, one: Callable[..., object], *args: object) -> None:
    def many() -> None:
        for _ in range(MANY):
            one(*args)

    benchmark.extra_info.update(what=what, operations=MANY)
    benchmark.pedantic(many, rounds=20, warmup_rounds=2)


def test_sign(benchmark: BenchmarkFixture, signer: Signer) -> None:
    path = f"/{TARGET.bucket}/{TARGET.key}"
    assert "Signature=" in signer.sign(NOW, "PUT", path, "", headers())
    repeat(benchmark, "sign a copy", signer.sign, NOW, "PUT", path, "", headers())


def test_build_a_copy(benchmark: BenchmarkFixture, signer: Signer) -> None:
    assert built(signer).endswith(b"content-length: 0\r\n\r\n")
    repeat(benchmark, "build a copy: encode, sign, write", built, signer)


def test_parse_a_copy(benchmark: BenchmarkFixture, connection: Connection) -> None:
    request = Request("CopyObject", "PUT", TARGET)

    def parsed() -> str:
        reply = connection.send(b"", request)
        connection.data_received(REPLY)
        return read_copy_result(reply.result().body)

    assert parsed() == ETAG
    repeat(benchmark, "take a copy's reply apart", parsed)


def test_parse_a_page(benchmark: BenchmarkFixture) -> None:
    contents = "".join(
        f"<Contents><Key>image/avatar-{number:07}.png</Key>{MODIFIED_AND_ETAG}<Size>2048</Size>"
        "<StorageClass>STANDARD</StorageClass></Contents>"
        for number in range(KEYS_A_PAGE)
    )
    page = (
        '<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        "<Name>sketch-legacy-s3</Name><Prefix>image/</Prefix><KeyCount>1000</KeyCount><MaxKeys>1000</MaxKeys>"
        f"<EncodingType>url</EncodingType><IsTruncated>false</IsTruncated>{contents}</ListBucketResult>"
    ).encode()
    assert len(read_list_page(page).objects) == KEYS_A_PAGE
    benchmark.extra_info.update(what="take a page of a listing apart, a key", operations=KEYS_A_PAGE)
    benchmark.pedantic(read_list_page, args=(page,), rounds=50, warmup_rounds=5)


def test_count_replies(benchmark: BenchmarkFixture) -> None:
    counted = Counted()

    repeat(benchmark, "count a reply", counted.reply, "CopyObject", 200, 0.0043)
    assert counted.traffic(0, 0, 0).requests >= MANY
