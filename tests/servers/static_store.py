"""A stand-in for S3 that says yes to everything and keeps nothing: for claims about the tool's own cost.

``python -m tests.servers.static_store PORT`` serves on the loopback interface until it is stopped. It answers what a
migration with ``-w`` asks: listings (one object under every prefix), HEAD, CopyObject, and the beginning and calling
off of an upload.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, cast

import httptools
import uvloop

from sketchmigrate.demo.process import LOOPBACK, ServerProcess, accepts_connections, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

_TIME_AND_ETAG = b"<LastModified>2026-11-22T18:00:00.000Z</LastModified><ETag>&quot;" + b"0" * 32 + b"&quot;</ETag>"
_LISTING = (
    b"<ListBucketResult><Name>any</Name><KeyCount>1</KeyCount><IsTruncated>false</IsTruncated>"
    b"<Contents><Key>image/any</Key>" + _TIME_AND_ETAG + b"<Size>9</Size></Contents></ListBucketResult>"
)
_UPLOAD = b"<InitiateMultipartUploadResult><UploadId>any</UploadId></InitiateMultipartUploadResult>"


def _reply(status: bytes, body: bytes = b"", headers: bytes = b"") -> bytes:
    length = b"" if b"Content-Length" in headers else b"Content-Length: %d\r\n" % len(body)
    return b"HTTP/1.1 " + status + b"\r\n" + headers + length + b"\r\n" + body


_REPLIES = {
    b"GET": _reply(b"200 OK", _LISTING),
    b"HEAD": _reply(b"200 OK", headers=b'Content-Length: 9\r\nETag: "%s"\r\n' % (b"0" * 32)),
    b"PUT": _reply(b"200 OK", b"<CopyObjectResult>" + _TIME_AND_ETAG + b"</CopyObjectResult>"),
    b"POST": _reply(b"200 OK", _UPLOAD),
    b"DELETE": _reply(b"204 No Content"),
}


class _Session(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        self._transport.write(_REPLIES[self._parser.get_method()])


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Session, LOOPBACK, port)
    await server.serve_forever()


@contextlib.contextmanager
def static_store() -> Iterator[str]:
    """Run the store in a process of its own for the length of the block, and give its address."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="sketch-static-") as home:
        command = [sys.executable, "-m", "tests.servers.static_store", str(port)]
        process = ServerProcess("static_store", command, log_path=Path(home) / "static.log")
        try:
            process.start(lambda: accepts_connections(port))
            yield f"http://{LOOPBACK}:{port}"
        finally:
            process.stop()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
