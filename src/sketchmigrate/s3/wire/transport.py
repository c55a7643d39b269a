"""A connection, with one request at a time, in HTTP/1.1 on an asyncio protocol.

No task and no timer belongs to a request: a sweep once a second looks for silent and for idle connections. That, one
write per request and no copying is what makes a request cost a few microseconds.
"""

from __future__ import annotations

import asyncio
import math
import time
from typing import TYPE_CHECKING, cast

import httptools

from sketchmigrate.s3.failures import ConnectionDropped, Endless, NotHttp, ReplySilent, ReplySlow
from sketchmigrate.s3.wire import bounds
from sketchmigrate.s3.wire.messages import APART_BYTES, Reply, fields_of
from sketchmigrate.s3.wire.pacing import Pacing

if TYPE_CHECKING:
    from sketchmigrate.s3.wire.addressing import Origin
    from sketchmigrate.s3.wire.messages import Request
    from sketchmigrate.s3.wire.pool import Pool

# Servers close idle connections after 5 s and more; a request on a connection that is being closed is a wasted one.
IDLE_SECONDS = 4.0
# A body in so many pieces is put together: a chunk of two bytes costs twenty times as much.
MANY_PIECES = 65_536

PIECE_BYTES = 256 * 2**10
"""A body that is sent apart from its head goes in such pieces, as fast as they are taken: no copy of it is made."""

LARGE_BYTES = 2**20
"""Where more content is asked for, it has its memory from the start. To put pieces together takes twice of it, as what
they leave behind is not given back to the system while the whole lies above it."""

_CONTENT = (200, 206)
_NOTHING = memoryview(b"")
_UNPACED = Pacing()


