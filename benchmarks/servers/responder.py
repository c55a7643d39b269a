"""A stand-in for S3 that answers at once, late, or with 503, and keeps no objects: only the client is measured.

``python -m benchmarks.servers.responder CONDUCT`` serves a pickled ``Conduct`` on the loopback interface. Every legacy
object is there to be copied, and as many as the conduct says to be listed and read; the names and sizes of what was
stored are remembered, so that ``If-None-Match: *`` can be honoured.
``GET /-/counts`` tells what it was asked for, ``POST /-/counts`` forgets that.
"""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import re
import ssl
import sys
from collections import Counter, deque
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import uvloop

from benchmarks.objects import LEGACY_PREFIX, SIZE_BYTES, etag
from benchmarks.servers.legacy_objects import LegacyObjects
from sketchmigrate.demo.process import LOOPBACK

BURST_SECONDS = 0.05
"""So much of a second's allowance may be asked for at one moment."""

_MODIFIED_AND_ETAG = b"<LastModified>2026-11-22T18:00:00.000Z</LastModified><ETag>&quot;" + b"0" * 32 + b"&quot;</ETag>"
_COPIED = b'<?xml version="1.0" encoding="UTF-8"?>\n<CopyObjectResult>' + _MODIFIED_AND_ETAG + b"</CopyObjectResult>"
_LISTING = (
    b"<ListBucketResult><Name>any</Name><KeyCount>1</KeyCount><IsTruncated>false</IsTruncated><Contents><Key>image/any"
    b"</Key>" + _MODIFIED_AND_ETAG + b"<Size>%d</Size></Contents></ListBucketResult>" % SIZE_BYTES
)
_UPLOAD = b"<InitiateMultipartUploadResult><UploadId>any</UploadId></InitiateMultipartUploadResult>"
_PART = b"<CopyPartResult>" + _MODIFIED_AND_ETAG + b"</CopyPartResult>"
_COMPLETED = b"<CompleteMultipartUploadResult>" + _MODIFIED_AND_ETAG + b"</CompleteMultipartUploadResult>"


def _reply(status: bytes, body: bytes = b"", headers: bytes = b"") -> bytes:
    length = b"" if b"Content-Length" in headers else b"Content-Length: %d\r\n" % len(body)
    return b"HTTP/1.1 " + status + b"\r\n" + headers + length + b"\r\n" + body


def _present(size_bytes: int) -> bytes:
    return _reply(b"200 OK", headers=b"Content-Length: %d\r\n" % size_bytes + _ETAG)


_ETAG = b'ETag: "%s"\r\n' % (b"0" * 32)
_COPY = _reply(b"200 OK", _COPIED)
_ABSENT = _reply(b"404 Not Found", headers=b"Content-Length: 0\r\n")
_GONE = _reply(b"204 No Content")
_EXISTS = _reply(b"412 Precondition Failed", b"<Error><Code>PreconditionFailed</Code></Error>")
_SLOW_DOWN = _reply(b"503 Slow Down", b"<Error><Code>SlowDown</Code><Message>Please reduce your rate</Message></Error>")
_NO_TAGS = _reply(b"501 Not Implemented", b"<Error><Code>NotImplemented</Code></Error>")
_LIST = _reply(b"200 OK", _LISTING)
_BEGIN = _reply(b"200 OK", _UPLOAD)
_PART_COPY = _reply(b"200 OK", _PART)
_COMPLETE = _reply(b"200 OK", _COMPLETED)

_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)").search


@dataclass(frozen=True, slots=True)
class Conduct:
    """Where and how to answer. Zero is: at once, no limit. ``certificate`` is a PEM file with its key, for TLS.

    Unless it ``honours_conditions`` a write replaces whatever is there, as on many servers. So many ``objects`` of
    legacy can be listed and read, beginning with the first. ``prefix_limits`` are rates of their own of what is stored
    below a part of a path. With ``later_latency_seconds`` the two latencies take turns of ``turn_seconds``.
    """

    port: int
    latency_seconds: float = 0.0
    requests_per_second: float = 0.0
    certificate: str = ""
    honours_conditions: bool = True
    objects: int = 0
    prefix_limits: tuple[tuple[bytes, float], ...] = ()
    later_latency_seconds: float = 0.0
    turn_seconds: float = 0.0


