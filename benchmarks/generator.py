"""The bare generator: requests prepared beforehand, over kept-alive connections, and nothing else.

It stores and deletes the objects of a measurement, and its copies are the ceiling: what a server does for a client that
costs next to nothing. ``python -m benchmarks.generator ORDER`` carries out a pickled ``Order`` in a process of its own
and prints what it took as JSON.
"""

from __future__ import annotations

import asyncio
import json
import pickle
import re
import resource
import sys
import time
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

import uvloop

from benchmarks import objects
from sketchmigrate.core.objects import Location
from sketchmigrate.s3.wire.addressing import copy_source
from sketchmigrate.s3.wire.messages import APART_BYTES, wire
from sketchmigrate.s3.wire.sigv4 import EMPTY_SHA256, Credentials, Signer

if TYPE_CHECKING:
    from collections.abc import Iterator

REGION = "us-east-1"
_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)").search


@dataclass(frozen=True, slots=True)
class Order:
    """What to do (``put``, ``copy``, ``delete``, ``look``) with the objects 1 to ``count``; over how many connections.

    ``bucket`` is where objects of ``size_bytes`` are stored, copied to, deleted, or looked at for their size.
    """

    verb: str
    endpoint_url: str
    access_key: str
    secret_key: str = field(repr=False)
    bucket: str = objects.LEGACY_BUCKET
    prefix: str = objects.LEGACY_PREFIX
    count: int = 0
    connections: int = 32
    size_bytes: int = objects.SIZE_BYTES


def requests(order: Order) -> Iterator[bytes]:
    """Write every request of an order, signed for this moment."""
    signer = Signer(Credentials(order.access_key, order.secret_key), REGION)
    host = urlsplit(order.endpoint_url).netloc
    now = int(time.time())
    for number in range(1, order.count + 1):
        path = f"/{order.bucket}/{order.prefix}{objects.name(number)}"
        headers = [("host", host)]
        body = b""
        if order.verb == "put":
            body = objects.body(number, order.size_bytes)
        elif order.verb == "copy":
            source = Location(objects.LEGACY_BUCKET, objects.LEGACY_PREFIX + objects.name(number))
            headers.append(("x-amz-copy-source", copy_source(source)))
        method = {"delete": "DELETE", "look": "HEAD"}.get(order.verb, "PUT")
        digest = sha256(body).hexdigest() if body else EMPTY_SHA256
        request = wire(method, path, signer.sign(now, method, path, "", headers, payload_sha256=digest), body)
        yield request if len(body) <= APART_BYTES else request + body


@dataclass(slots=True)
class Counts:
    """How the replies were, with the first that was no success."""

    succeeded: int = 0
    failed: int = 0
    example: str = ""


class _Lane(asyncio.Protocol):
    """One connection: the next request as soon as a reply is complete."""

    def __init__(self, todo: Iterator[bytes], counts: Counts, order: Order) -> None:
        self._todo = todo
        self._counts = counts
        self._looks = order.verb == "look"
        self._size = b"\r\ncontent-length: %d\r\n" % order.size_bytes
        self._received = b""
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._next()

    def data_received(self, data: bytes) -> None:
        received = self._received + data if self._received else data
        if not (received.endswith(b"\r\n\r\n") if self._looks else complete(received)):
            self._received = received
            return
        self._received = b""
        if received[9:10] == b"2" and (not self._looks or self._size in received.lower()):
            self._counts.succeeded += 1
        else:
            self._counts.failed += 1
            self._counts.example = self._counts.example or received[:600].decode(errors="replace")
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or ConnectionError("the server closed a connection"))

    def _next(self) -> None:
        request = next(self._todo, None)
        if request is not None:
            self._transport.write(request)
        elif not self.done.done():
            self.done.set_result(None)
            self._transport.close()


def complete(received: bytes) -> bool:
    """Whether a reply is whole (RFC 9112, section 6.3): by its length, its last chunk, or with its head."""
    head, blank, body = received.partition(b"\r\n\r\n")
    if not blank:
        return False
    if length := _LENGTH(head):
        return len(body) >= int(length[1])
    return body.endswith(b"0\r\n\r\n") if b"chunked" in head else True


async def _carry_out(order: Order) -> dict[str, object]:
    prepared = list(requests(order)) if order.verb == "copy" else requests(order)  # prepared, where time is taken
    todo, counts = iter(prepared), Counts()
    url = urlsplit(order.endpoint_url)
    loop = asyncio.get_running_loop()
    cpu_before = cpu_seconds()
    began = time.perf_counter()
    lanes = []
    for _ in range(min(order.connections, order.count)):
        _, lane = await loop.create_connection(lambda: _Lane(todo, counts, order), url.hostname or "", url.port or 80)
        lanes.append(lane.done)
    await asyncio.gather(*lanes)
    return {
        "seconds": time.perf_counter() - began,
        "cpu_seconds": cpu_seconds() - cpu_before,
        "succeeded": counts.succeeded,
        "failed": counts.failed,
        "example": counts.example,
    }


def cpu_seconds() -> float:
    """Return the CPU time of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    json.dump(uvloop.run(_carry_out(pickle.loads(Path(sys.argv[1]).read_bytes()))), sys.stdout)  # noqa: S301 # our own