class Connection(asyncio.Protocol):
    """One connection. ``usable`` says whether another request may follow; ``pacing`` is that of the last one."""

    def __init__(self, pool: Pool, origin: Origin) -> None:
        self.origin = origin
        self.usable = False
        self.reused = False
        self.since = 0.0  # when it last made progress, or became idle: the loop's clock
        self._pool = pool
        self._loop = pool.loop
        self._transport: asyncio.Transport | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._awaited: asyncio.Future[Reply] | None = None
        self._bodiless = False
        self._request: Request | None = None
        self._unasked = b""
        self._body_left = _NOTHING  # of a body that is sent apart
        self._is_paused = False
        self.pacing = _UNPACED
        self._hold: asyncio.TimerHandle | None = None  # while a body is ahead of its pace
        self._sent_at = 0.0
        self._all_sent_at = 0.0  # at the earliest, as far as the sweep has seen
        self._interim: tuple[object, int] = (None, 0)
        self._expect_reply()

    def _expect_reply(self) -> None:
        self._received = b""  # until the head is whole: the parser tells when, and what is of use in it others look up
        self._head = b""
        self._chunks: list[bytes] = []
        self._whole: bytearray | None = None  # instead of pieces
        self._body_bytes = 0
        self._wire_bytes = self._unsent_bytes = 0
        self._status = 0
        self._ends_at_close = False

    # -- used by the pool and the exchange

    @property
    def pending(self) -> Request | None:
        """The request whose reply is waited for."""
        return None if self._awaited is None else self._request

    @property
    def sent_at(self) -> float:
        """When it was sent, by the loop's clock."""
        return self._sent_at

    def send(self, data: bytes, request: Request, bytes_per_second: float = math.inf) -> asyncio.Future[Reply]:
        """Send a request; the future brings the reply, ``ConnectionDropped``, ``ReplySilent`` or ``NotHttp``.

        ``data`` is what is sent; from the request follows what its reply may be (``bounds``). Bodies pass no faster
        than so many bytes a second.
        """
        self._awaited = future = self._loop.create_future()
        if self._transport is None or self._transport.is_closing():
            unasked = self._unasked  # what speaks first, and before it is asked, speaks another protocol
            self._fail(NotHttp(unasked) if unasked else ConnectionDropped(reused=self.reused, reply_begun=False))
            return future
        self._request = request
        self._bodiless = request.method == "HEAD"
        self._expect_reply()
        if self._parser is None:
            self._parser = httptools.HttpResponseParser(self)
        self.since = self._sent_at = self._loop.time()
        self.pacing = Pacing(bytes_per_second, self._sent_at) if bytes_per_second < math.inf else _UNPACED
        self._pool.write_soon(self, data)
        return future

    def write(self, request: bytes) -> None:
        """Write a request, unless the connection was closed since it was sent off; its future says so then."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(request)
            if self._request is not None and len(self._request.body) > APART_BYTES:
                self._body_left = memoryview(self._request.body)
                self._write_body()

    def _write_body(self) -> None:
        piece_bytes = self.pacing.piece_bytes(PIECE_BYTES)
        while self._body_left and not self._is_paused and self._hold is None:
            if self._transport is None or self._transport.is_closing():
                return
            piece, left = self._body_left[:piece_bytes], self._body_left[piece_bytes:]
            self._body_left = left or _NOTHING  # an empty view of a body keeps all of it
            self._transport.write(piece)
            if left and self._request is not None:
                self._keep_pace(len(self._request.body) - len(left))

    def _keep_pace(self, passed_bytes: int) -> bool:
        """Let no more of a body pass for a while, where it is ahead; whether it is."""
        seconds = self.pacing.hold_seconds(passed_bytes, self._loop.time())
        if seconds and self._hold is None:
            self._hold = self._loop.call_later(seconds, self._go_on)
        return self._hold is not None

    def _pause_reading(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def _go_on(self) -> None:
        self._hold = None
        self.since = self._loop.time()
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()
        self._write_body()

    def pause_writing(self) -> None:
        """Write no more: the store takes it more slowly than it comes."""
        self._is_paused = True

    def resume_writing(self) -> None:
        """Go on."""
        self._is_paused = False
        self._write_body()

    def close(self) -> None:
        """Close at once."""
        self.usable = False
        if self._transport is not None:
            self._transport.abort()

    def sweep(self, now: float, timeout_seconds: float) -> None:
        """Close what has been idle, fail what has been silent for too long, or is out of ``bounds`` as a whole."""
        if self._awaited is None:
            if self.usable and now - self.since > IDLE_SECONDS:
                self.close()
            return
        unsent_bytes = len(self._body_left)
        if self._transport is not None:
            unsent_bytes += self._transport.get_write_buffer_size()
        if unsent_bytes < self._unsent_bytes or self._hold is not None:
            self._pool.moved_at = time.monotonic()
        # a large body on its way is progress, and where one is held up it is we who let nothing pass
        if unsent_bytes != self._unsent_bytes or self._hold is not None:
            self._unsent_bytes = unsent_bytes
            self.since = now
        elif now - self.since > timeout_seconds:
            self._fail(ReplySilent())
            self.close()
            return
        request = self._request
        if self._wire_bytes > bounds.wire_bytes(self._body_bytes):
            beside = self._wire_bytes - self._body_bytes
            self._fail(Endless(f"it has {beside:,} bytes beside the {self._body_bytes:,} of its body"))
            self.close()
        elif request is not None and (slow := self._slow(request, now, timeout_seconds, unsent_bytes)):
            self._fail(slow)
            self.close()

    def _slow(self, request: Request, now: float, timeout_seconds: float, unsent_bytes: int) -> ReplySlow | None:
        """Say so where the request is sent, or the reply comes, too slowly as a whole."""
        body_bytes = self._body_bytes if self._head else None
        if unsent_bytes:
            self._all_sent_at = now
            seconds = now - self._sent_at
            allowed = bounds.sending_seconds(timeout_seconds, max(0, len(request.body) - unsent_bytes))
        else:
            seconds = now - max(self._sent_at, self._all_sent_at)
            allowed = bounds.reply_seconds(timeout_seconds, request.operation, body_bytes)
        return ReplySlow(seconds, body_bytes) if seconds > allowed else None

    # -- called by the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Be usable from now on."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's have its methods, but not the class
        self.since = self._loop.time()  # or a sweep before its first request would take it for long idle
        self.usable = True
        self._pool.opened(self)

    def data_received(self, data: bytes) -> None:
        """Parse a piece of the reply."""
        self.since = self._loop.time()
        parser = self._parser
        if self._awaited is None or parser is None:
            self._unasked = b"" if self.reused else data
            self.close()
            return
        self._wire_bytes += len(data)  # the sweep looks whether they are too many
        if not self._head:
            if not self._received:
                self._received = data
            elif len(self._received) <= bounds.HEAD_BYTES:
                self._received += data
            else:
                self._refuse_head()
                return
        try:
            parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._fail(NotHttp(data))
            self.close()
        if self._awaited is not None or not self.usable:  # of a whole reply the exchange takes note
            self._pool.moved_at = time.monotonic()
            if self.pacing is not _UNPACED and self._awaited is not None and self._keep_pace(self._body_bytes):
                self._pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail the request that was on it, unless its reply was to end this way."""
        self.usable = False
        self._transport = None
        self._parser = None  # it refers back to us
        if self._awaited is not None:
            if self._ends_at_close and exc is None:
                self._finish()
            else:
                self._fail(
                    ConnectionDropped(reused=self.reused, reply_begun=bool(self._received or self._head), cause=exc)
                )
        self._pool.lost(self)

    # -- called by the parser

    def on_headers_complete(self) -> None:
        """Learn how the reply ends: here, by its length, or with the connection."""
        parser = self._parser
        if parser is None:
            return
        self._status = parser.get_status_code()
        if self._status < 200:  # noqa: PLR2004 - an interim reply (RFC 9110, section 15.2); the real one follows
            return
        end = self._received.find(b"\r\n\r\n")
        self._head = self._received[:end]
        self._received = b""  # it holds a piece of the body as well, which an idle connection would keep
        if end > bounds.HEAD_BYTES:
            self._refuse_head()
            return
        self.usable = parser.should_keep_alive()
        if self._bodiless:
            # The parser cannot know that no body follows: it takes a 404 without a length (rclone's) for one that ends
            # with the connection. So the version and the header decide, and the next request has a fresh parser.
            closes = b"close" in fields_of(self._head).get(b"connection", b"").lower()
            self.usable = parser.get_http_version() == "1.1" and not closes
            self._parser = None
            self._finish()
        elif not self.usable:
            self._ends_at_close = not fields_of(self._head).keys() & {b"content-length", b"transfer-encoding"}
        request = self._request
        if (
            request is not None
            and request.payload_bytes > LARGE_BYTES
            and not request.body
            and self._status in _CONTENT
        ):
            self._whole = bytearray(request.payload_bytes)

    def on_body(self, data: bytes) -> None:
        """Keep a piece of the body."""
        if self._awaited is None:
            self.close()  # a body after HEAD: what follows cannot be told apart
            return
        if self._whole is None:
            self._chunks.append(data)
        else:
            self._whole[self._body_bytes : self._body_bytes + len(data)] = data
        self._body_bytes += len(data)
        if self._body_bytes > MANY_PIECES:
            self._bound_body()

    def on_message_complete(self) -> None:
        """Hand the reply over; an interim one is dropped."""
        if self._status < 200:  # noqa: PLR2004 - see on_headers_complete
            self._received = self._received[self._received.find(b"\r\n\r\n") + 4 :]
            awaited, before = self._interim
            self._interim = self._awaited, before + 1 if awaited is self._awaited else 1
            if self._interim[1] > bounds.INTERIM_REPLIES:
                self._received = b""
                self._fail(Endless(f"over {bounds.INTERIM_REPLIES} interim replies (status {self._status})"))
                self.close()
        elif self._awaited is not None:
            self._finish()

    def _finish(self) -> None:
        future, self._awaited = self._awaited, None
        self._request = None  # it may hold a large body, which an idle connection would keep, as do these:
        chunks, self._chunks = self._chunks, []
        whole, self._whole = self._whole, None
        if self._body_left:  # it was answered before all of it was sent
            self._body_left, self.usable = _NOTHING, False
        if future is not None and not future.done():
            body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
            if whole is not None:
                del whole[self._body_bytes :]
                body = cast("bytes", whole)  # nobody changes it from now on
            future.set_result(Reply(self._status, self._head, body, self._bodiless))
        if not self.usable:
            self.close()

    def _bound_body(self) -> None:
        request = self._request
        limit_bytes = bounds.body_bytes(request.operation, request.payload_bytes) if request is not None else 0
        if self._body_bytes > limit_bytes:
            self._fail(Endless(f"its body has over {limit_bytes:,} bytes"))
            self.close()
        elif len(self._chunks) > MANY_PIECES:
            self._chunks = [b"".join(self._chunks)]

    def _refuse_head(self) -> None:
        self._fail(Endless(f"its head has over {bounds.HEAD_BYTES:,} bytes"))
        self.close()

    def _fail(self, error: Exception) -> None:
        self._body_left = _NOTHING
        future, self._awaited = self._awaited, None
        if future is not None and not future.done():
            future.set_exception(error)
