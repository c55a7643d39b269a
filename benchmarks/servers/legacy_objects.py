"""What a responder answers to those who read legacy's objects: listings, heads and bodies, as they are."""

from __future__ import annotations

from benchmarks import objects
from benchmarks.servers.lister import Listing

_MODIFIED = b"Last-Modified: Sun, 22 Nov 2026 18:00:00 GMT\r\n"


class LegacyObjects:
    """The objects 1 to ``count``, each with its own bytes and their ETag. All of it is made beforehand."""

    def __init__(self, count: int) -> None:
        self._listing = Listing(count)
        self._objects: dict[bytes, tuple[bytes, bytes]] = {}
        for number in range(1, count + 1):
            path = f"/{objects.LEGACY_BUCKET}/{objects.LEGACY_PREFIX}{objects.name(number)}"
            body = objects.body(number)
            length = b"Content-Length: %d\r\n" % len(body)
            about = (
                b'ETag: "%s"\r\n' % objects.etag(body).encode() + _MODIFIED + b"Content-Type: image/png\r\n" + length
            )
            self._objects[path.encode()] = about, body

    def reply(self, method: bytes, target: bytes, request: bytes) -> bytes | None:
        """Return the reply to a request that reads; None where it is about something else."""
        path, _, query = target.partition(b"?")
        if b"list-type=2" in query and path.strip(b"/") == objects.LEGACY_BUCKET.encode():
            return self._listing.page(target.decode())
        if method not in {b"GET", b"HEAD"} or query not in {b"", b"x-id=GetObject"} or path not in self._objects:
            return None
        about, body = self._objects[path]
        if method == b"HEAD":
            return b"HTTP/1.1 200 OK\r\n" + about + b"\r\n"
        if b"\r\nrange: bytes=0-" in request:  # who asks for a range here asks for more than there is
            span = b"Content-Range: bytes 0-%d/%d\r\n" % (len(body) - 1, len(body))
            return b"HTTP/1.1 206 Partial Content\r\n" + about + span + b"\r\n" + body
        return b"HTTP/1.1 200 OK\r\n" + about + b"\r\n" + body