class Responder:
    """What all connections share: what was stored, the counts, and replies that are not due yet."""

    def __init__(self, conduct: Conduct) -> None:
        self.conduct = conduct
        self.sizes_bytes: dict[bytes, int] = {}  # by what was stored
        self._loop = asyncio.get_running_loop()
        self._late: deque[tuple[float, asyncio.Transport, bytes]] = deque()
        self._limits = [_Limit(b"", conduct.requests_per_second)] if conduct.requests_per_second else []
        self._limits += [_Limit(part, per_second) for part, per_second in conduct.prefix_limits]
        self._legacy = LegacyObjects(conduct.objects) if conduct.objects else None
        self.forget()

    def forget(self) -> None:
        """Count from zero, and forget what was stored."""
        self.sizes_bytes.clear()
        self.counts: Counter[str] = Counter()
        self.received_bytes = 0
        self.accepted: Counter[int] = Counter()
        self.refused: Counter[int] = Counter()
        self._first_at = 0.0
        self._cpu_before = _cpu_seconds()

    def told(self) -> bytes:
        """Return the counts as JSON: by operation, and by second since the first request."""
        found = {
            "requests": self.counts,
            "received_bytes": self.received_bytes,
            "accepted": self.accepted,
            "refused": self.refused,
            "cpu_seconds": _cpu_seconds() - self._cpu_before,
        }
        return json.dumps(found).encode()

    def answer(self, transport: asyncio.Transport, request: bytes) -> None:
        """Reply to a whole request, when its time has come."""
        if request.startswith((b"GET /-/", b"POST /-/")):
            transport.write(_reply(b"200 OK", self.told()))
            if request.startswith(b"POST"):
                self.forget()
            return
        self.received_bytes += len(request)
        reply = self._judge(request)
        if not self.conduct.latency_seconds:
            transport.write(reply)
            return
        if self.conduct.turn_seconds:
            turn = int((self._loop.time() - self._first_at) / self.conduct.turn_seconds)
            latency_seconds = self.conduct.later_latency_seconds if turn % 2 else self.conduct.latency_seconds
            self._loop.call_later(latency_seconds, transport.write, reply)
            return
        self._late.append((self._loop.time() + self.conduct.latency_seconds, transport, reply))
        if len(self._late) == 1:
            self._loop.call_later(self.conduct.latency_seconds, self._send_late)

    def _send_late(self) -> None:
        """Send what is due. One timer for all of them: each is as late as the others."""
        late = self._late
        until = self._loop.time() + 0.0005  # a timer's ticks are of a millisecond
        while late and late[0][0] <= until:
            _, transport, reply = late.popleft()
            if not transport.is_closing():  # whoever was ended waits for no reply, and a write would raise
                transport.write(reply)
        if late:
            self._loop.call_later(late[0][0] - self._loop.time(), self._send_late)

    def _judge(self, request: bytes) -> bytes:
        if not self._allow(request):
            return _SLOW_DOWN
        method, target, _ = request.split(b" ", 2)
        if method == b"PUT":
            return self._put(request, target)
        self.counts[_OPERATIONS[method]] += 1
        read = self._legacy.reply(method, target, request) if self._legacy else None
        return read or self._without_bodies(request, method, target)

    def _without_bodies(self, request: bytes, method: bytes, target: bytes) -> bytes:
        if method == b"HEAD":
            size_bytes = SIZE_BYTES if _LEGACY in target else self.sizes_bytes.get(target)
            return _ABSENT if size_bytes is None else _present(size_bytes)
        if method == b"POST":
            name, _, upload_id = target.partition(b"?uploadId=")
            return self._store(request, name, SIZE_BYTES, _COMPLETE) if upload_id else _BEGIN
        if method == b"DELETE":
            self.sizes_bytes.pop(target, None)
            return _GONE
        return _NO_TAGS if b"?tagging" in target else _LIST

    def _put(self, request: bytes, target: bytes) -> bytes:
        if not any(name in request for name in _COPY_SOURCE):
            self.counts["PutObject"] += 1
            body = request[request.index(b"\r\n\r\n") + 4 :]
            stored = _reply(b"200 OK", headers=b'ETag: "%s"\r\n' % etag(body).encode())
            return self._store(request, target.partition(b"?")[0], len(body), stored)
        if b"?partNumber=" in target:
            self.counts["UploadPartCopy"] += 1
            return _PART_COPY
        self.counts["CopyObject"] += 1
        return self._store(request, target, SIZE_BYTES, _COPY)

    def _store(self, request: bytes, name: bytes, size_bytes: int, success: bytes) -> bytes:
        if self.conduct.honours_conditions and name in self.sizes_bytes and b"\r\nif-none-match: *" in request:
            return _EXISTS
        self.sizes_bytes[name] = size_bytes
        return success

    def _allow(self, request: bytes) -> bool:
        """Let a request through unless there were too many of those that a limit is for."""
        now = self._loop.time()
        self._first_at = self._first_at or now
        target = request[: request.index(b" HTTP/")] if self._limits else b""
        limit = next((limit for limit in self._limits if limit.part in target), None)
        allowed = limit is None or limit.allows(now)
        (self.accepted if allowed else self.refused)[int(now - self._first_at)] += 1
        return allowed


@dataclass(slots=True)
class _Limit:
    """A rate of requests whose path has a part: the generic cell rate algorithm (ITU-T I.371, annex A)."""

    part: bytes
    per_second: float
    allowed_at: float = 0.0

    def allows(self, now: float) -> bool:
        """Say whether a request that arrives now may pass."""
        allowed_at = max(self.allowed_at, now)
        if allowed_at - now > BURST_SECONDS:
            return False
        self.allowed_at = allowed_at + 1 / self.per_second
        return True


_LEGACY = b"/" + LEGACY_PREFIX.encode()
_COPY_SOURCE = (b"\r\nx-amz-copy-source:", b"\r\nX-Amz-Copy-Source:")
"""As this tool and boto3 spell it, and as s5cmd does."""

_OPERATIONS = {b"GET": "GET", b"HEAD": "HeadObject", b"POST": "POST", b"DELETE": "DeleteObject"}


class _Session(asyncio.Protocol):
    """One connection, on which one request follows the reply to the other."""

    def __init__(self, responder: Responder) -> None:
        self._responder = responder
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        received = self._received + data if self._received else data
        if received.endswith(b"\r\n\r\n") and b"content-length: 0\r\n" in received:  # a copy: nearly all of them
            self._received = b""
            self._responder.answer(self._transport, received)
            return
        head, blank, body = received.partition(b"\r\n\r\n")
        length = _LENGTH(head)
        if blank and len(body) >= (int(length[1]) if length else 0):
            self._received = b""
            self._responder.answer(self._transport, received)
        else:
            self._received = received


def _cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system


async def _serve(conduct: Conduct) -> None:
    responder = Responder(conduct)
    context = None
    if conduct.certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(conduct.certificate)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Session(responder), LOOPBACK, conduct.port, ssl=context, backlog=2048)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(pickle.loads(Path(sys.argv[1]).read_bytes())))  # noqa: S301 # written by ``responding``
