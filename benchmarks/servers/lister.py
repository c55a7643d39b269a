"""A stand-in for S3 that only lists: ``python -m benchmarks.servers.lister PORT KEYS LATENCY_MS``.

Any bucket and prefix has the objects 0 to ``KEYS - 1``. Nothing is held in memory but a few pages: an entry follows
from its number. It honours ``start-after``, ``continuation-token`` and ``max-keys``, in the order of bytes, and answers
the HEAD of an object.
"""

from __future__ import annotations

import asyncio
import sys
from bisect import bisect_right
from functools import lru_cache
from hashlib import md5
from typing import TYPE_CHECKING, cast
from urllib.parse import parse_qs, urlsplit

import uvloop

from benchmarks import objects
from sketchmigrate.demo.process import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Callable

_MOST_KEYS = 1000
_ENTRY = (
    "<Contents><Key>{key}</Key><LastModified>2026-11-22T18:00:00.000Z</LastModified>"
    "<ETag>&quot;{etag}&quot;</ETag><Size>2048</Size><StorageClass>STANDARD</StorageClass></Contents>"
)
_DIGEST_BYTES = 16
_BLOCK = 1000
"""Numbers that have all but their last three digits in common: their entries are made together."""

_BLOCKS_KEPT = 64
"""More than there are requests at once: a page that is not a whole block has parts of two, each asked for twice."""


class Listing:
    """The pages of a bucket with the legacy objects 1 to ``count``, and the ETags of their bytes."""

    def __init__(self, count: int) -> None:
        self._keys = [objects.LEGACY_PREFIX + objects.name(number) for number in range(1, count + 1)]
        etags = [objects.etag(objects.body(number)) for number in range(1, count + 1)]
        self._entries = [_ENTRY.format(key=key, etag=etag) for key, etag in zip(self._keys, etags, strict=True)]

    def page(self, target: str) -> bytes:
        """Return the reply to a ListObjectsV2."""
        return _page(
            target,
            lambda _, after: bisect_right(self._keys, after),
            lambda _, first, last: "".join(self._entries[first:last]),
            len(self._keys),
        )


class NumberedListing:
    """The pages of any bucket with the objects 0 to ``count - 1`` below any prefix, made when they are asked for.

    The ETag of a number is the same on both sides. It is no MD5 of anything, and as hard to compress as one.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._entries = lru_cache(_BLOCKS_KEPT)(_entries)

    def page(self, target: str) -> bytes:
        """Return the reply to a ListObjectsV2."""
        return _page(target, self._first_behind, self._written, self._count)

    def head(self, target: str) -> bytes:
        """Return the reply to the HEAD of an object."""
        prefix, _, name = urlsplit(target).path.rpartition("/")
        number = bisect_right(range(self._count), name, key=objects.name) - 1
        if number < 0 or objects.name(number) != name or not prefix:
            return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
        etag = _etags(number // _BLOCK)[number % _BLOCK].encode()
        return (
            b'HTTP/1.1 200 OK\r\nETag: "%s"\r\nLast-Modified: Sun, 22 Nov 2026 18:00:00 GMT\r\n'
            b"Content-Length: %d\r\n\r\n" % (etag, objects.SIZE_BYTES)
        )

    def _first_behind(self, prefix: str, after: str) -> int:
        if prefix not in (objects.LEGACY_PREFIX, objects.PRODUCTION_PREFIX):
            return self._count
        return bisect_right(range(self._count), after, key=lambda number: prefix + objects.name(number))

    def _written(self, prefix: str, first: int, last: int) -> str:
        if first >= last:
            return ""
        blocks = range(first // _BLOCK, (last - 1) // _BLOCK + 1)
        text = "".join([self._entries(prefix, block) for block in blocks])
        width = len(text) // (_BLOCK * len(blocks))
        skipped = first - blocks[0] * _BLOCK
        return text[skipped * width : (skipped + last - first) * width]


def _entries(prefix: str, block: int) -> str:
    """Return the entries of a block; all are of one length."""
    before, _, behind = _ENTRY.partition("{etag}")
    numbers = range(block * _BLOCK, (block + 1) * _BLOCK)
    name = objects.name(numbers[0])
    head, tail = before.replace("{key}", prefix + name.replace("000.png", "{}.png")).split("{}")
    pieces = [behind + head] * (4 * _BLOCK)
    pieces[1::4] = _LAST_DIGITS
    pieces[2::4] = [tail] * _BLOCK
    pieces[3::4] = _etags(block)
    pieces[0] = head
    return "".join(pieces) + behind


def _etags(block: int) -> list[str]:
    """Return the ETags of a block: a digest of the block, and one for each of its numbers, with exclusive or."""
    of_block = int.from_bytes(md5(b"block %d" % block, usedforsecurity=False).digest() * _BLOCK)
    text = (of_block ^ _OF_NUMBERS).to_bytes(_DIGEST_BYTES * _BLOCK).hex()
    width = 2 * _DIGEST_BYTES
    return [text[at : at + width] for at in range(0, width * _BLOCK, width)]


_LAST_DIGITS = [f"{number:03}" for number in range(_BLOCK)]
_OF_NUMBERS = int.from_bytes(b"".join(md5(digits.encode(), usedforsecurity=False).digest() for digits in _LAST_DIGITS))


def _page(
    target: str,
    first_behind: Callable[[str, str], int],
    written: Callable[[str, int, int], str],
    count: int,
) -> bytes:
    """Return a page that begins with the number ``first_behind`` a prefix and a key, and has what is ``written``."""
    asked = {name: values[0] for name, values in parse_qs(urlsplit(target).query).items()}
    prefix = asked.get("prefix", "")
    first = first_behind(prefix, asked.get("continuation-token") or asked.get("start-after", ""))
    last = min(count, first + min(int(asked.get("max-keys", _MOST_KEYS)), _MOST_KEYS))
    more = last < count
    entries = written(prefix, first, last)
    token = f"<NextContinuationToken>{_last_key(entries)}</NextContinuationToken>" if more else ""
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<Name>{objects.LEGACY_BUCKET}</Name><Prefix>{prefix}</Prefix><MaxKeys>{_MOST_KEYS}</MaxKeys>"
        f"<KeyCount>{last - first}</KeyCount><EncodingType>url</EncodingType>"
        f"<IsTruncated>{'true' if more else 'false'}</IsTruncated>{entries}{token}"
        "</ListBucketResult>"
    ).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def _last_key(entries: str) -> str:
    return entries[entries.rindex("<Key>") + len("<Key>") :].partition("<")[0]


class _Session(asyncio.Protocol):
    def __init__(self, listing: NumberedListing, latency_seconds: float) -> None:
        self._listing = listing
        self._latency_seconds = latency_seconds

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer; a request without a body comes in one piece."""
        method, target, _ = data.split(b" ", 2)
        reply = self._listing.head(target.decode()) if method == b"HEAD" else self._listing.page(target.decode())
        if self._latency_seconds:
            asyncio.get_running_loop().call_later(self._latency_seconds, self._transport.write, reply)
        else:
            self._transport.write(reply)


async def _serve(port: int, count: int, latency_ms: int) -> None:
    listing = NumberedListing(count)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Session(listing, latency_ms / 1000), LOOPBACK, port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(*map(int, sys.argv[1:4])))
