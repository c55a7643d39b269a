"""A stand-in for S3 that only lists: ``python -m benchmarks.servers.lister PORT KEYS LATENCY_MS``.

Its entries are written beforehand, so that a page costs next to nothing. It honours ``start-after``,
``continuation-token`` and ``max-keys``, in the order of bytes.
"""

from __future__ import annotations

import asyncio
import sys
from bisect import bisect_right
from typing import cast
from urllib.parse import parse_qs, urlsplit

import uvloop

from benchmarks import objects
from sketchmigrate.demo.process import LOOPBACK

_MOST_KEYS = 1000
_ENTRY = (
    "<Contents><Key>{key}</Key><LastModified>2026-11-22T18:00:00.000Z</LastModified>"
    "<ETag>&quot;{etag}&quot;</ETag><Size>2048</Size><StorageClass>STANDARD</StorageClass></Contents>"
)


class Listing:
    """The pages of a bucket with the legacy objects 1 to ``count``."""

    def __init__(self, count: int) -> None:
        self._keys = [objects.LEGACY_PREFIX + objects.name(number) for number in range(1, count + 1)]
        etags = [objects.etag(objects.body(number)) for number in range(1, count + 1)]
        self._entries = [_ENTRY.format(key=key, etag=etag) for key, etag in zip(self._keys, etags, strict=True)]

    def page(self, target: str) -> bytes:
        """Return the reply to a ListObjectsV2."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(target).query).items()}
        after = asked.get("continuation-token") or asked.get("start-after", "")
        first = bisect_right(self._keys, after)
        last = first + min(int(asked.get("max-keys", _MOST_KEYS)), _MOST_KEYS)
        more = last < len(self._keys)
        token = f"<NextContinuationToken>{self._keys[last - 1]}</NextContinuationToken>" if more else ""
        body = (
            '<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<Name>{objects.LEGACY_BUCKET}</Name><Prefix>{objects.LEGACY_PREFIX}</Prefix><MaxKeys>{_MOST_KEYS}</MaxKeys>"
            f"<KeyCount>{len(self._keys[first:last])}</KeyCount><EncodingType>url</EncodingType>"
            f"<IsTruncated>{'true' if more else 'false'}</IsTruncated>{''.join(self._entries[first:last])}{token}"
            "</ListBucketResult>"
        ).encode()
        return b"HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\nContent-Length: %d\r\n\r\n" % len(body) + body


class _Session(asyncio.Protocol):
    def __init__(self, listing: Listing, latency_seconds: float) -> None:
        self._listing = listing
        self._latency_seconds = latency_seconds

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer; a request without a body comes in one piece."""
        reply = self._listing.page(data.split(b" ", 2)[1].decode())
        asyncio.get_running_loop().call_later(self._latency_seconds, self._transport.write, reply)


async def _serve(port: int, count: int, latency_ms: int) -> None:
    listing = Listing(count)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Session(listing, latency_ms / 1000), LOOPBACK, port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(*map(int, sys.argv[1:4])))
