"""Connections: one request at a time on each, kept alive, taken last in first out. HTTP/1.1 on an asyncio protocol.

No task and no timer belongs to a request: a sweep once a second looks for silent and for idle connections. That, one
write per request and no copying is what makes a request cost a few microseconds.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING, cast

import httptools

from sketchmigrate.s3.failures import ConnectionDropped, Endless, NotHttp, ReplySilent, ReplySlow
from sketchmigrate.s3.wire import bounds
from sketchmigrate.s3.wire.messages import Reply, fields_of
from sketchmigrate.s3.wire.proxy import connect_through

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from sketchmigrate.s3.wire.addressing import Origin
    from sketchmigrate.s3.wire.messages import Request
    from sketchmigrate.s3.wire.proxy import Proxy

# Servers close idle connections after 5 s and more; a request on a connection that is being closed is a wasted one.
IDLE_SECONDS = 4.0
SWEEP_SECONDS = 1.0
# A body in so many pieces is put together: a chunk of two bytes costs twenty times as much.
MANY_PIECES = 65_536

PIECE_BYTES = 256 * 2**10
"""A body that is sent apart from its head goes in such pieces, as fast as they are taken: no copy of it is made."""

_NOTHING = memoryview(b"")


class Connection(asyncio.Protocol):
    """One connection. ``usable`` says whether another request may follow."""

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
        self._unsent_bytes = 0
        self._body_left = _NOTHING  # of a body that is sent apart
        self._is_paused = False
        self._sent_at = 0.0
        self._all_sent_at = 0.0  # at the earliest, as far as the sweep has seen
        self._interim: tuple[object, int] = (None, 0)
        self._expect_reply()

    def _expect_reply(self) -> None:
        self._received = b""  # until the head is whole: the parser tells when, and what is of use in it others look up
        self._head = b""
        self._chunks: list[bytes] = []
        self._body_bytes = 0
        self._wire_bytes = 0
        self._status = 0
        self._ends_at_close = False

    # -- used by the pool and the exchange

    def send(self, data: bytes, request: Request) -> asyncio.Future[Reply]:
        """Send a request; the future brings the reply, ``ConnectionDropped``, ``ReplySilent`` or ``NotHttp``.

        ``data`` is what is sent; from the request follows what its reply may be (``bounds``).
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
        self._pool.write_soon(self, data)
        return future

    def write(self, request: bytes) -> None:
        """Write a request, unless the connection was closed since it was sent off; its future says so then."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(request)
            if self._request is not None and self._request.is_body_apart:
                self._body_left = memoryview(self._request.body)
                self._write_body()

    def _write_body(self) -> None:
        while self._body_left and not self._is_paused:
            if self._transport is None or self._transport.is_closing():
                return
            piece, left = self._body_left[:PIECE_BYTES], self._body_left[PIECE_BYTES:]
            self._body_left = left or _NOTHING  # an empty view of a body keeps all of it
            self._transport.write(piece)

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
        if unsent_bytes != self._unsent_bytes:  # a large body on its way is progress
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
        except httptools.HttpParserError:
            self._fail(NotHttp(data))
            self.close()
        except httptools.HttpParserUpgrade:
            self._fail(NotHttp(data))
            self.close()

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

    def on_body(self, data: bytes) -> None:
        """Keep a piece of the body."""
        if self._awaited is None:
            self.close()  # a body after HEAD: what follows cannot be told apart
            return
        self._chunks.append(data)
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
        if self._body_left:  # it was answered before all of it was sent
            self._body_left, self.usable = _NOTHING, False
        if future is not None and not future.done():
            body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
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


class Pool:
    """The connections of one client: idle ones by origin, and all of them for the sweep."""

    def __init__(self, timeout_seconds: float, tls_context: Callable[[], ssl.SSLContext]) -> None:
        self.loop = asyncio.get_running_loop()
        self._timeout_seconds = timeout_seconds
        self._sweep_seconds = min(SWEEP_SECONDS, timeout_seconds / 4)
        self._tls_context = tls_context
        self._idle: defaultdict[Origin, list[Connection]] = defaultdict(list)
        self._all: set[Connection] = set()
        self._unwritten: list[tuple[Connection, bytes]] = []
        self._sweeper: asyncio.TimerHandle | None = None
        self._emptied: asyncio.Future[None] | None = None

    def take(self, origin: Origin) -> Connection | None:
        """Return the connection that was used last, if there is one fresh enough."""
        idle = self._idle[origin]
        while idle:
            connection = idle.pop()
            if connection.usable:
                if self.loop.time() - connection.since <= IDLE_SECONDS:
                    connection.reused = True
                    return connection
                connection.close()
        return None

    def give_back(self, connection: Connection) -> None:
        """Keep a connection for the next request, if it allows one."""
        if connection.usable:
            self._idle[connection.origin].append(connection)

    def write_soon(self, connection: Connection, request: bytes) -> None:
        """Write a request together with the others of this turn of the loop, when all of them are signed.

        The kernel's part and ours push each other out of the processor's caches, and a server that sleeps is woken for
        each write that finds it asleep: one after the other, writes took 7 % off the whole run's CPU time.
        """
        if not self._unwritten:
            self.loop.call_soon(self._write_all)
        self._unwritten.append((connection, request))

    def _write_all(self) -> None:
        unwritten, self._unwritten = self._unwritten, []
        for connection, request in unwritten:
            connection.write(request)

    async def connect(self, origin: Origin, proxy: Proxy | None = None) -> Connection:
        """Open a connection. The name is resolved anew each time: a store moves its addresses.

        Raises ``OSError`` (with ``TimeoutError``, ``socket.gaierror`` and ``ssl.SSLError`` among its kinds), and
        ``ProxyFailed``.
        """
        connection = Connection(self, origin)
        try:
            async with asyncio.timeout(self._timeout_seconds):
                tls_context = self._tls_context() if origin.tls or (proxy is not None and proxy.tls) else None
                if proxy is None:
                    await self.loop.create_connection(lambda: connection, origin.host, origin.port, ssl=tls_context)
                else:
                    await connect_through(proxy, origin, connection, tls_context)
        except BaseException:
            self.lost(connection)  # uvloop tells a connection that was made, and then cancelled, of no loss
            raise
        return connection

    def opened(self, connection: Connection) -> None:
        """Note a new connection; the first one starts the sweep."""
        self._all.add(connection)
        if self._sweeper is None:
            self._sweeper = self.loop.call_later(self._sweep_seconds, self._sweep)

    def lost(self, connection: Connection) -> None:
        """Forget a connection that is gone."""
        self._all.discard(connection)
        idle = self._idle[connection.origin]
        if connection in idle:
            idle.remove(connection)
        if not self._all and self._emptied is not None and not self._emptied.done():
            self._emptied.set_result(None)

    def _sweep(self) -> None:
        self._sweeper = None
        now = self.loop.time()
        for connection in list(self._all):
            connection.sweep(now, self._timeout_seconds)
        if self._all:
            self._sweeper = self.loop.call_later(self._sweep_seconds, self._sweep)

    async def close(self) -> None:
        """Close all connections and wait until they are gone."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        if self._all:
            self._emptied = self.loop.create_future()
            for connection in list(self._all):
                connection.close()
            await self._emptied
